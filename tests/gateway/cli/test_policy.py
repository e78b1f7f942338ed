"""`portcullis policy` gates a pull request: findings with file and line, exit code 1."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.init import STARTER
from tests.gateway.cli.conftest import Run


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The starter policy."""
    return Path(shutil.copytree(STARTER / "policies", tmp_path / "policies"))


def test_a_good_policy_passes(run: Run, policies: Path) -> None:
    assert run("policy", "check", policies).out == "2 rules, 2 links: 0 findings\n"
    assert run("policy", "test", policies).out == "3 cases: 3 passed, 0 failed\n"
    document = run("policy", "test", policies, "--format", "json").json
    assert (document["ok"], document["passed"], document["failed"]) == (True, 3, 0)
    assert len(document["policy"]["digest"]) == 64


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_policy_that_does_not_load_is_a_finding_with_its_line(run: Run, policies: Path, command: str) -> None:
    """SECURITY-CASES 35: an effect typo and a short row are told, never loaded."""
    rules = policies / "rules/access.csv"
    rules.write_text("p, role:x, staging, a/**, read, dney,\np, role:x, staging\n")
    done = run("policy", command, policies)
    assert done.code == 1
    assert f"{rules}:1: " in done.out
    assert f"{rules}:2: " in done.out
    document = run("policy", command, policies, "--format", "json").json
    assert document["ok"] is False
    assert [finding["line"] for finding in document["findings"]] == [1, 2]


def test_what_is_probably_not_meant_is_a_finding(run: Run, policies: Path) -> None:
    with (policies / "rules/roles.csv").open("a") as file:
        file.write("g, group:corp:interns, role:nothing\n")
    done = run("policy", "check", policies)
    assert done.code == 1
    assert done.out.startswith(f"{policies}/rules/roles.csv:4: ")
    assert done.out.endswith("2 rules, 3 links: 1 finding\n")
    assert run("policy", "check", policies, "--format", "json").json["findings"][0]["line"] == 4


def test_a_failed_case_is_named_with_its_place(run: Run, policies: Path) -> None:
    cases = policies / "tests/access.yaml"
    cases.write_text(cases.read_text().replace("expect: allow", "expect: deny", 1))
    done = run("policy", "test", policies)
    assert done.code == 1
    assert done.out.startswith(f"{cases}:2: developers read: expected deny, got allow by rules/access.csv:3\n")
    assert done.out.endswith("3 cases: 2 passed, 1 failed\n")
    assert run("policy", "test", policies, "--format", "json").json["failed"] == 1


def test_a_policy_without_cases_is_not_tested(run: Run, policies: Path) -> None:
    (policies / "tests/access.yaml").unlink()
    assert run("policy", "test", policies).code == 2
    assert run("policy", "check", policies / "none").code == 2


def test_the_directory_is_policies_by_default(run: Run, policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(policies.parent)
    assert run("policy", "check").code == 0
    assert json.loads(run("policy", "test", "--format", "json").out)["ok"]
