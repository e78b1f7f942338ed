"""The engine's answers: verdict, reason, row, role path, and the roles that would do."""

import threading
from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.request import Rule
from tests.gateway.policy.bundles import ask, engine_of, problems, write_bundle

RULES = """p, role:dev, prod, logs/**, read, allow,
p, role:lead, prod, logs/**, write, allow,
p, role:dev, prod, logs/secret, *, deny,
p, user:alice, *, own/**, *, allow, acr == 'gold'
g, group:c:dev, role:dev
g, role:lead, role:dev
g, user:bob, role:lead
"""


def test_an_allow_names_the_row_and_the_way_to_it(tmp_path: Path) -> None:
    decision = engine_of(tmp_path, RULES).decide(ask("user:bob"))
    assert decision.allowed
    assert decision.reason == "allowed_by_rule"
    assert decision.rule == Rule("rules/a.csv", 1, "p, role:dev, prod, logs/**, read, allow,")
    assert decision.role_path == ("user:bob", "role:lead", "role:dev")
    assert decision.revision == load_bundle(tmp_path).revision


def test_a_deny_overrides_every_allow(tmp_path: Path) -> None:
    decision = engine_of(tmp_path, RULES).decide(ask("user:bob", resource="logs/secret"))
    assert (decision.allowed, decision.reason) == (False, "denied_by_rule")
    assert decision.rule is not None
    assert decision.rule.line == 3


def test_what_no_rule_allows_is_denied(tmp_path: Path) -> None:
    decision = engine_of(tmp_path, RULES).decide(ask("user:nobody"))
    assert (decision.allowed, decision.reason, decision.rule) == (False, "no_matching_rule", None)
    assert decision.role_path == ("user:nobody",)


def test_the_first_row_of_the_decisive_effect_is_named(tmp_path: Path) -> None:
    rows = "\n".join(
        f"p, user:alice, {env}, {res}, read, {effect},"
        for effect, env, res in [
            ("allow", "*", "**"),
            ("deny", "*", "**"),
            ("deny", "prod", "logs/*"),
            ("allow", "prod", "logs/*"),
        ]
    )
    rule = engine_of(tmp_path / "deny", rows).decide(ask()).rule
    assert rule is not None
    assert rule.line == 2
    rule = engine_of(tmp_path / "allow", rows.replace("deny", "allow")).decide(ask()).rule
    assert rule is not None
    assert rule.line == 1


def test_groups_count_for_their_request_only(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, RULES)
    assert engine.decide(ask(groups=("group:c:dev",))).role_path == ("user:alice", "group:c:dev", "role:dev")
    assert not engine.decide(ask()).allowed


def test_a_condition_is_asked_at_every_request(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, RULES)
    assert engine.decide(ask(resource="own/x", context={"acr": "gold"})).allowed
    assert not engine.decide(ask(resource="own/x", context={"acr": "tin"})).allowed
    assert not engine.decide(ask(resource="own/x")).allowed


@pytest.mark.parametrize("missing", ["acr == 'gold'", "not acr == 'gold'", "not source_in('10.0.0.0/8')"])
def test_a_deny_whose_condition_cannot_be_told_applies(tmp_path: Path, missing: str) -> None:
    engine = engine_of(tmp_path, f"p, user:alice, *, **, *, allow,\np, user:alice, *, **, *, deny, {missing}")
    assert engine.decide(ask()).reason == "denied_by_rule"


@pytest.mark.parametrize("resource", ["", "logs/../own", "logs/.", "..", "./logs"])
def test_a_resource_with_dot_segments_is_denied_even_to_those_who_may_all(tmp_path: Path, resource: str) -> None:
    """SECURITY-CASES 31: whatever reaches the engine uncanonical is denied."""
    engine = engine_of(tmp_path, "p, user:alice, *, **, *, allow,\np, role:all, *, **, *, allow,")
    assert engine.decide(ask(resource=resource)).reason == "no_matching_rule"
    assert engine.roles_that_would_allow(ask(resource=resource)) == ()


def test_roles_that_would_allow_are_told_the_narrowest_first(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, RULES)
    assert engine.roles_that_would_allow(ask("user:nobody")) == ("role:dev", "role:lead")
    assert engine.roles_that_would_allow(ask("user:nobody", "write")) == ("role:lead",)
    assert engine.roles_that_would_allow(ask("user:nobody", "delete")) == ()


def test_no_role_is_told_where_it_would_not_help(tmp_path: Path) -> None:
    engine = engine_of(
        tmp_path, RULES + "p, role:dev, prod, logs/x, write, deny,\np, user:bob, prod, logs/y, read, deny,"
    )
    assert engine.roles_that_would_allow(ask("user:bob")) == ()  # allowed already
    assert engine.roles_that_would_allow(ask("user:bob", resource="logs/y")) == ()  # denied by a rule
    assert engine.roles_that_would_allow(ask("user:nobody", "write", "logs/x")) == ()  # the role itself is denied


def test_at_most_ten_roles_are_told(tmp_path: Path) -> None:
    rows = "\n".join(f"p, role:r{number}, prod, logs/**, read, allow," for number in range(30))
    assert engine_of(tmp_path, rows).roles_that_would_allow(ask()) == tuple(f"role:r{number}" for number in range(10))


def test_an_engine_tells_its_size_and_its_people(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, RULES)
    assert engine.rule_count == 7
    assert engine.directory.find("corp", "a1", None) is None


def test_an_engine_may_be_asked_by_several_threads(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, RULES)
    wrong: list[str] = []

    def decide() -> None:
        for number in range(500):
            if not engine.decide(ask(f"user:u{number}", groups=("group:c:dev",))).allowed:
                wrong.append(f"user:u{number} denied")
            if engine.decide(ask(f"user:u{number}")).allowed:
                wrong.append(f"user:u{number} allowed")

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_rule_for_a_group_or_a_workload_needs_no_role(tmp_path: Path) -> None:
    rules = "p, group:c:dev, prod, logs/**, read, allow,\np, workload:ci:main, prod, logs/**, read, allow,"
    engine = engine_of(tmp_path, rules)
    assert engine.decide(ask(groups=("group:c:dev",))).role_path == ("user:alice", "group:c:dev")
    assert engine.decide(ask("workload:ci:main")).role_path == ("workload:ci:main",)


def test_the_same_engine_reloaded_answers_the_same(tmp_path: Path) -> None:
    assert problems(write_bundle(tmp_path, RULES)) == []
    assert load_bundle(tmp_path).revision == load_bundle(tmp_path).revision
