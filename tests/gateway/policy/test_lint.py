"""The lint finds what is lawful but probably not meant."""

from pathlib import Path

from gateway.policy.bundle import load_bundle
from gateway.policy.lint import check
from tests.gateway.policy.bundles import write_bundle


def lint(root: Path, rules: str) -> list[str]:
    return [str(finding) for finding in check(load_bundle(write_bundle(root, rules)))]


def test_a_rule_on_a_role_that_nobody_has_is_found(tmp_path: Path) -> None:
    assert lint(tmp_path, "p, role:dev, prod, **, read, allow,\np, user:a, prod, **, read, allow,") == [
        "rules/a.csv:1: is about role:dev, which nobody has; link it with `g, ..., role:dev`"
    ]


def test_a_role_without_a_rule_is_found(tmp_path: Path) -> None:
    rules = "g, user:a, role:dev\ng, role:dev, role:base\np, role:dev, prod, **, read, allow,"
    assert lint(tmp_path, rules) == ["rules/a.csv:2: gives role:base, which no rule is about"]


def test_a_repeated_row_is_found(tmp_path: Path) -> None:
    rules = "p, user:a, prod, **, read, allow,\n# again\np,user:a,prod,**,read,allow,\n"
    assert lint(tmp_path, rules) == ["rules/a.csv:3: repeats rules/a.csv:1; remove one"]


def test_a_policy_without_a_rule_is_found(tmp_path: Path) -> None:
    """An empty directory of rules denies everybody, and is more likely a wrong path."""
    assert lint(tmp_path, "# none yet\n") == ["rules: holds no rule: write a `p` row that says who may do what"]


def test_a_sound_bundle_has_no_findings(tmp_path: Path) -> None:
    assert lint(tmp_path, "g, user:a, role:dev\np, role:dev, prod, **, read, allow,") == []
