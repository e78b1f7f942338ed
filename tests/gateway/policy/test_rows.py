"""A rule file with anything wrong in it is refused, with the file and line of each fault."""

from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.rows import MAX_LINE, split_row
from identity.accounts import NAME_RULE
from tests.gateway.policy.bundles import problems, write_bundle

GOOD = "p, role:dev, prod, logs/**, read, allow,"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("p, role:dev, prod, logs/**, read, dney,", "unknown effect", id="35 typo"),
        pytest.param("p, role:dev, prod, logs/**, read, Deny,", "unknown effect", id="35 case"),
        pytest.param("p, role:dev, prod, logs/**, read, ,", "unknown effect", id="35 no effect"),
        pytest.param("p, role:dev, prod, logs/**, read, allow", "ends with a comma", id="35 no condition field"),
        pytest.param("p, role:dev, prod, logs/**", "has 3 fields", id="35 short"),
        pytest.param("p", "has 0 fields", id="35 nothing"),
        pytest.param("p, role:dev, prod, logs/**, read, allow,,", "has 7 fields", id="35 long"),
        pytest.param("p2, role:dev, prod, logs/**, read, allow,", "unknown row type 'p2'", id="35 type p2"),
        pytest.param("x, role:dev", "unknown row type 'x'", id="35 type x"),
        pytest.param("P, role:dev, prod, logs/**, read, allow,", "unknown row type 'P'", id="35 type P"),
        pytest.param(", role:dev", "unknown row type ''", id="35 no type"),
        pytest.param("g2, user:a, role:dev", "unknown row type 'g2'", id="35 type g2"),
        ("g, user:a", "has 1 fields after `g`"),
        ("g, user:a, role:dev, prod", "has 3 fields after `g`"),
        ("g, user:a,", "empty field"),
        ("g, alice, role:dev", "is not user:<id>"),
        ("g, user:a, dev", "is not user:<id>"),
        ("g, user:a, group:corp:dev", "is a role:<name>"),
        ("p, alice, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, , prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, user:, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, group:corp, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, group::dev, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, workload:ci:, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, person:a, prod, logs/**, read, allow,", "is not user:<id>"),
        ("p, role:*, prod, logs/**, read, allow,", "subjects are exact"),
        ("p, group:corp:contract workers, prod, logs/**, read, deny,", NAME_RULE),
        ("p, user:bob!, prod, logs/**, read, deny,", NAME_RULE),
        ("p, user:corp:bob!, prod, logs/**, read, deny,", NAME_RULE),
        ("p, user:corp:, prod, logs/**, read, deny,", NAME_RULE),
        ("p, workload:ci:a b, prod, logs/**, read, deny,", NAME_RULE),
        ("g, group:corp:Domain Users (EU), role:dev", NAME_RULE),
        ("p, group:corp:" + "x" * 256 + ", prod, logs/**, read, deny,", NAME_RULE),
        ("p, role:dev, , logs/**, read, allow,", "env '': is empty"),
        ("p, role:dev, pro*, logs/**, read, allow,", "exact name or `*`"),
        ("p, role:dev, prod, , read, allow,", "no empty segment"),
        ("p, role:dev, prod, /logs, read, allow,", "no empty segment"),
        ("p, role:dev, prod, logs/**/x, read, allow,", "whole last segment"),
        ("p, role:dev, prod, logs/../x, read, allow,", "`..` segment"),
        ("p, role:dev, prod, logs/[ab], read, allow,", "only wildcard"),
        ("p, role:dev, prod, logs/**, , allow,", "act '': is empty"),
        ("p, role:dev, prod, logs/**, *read, allow,", "may only end an action"),
        ("p, role:dev, prod, logs/**, read, allow, acr = 'gold'", "unexpected"),
        ("p, role:dev, prod, logs/**, read, allow, # why", "unexpected"),
        ("p, role:dev, prod, logs/**, read, allow # why", "ends with a comma"),
        ("p, role:dev, prod, logs/**, read, allow, acr == 'a)'", "closes nothing"),
        ("p, role:dev, prod, logs/**, read, allow, (acr == 'a'", "never closed"),
        ('p, "role:dev", prod, logs/**, read, allow,', "quoted field"),
        ("p, role:dev,\tprod, logs/**, read, allow,", "tabs, control or invisible"),
        ("p, role:dev, prod, logs/**\x00, read, allow,", "tabs, control or invisible"),
        ("p, role:dev, prod, logs/\u202ex, read, allow,", "tabs, control or invisible"),
        ("p, role:dev, prod, logs/**, read,\u00a0allow,", "tabs, control or invisible"),
        ("p, role:dev, prod, logs/" + "x" * MAX_LINE + ", read, allow,", "is longer than"),
    ],
)
def test_a_bad_row_refuses_the_bundle(tmp_path: Path, row: str, message: str) -> None:
    """SECURITY-CASES 35: one bad row, and nothing of the bundle loads."""
    found = problems(write_bundle(tmp_path, f"# rules\n{GOOD}\n\n{row}\n{GOOD}\n"))
    assert len(found) == 1
    assert found[0].startswith("rules/a.csv:4: ")
    assert message in found[0]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, "p, x, prod, /a, read, dney,\nq\n")
    (root / "rules" / "b.csv").write_text("g, user:a, nobody\n")
    assert [line.split(": ")[0] for line in problems(root)] == ["rules/a.csv:1"] * 3 + [
        "rules/a.csv:2",
        "rules/b.csv:1",
    ]


def test_rows_keep_the_order_of_file_names_and_lines(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, "p, role:a, prod, a, read, allow,\np, role:b, prod, a, read, allow,")
    (root / "rules" / "B.csv").write_text("p, role:c, prod, a, read, allow,\r\n")
    rows = load_bundle(root).rules
    assert [(row.fields[0], row.rule.file, row.rule.line) for row in rows] == [
        ("role:c", "rules/B.csv", 1),
        ("role:a", "rules/a.csv", 1),
        ("role:b", "rules/a.csv", 2),
    ]
    assert rows[0].rule.text == "p, role:c, prod, a, read, allow,"


def test_a_condition_keeps_the_commas_inside_its_brackets(tmp_path: Path) -> None:
    when = "source_in('10.0.0.0/8', '192.168.0.0/16') and method in ('GET', 'HEAD')"
    root = write_bundle(tmp_path, f"p, role:a, prod, a, read, allow, {when}")
    assert load_bundle(root).rules[0].fields[-1] == when


@pytest.mark.parametrize(
    "subject",
    [
        "user:alice@example.com",
        "user:corp:" + "x" * 255,
        "group:corp:/platform/on-call",
        "group:corp:" + "x" * 255,
        "workload:ci:repo:a/b",
    ],
)
def test_subjects_may_be_what_providers_call_people_and_groups(tmp_path: Path, subject: str) -> None:
    assert problems(write_bundle(tmp_path, f"g, {subject}, role:dev\n")) == []


def test_a_row_is_split_at_commas_outside_brackets() -> None:
    assert split_row("p, a , f(b, [c, d]), ") == ["p", "a", "f(b, [c, d])", ""]
