"""The bundle that ships serves the story it is told with."""

import shutil
from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.cases import CaseResult, run_cases
from gateway.policy.engine import PolicyEngine
from gateway.policy.lint import check
from tests.gateway.policy.bundles import SHIPPED, ask

BUNDLE = load_bundle(SHIPPED)
DEPLOY = ask("user:bob", "deploy", "deploy-prod/payments", groups=("group:corp:developers",))


@pytest.mark.parametrize("result", run_cases(PolicyEngine(BUNDLE), BUNDLE.cases), ids=lambda result: result.case.name)
def test_its_own_cases_hold(result: CaseResult) -> None:
    assert result.passed, result.problem


def test_its_model_is_the_indexed_one_and_the_lint_is_content() -> None:
    assert BUNDLE.model.is_shipped
    assert check(BUNDLE) == ()


def test_a_denied_deploy_names_the_role_that_would_do() -> None:
    engine = PolicyEngine(BUNDLE)
    assert engine.decide(DEPLOY).reason == "no_matching_rule"
    assert engine.roles_that_would_allow(DEPLOY)[0] == "role:deployer"


def test_one_row_more_lets_the_deploy_through(tmp_path: Path) -> None:
    root = tmp_path / "policies"
    shutil.copytree(SHIPPED, root)
    with (root / "rules" / "roles.csv").open("a") as file:
        file.write("g, user:bob, role:deployer\n")
    decision = PolicyEngine(load_bundle(root)).decide(DEPLOY)
    assert decision.allowed
    assert decision.role_path == ("user:bob", "role:deployer")
