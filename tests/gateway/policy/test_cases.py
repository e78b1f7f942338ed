"""Policy cases are read strictly and told with their place."""

from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.cases import run_cases
from gateway.policy.engine import PolicyEngine
from tests.gateway.policy.bundles import problems, write_bundle

RULES = "p, role:dev, prod, logs/**, read, allow, acr == 'gold'\ng, group:c:dev, role:dev\n"
CASE = """# What developers may do
- name: developers read logs
  subject: user:alice
  groups: [group:c:dev]
  environment: prod
  resource: logs/payments
  action: read
  context: {acr: gold, amr: [pwd, otp], time: 2026-12-31T18:00Z, token_age_s: 5}
  expect: allow
"""


def test_a_case_that_holds_passes(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path, RULES, tests=CASE))
    (case,) = bundle.cases
    assert (case.name, case.file, case.line) == ("developers read logs", "tests/a.yaml", 2)
    assert case.request.context == {"acr": "gold", "amr": ("pwd", "otp"), "time": 1_798_740_000, "token_age_s": 5}
    (result,) = run_cases(PolicyEngine(bundle), bundle.cases)
    assert result.passed
    assert result.decision.role_path == ("user:alice", "group:c:dev", "role:dev")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("expect: allow", "expect: deny", "expected deny, got allow by rules/a.csv:1"),
        ("acr: gold, ", "", "expected allow, got deny by no rule"),
        (
            "expect: allow",
            "expect: allow\n  rule: rules/a.csv:7",
            "expected allow by rules/a.csv:7, got it by rules/a.csv:1",
        ),
        ("expect: allow", "expect: allow\n  rule: rules/a.csv:1", None),
    ],
)
def test_a_case_says_what_differs(tmp_path: Path, old: str, new: str, problem: str | None) -> None:
    bundle = load_bundle(write_bundle(tmp_path, RULES, tests=CASE.replace(old, new)))
    (result,) = run_cases(PolicyEngine(bundle), bundle.cases)
    assert result.problem == problem
    assert result.passed is (problem is None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("- name", "name", "tests/a.yaml:3: is not YAML"),
        (CASE, "name: x\n", "tests/a.yaml:1: a test file is a list of cases"),
        (CASE, "- just words\n", "tests/a.yaml:1: expected `key: value` lines"),
        ("  action: read\n", "", "tests/a.yaml:2: the case lacks action"),
        ("  action: read\n", "  action: read\n  action: write\n", "tests/a.yaml:8: 'action' is given twice"),
        ("action: read", "action: [read]", "tests/a.yaml:7: expected a text"),
        ("action: read", "action: 5", "tests/a.yaml:7: expected a text"),
        ("action: read", "action: no", "tests/a.yaml:7: expected a text"),
        ("action: read", "action: !!python/name:os.system x", "tests/a.yaml:7: expected a text"),
        ("expect: allow", "expect: Allow", "tests/a.yaml:9: expect is `allow` or `deny`"),
        ("expect: allow", "expected: allow", "tests/a.yaml:9: unknown key 'expected'"),
        ("user:alice", "alice", "tests/a.yaml:3: 'alice': is not user:<id>"),
        ("[group:c:dev]", "group:c:dev", "tests/a.yaml:4: expected a list"),
        ("acr: gold", "arc: gold", "tests/a.yaml:8: unknown context key 'arc'"),
        ("token_age_s: 5", "token_age_s: old", "tests/a.yaml:8: token_age_s is a whole number"),
        ("2026-12-31T18:00Z", "tomorrow", "tests/a.yaml:8: 'tomorrow' is not a time"),
        ("amr: [pwd, otp]", "amr: pwd", "tests/a.yaml:8: expected a list"),
        ("acr: gold", "acr: &x gold", "tests/a.yaml:8: anchors and aliases"),
        ("acr: gold", "acr: *x", "tests/a.yaml:8: "),
        ("acr: gold", "acr: " + "[" * 20 + "]" * 20, "tests/a.yaml:8: is nested deeper"),
        ("gold", "\x07", "tests/a.yaml:"),
    ],
)
def test_a_faulty_case_refuses_the_bundle_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in CASE
    found = problems(write_bundle(tmp_path, RULES, tests=CASE.replace(old, new)))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_every_faulty_case_is_told_at_once(tmp_path: Path) -> None:
    assert len(problems(write_bundle(tmp_path, RULES, tests="- {}\n- {}\n" + CASE))) == 2


def test_an_empty_file_has_no_cases(tmp_path: Path) -> None:
    assert load_bundle(write_bundle(tmp_path, RULES, tests="# none yet\n")).cases == ()


def test_a_thousand_deep_yaml_does_no_harm(tmp_path: Path) -> None:
    assert problems(write_bundle(tmp_path, RULES, tests="[" * 200_000))
