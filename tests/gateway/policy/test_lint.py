"""The lint finds what is lawful but probably not meant."""

from pathlib import Path

from gateway.policy.bundle import load_bundle
from gateway.policy.lint import check
from tests.gateway.policy.bundles import write_bundle

PEOPLE = """\
people:
  a: {accounts: [{provider: corp, subject: "1"}]}
  gone:
    deactivated: true
    accounts: [{provider: corp, subject: "2"}]
"""


def lint(root: Path, rules: str, identities: str = PEOPLE) -> list[str]:
    return [str(finding) for finding in check(load_bundle(write_bundle(root, rules, identities=identities)))]


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


def test_a_rule_about_a_person_who_is_nobody_is_found(tmp_path: Path) -> None:
    """A deny on a misspelt person would protect nothing."""
    rules = (
        "p, user:b, prod, **, read, deny,\np, user:corp:b, prod, **, read, allow,\n"
        "g, user:c, role:x\np, role:x, *, **, *, allow,"
    )
    hint = "add them, or name the account as user:<provider>:<name>, which it is called while nobody is linked to it"
    assert lint(tmp_path, rules) == [
        f"rules/a.csv:1: is about user:b, who is not in identities.yaml: {hint}",
        f"rules/a.csv:3: is about user:c, who is not in identities.yaml: {hint}",
    ]


def test_deactivating_somebody_is_a_change_of_one_line_that_passes(tmp_path: Path) -> None:
    """In an emergency nobody should have to look for their rows first; they give nothing any more."""
    assert lint(tmp_path, "p, user:gone, prod, **, read, allow,\np, user:gone, prod, **, write, deny,") == []


def test_a_rule_about_a_workload_that_is_not_defined_is_found(tmp_path: Path) -> None:
    workloads = "workloads:\n  ci: {provider: github, claims: {repository_id: 74, ref: refs/heads/main}}\n"
    rules = "p, workload:github:ci, prod, **, read, allow,\np, workload:gitlab:ci, prod, **, read, deny,"
    assert lint(tmp_path, rules, workloads) == [
        "rules/a.csv:2: is about workload:gitlab:ci, which identities.yaml does not define: add it below `workloads`"
    ]


def test_a_doubtful_workload_is_found_with_its_line(tmp_path: Path) -> None:
    workloads = "workloads:\n  ci: {provider: github, claims: {repository: example/a, ref: refs/heads/main}}\n"
    assert lint(tmp_path, "p, workload:github:ci, prod, **, read, allow,", workloads) == [
        "identities.yaml:2: the workload 'ci' knows its owner by name only, and a name that is given up can be taken "
        "by somebody else: add repository_owner_id or repository_id"
    ]
