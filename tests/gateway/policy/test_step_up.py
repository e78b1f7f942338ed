"""What login would help is told exactly: what is suggested is allowed, and where nothing is, nothing would help."""

import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.engine import PolicyEngine
from gateway.policy.login_bounds import MAX_ACR_VALUES, MAX_AGE_S
from gateway.policy.request import ContextValue
from gateway.policy.step_up import MAX_DECISIONS, StepUp, stronger_login
from tests.gateway.policy.bundles import ask, engine_of

ALLOW = "p, user:alice, prod, logs/**, read, allow, "
DENY = "p, user:alice, prod, logs/**, read, deny, "
EVERYTHING = ALLOW + "\n"


def suggestion(root: Path, rules: str, **context: ContextValue) -> StepUp | None:
    return stronger_login(engine_of(root, rules), ask(context=context))


@pytest.mark.parametrize(
    ("rules", "context", "expected"),
    [
        (ALLOW + "auth_age_s < 300", {"auth_age_s": 900}, StepUp((), 299)),
        (ALLOW + "auth_age_s <= 300", {"auth_age_s": 900}, StepUp((), 300)),
        (ALLOW + "300 > auth_age_s", {"auth_age_s": 900}, StepUp((), 299)),
        (ALLOW + "not auth_age_s >= 300", {"auth_age_s": 900}, StepUp((), 299)),
        (ALLOW + "auth_age_s < 300", {}, StepUp((), 299)),
        (ALLOW + "auth_age_s < 300 or auth_age_s < 100", {"auth_age_s": 900}, StepUp((), 299)),
        (ALLOW + "auth_age_s < 300 and auth_age_s < 100", {"auth_age_s": 900}, StepUp((), 99)),
        (ALLOW + "auth_age_s in (0, 1, 2, 7)", {"auth_age_s": 900}, StepUp((), 2)),
        (ALLOW + "auth_age_s <= token_age_s and auth_age_s < 9", {"auth_age_s": 900}, StepUp((), 0)),
        (ALLOW + "acr == 'gold'", {"acr": "tin"}, StepUp(("gold",), None)),
        (ALLOW + "acr == 'gold'", {}, StepUp(("gold",), None)),
        (ALLOW + "acr in ('gold', 'platinum')", {"acr": "tin"}, StepUp(("gold", "platinum"), None)),
        (ALLOW + "acr not in ('tin',) or acr == 'gold'", {"acr": "tin"}, StepUp(("gold",), None)),
        (ALLOW + "acr == 'gold' or auth_age_s < 60", {"acr": "tin", "auth_age_s": 99}, StepUp((), 59)),
        (ALLOW + "acr == 'gold' and auth_age_s < 60", {"acr": "tin", "auth_age_s": 99}, StepUp(("gold",), 59)),
        (ALLOW + "acr == 'gold' and auth_age_s < 60", {"acr": "gold", "auth_age_s": 99}, StepUp((), 59)),
        (ALLOW + "acr == 'gold' and auth_age_s < 60", {"acr": "tin", "auth_age_s": 9}, StepUp(("gold",), None)),
        (
            f"{ALLOW}acr == 'tin' and auth_age_s < 9\n{ALLOW}acr == 'gold' and auth_age_s < 60",
            {"acr": "none", "auth_age_s": 99},
            StepUp(("gold",), 59),
        ),
        (EVERYTHING + DENY + "acr != 'gold'", {"acr": "tin"}, StepUp(("gold",), None)),
        (EVERYTHING + DENY + "acr != 'gold'", {}, StepUp(("gold",), None)),
        (EVERYTHING + DENY + "auth_age_s > 300", {"auth_age_s": 900}, StepUp((), 300)),
        (f"{EVERYTHING}{DENY}auth_age_s > 300\n{DENY}auth_age_s > 100", {"auth_age_s": 900}, StepUp((), 100)),
        (ALLOW + "auth_age_s >= 0", {}, StepUp((), MAX_AGE_S)),
        # No login helps, or none is needed.
        (ALLOW + "auth_age_s < 300 and method == 'GET'", {"auth_age_s": 900, "method": "PUT"}, None),
        (ALLOW + "acr == 'gold' and token_binding == 'dpop'", {"acr": "tin", "token_binding": "none"}, None),
        (ALLOW + "auth_age_s > 300", {"auth_age_s": 100}, None),
        (DENY + "\n" + ALLOW + "acr == 'gold'", {"acr": "tin"}, None),
        ("p, user:bob, prod, logs/**, read, allow, acr == 'gold'", {"acr": "tin"}, None),
        (ALLOW + "'otp' in amr", {"amr": ("pwd",)}, None),
        (ALLOW + "auth_age_s < 300", {"auth_age_s": 100}, None),
        (ALLOW + "acr == 'gold' and auth_age_s > 30", {"acr": "tin", "auth_age_s": 100}, None),
        # A new token would do: a login need be neither stronger nor fresher.
        (ALLOW + "token_age_s < 60 and auth_age_s < 300", {"auth_age_s": 100, "token_age_s": 100}, None),
        (ALLOW + "token_age_s < 60 and auth_age_s < 300", {"auth_age_s": 400, "token_age_s": 400}, StepUp((), 299)),
        # What a challenge has no way to say.
        (ALLOW + "acr == 'two words'", {"acr": "tin"}, None),
        (ALLOW + "acr == 'with\"quote'", {"acr": "tin"}, None),
        (ALLOW + "acr == ''", {"acr": "tin"}, None),
        (ALLOW + "acr == 'urn:mace:incommon:iap:silver'", {}, StepUp(("urn:mace:incommon:iap:silver",), None)),
    ],
)
def test_the_least_login_that_would_do_is_told(
    tmp_path: Path, rules: str, context: dict[str, ContextValue], expected: StepUp | None
) -> None:
    assert suggestion(tmp_path, rules, **context) == expected


def test_all_requests_must_be_allowed_by_the_same_login(tmp_path: Path) -> None:
    rules = f"{ALLOW}acr == 'gold'\np, user:alice, prod, logs/**, write, allow, auth_age_s < 60\n"
    engine = engine_of(tmp_path, rules)
    context: dict[str, ContextValue] = {"acr": "tin", "auth_age_s": 900}
    read, write = ask(context=context), ask(action="write", context=context)
    assert stronger_login(engine, read, write) == StepUp(("gold",), 59)
    assert stronger_login(engine, read) == StepUp(("gold",), None)
    assert stronger_login(engine, read, ask(action="delete", context=context)) is None
    agent = ask("workload:ci:agent", context=context)
    assert stronger_login(engine, read, agent) is None


def test_a_role_may_be_what_asks_for_it(tmp_path: Path) -> None:
    rules = "p, role:sre, prod, logs/**, read, allow, acr == 'gold'\ng, group:corp:sre, role:sre"
    engine = engine_of(tmp_path, rules)
    assert stronger_login(engine, ask(groups=("group:corp:sre",))) == StepUp(("gold",), None)
    assert stronger_login(engine, ask()) is None


def test_other_models_suggest_nothing(tmp_path: Path) -> None:
    model = """[request_definition]
r = sub, res, act, ctx
[policy_definition]
p = sub, res, act, when
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && conditionHolds(r.ctx, p.when, "allow")
"""
    engine = engine_of(tmp_path, "p, user:alice, logs, read, acr == 'gold'", model=model)
    assert stronger_login(engine, ask(context={"acr": "tin"})) is None


def test_a_bundle_that_asks_for_nothing_costs_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, ALLOW + "method == 'GET'")
    assert (engine.login_bounds.acr_values, engine.login_bounds.ages_s) == ((), ())


def test_what_is_tried_is_bounded(tmp_path: Path) -> None:
    """A long list of classes and ages can't keep a denial, and all who wait behind it, for long."""
    rows = [f"{ALLOW}acr == 'class-{number}' and method == 'PUT'" for number in range(200)]
    rows += [f"p, user:alice, prod, logs/**, read, deny, auth_age_s > {number}" for number in range(100, 1_000)]
    rows.append(ALLOW + "acr == 'tin'")
    engine = engine_of(tmp_path, "\n".join(rows))
    assert len(engine.login_bounds.acr_values) == MAX_ACR_VALUES
    count = _counting(engine)
    found = stronger_login(engine, ask(context={"acr": "tin", "auth_age_s": 5_000, "method": "GET"}))
    assert found == StepUp((), 100)
    many = [ask(context={"acr": "tin", "auth_age_s": 5_000, "method": "GET"})] * 5_000
    assert stronger_login(engine, *many) is None
    assert len(count) <= 2 * MAX_DECISIONS


def _counting(engine: PolicyEngine) -> list[float]:
    asked: list[float] = []
    decide = engine._decider.decide

    class Counting:
        roles_worth_trying = staticmethod(engine._decider.roles_worth_trying)

        @staticmethod
        def decide(request: object) -> object:
            asked.append(time.monotonic())
            return decide(request)  # type: ignore[arg-type]

    engine._decider = Counting()  # type: ignore[assignment]
    return asked


ACR_VALUES = ("tin", "gold", "x")
AGES = (0, 5, 60)
TESTS = st.one_of(
    st.builds("acr {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(ACR_VALUES)),
    st.builds("acr {} ('{}',)".format, st.sampled_from(["in", "not in"]), st.sampled_from(ACR_VALUES)),
    st.builds("auth_age_s {} {}".format, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from(AGES)),
    st.builds("{} {} auth_age_s".format, st.sampled_from(AGES), st.sampled_from(["<", "<=", ">", ">="])),
    st.sampled_from(["method == 'GET'", "token_age_s < 10", "auth_age_s <= token_age_s", "acr == provider"]),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=5,
)
RULES = st.lists(st.tuples(st.sampled_from(["allow", "allow", "deny"]), CONDITIONS), min_size=1, max_size=4)
CONTEXTS = st.fixed_dictionaries(
    {"method": st.sampled_from(["GET", "PUT"]), "token_age_s": st.sampled_from([0, 3, 50]), "provider": st.just("x")},
    optional={"acr": st.sampled_from([*ACR_VALUES, "other"]), "auth_age_s": st.integers(0, 100)},
)


@settings(max_examples=400, deadline=None)
@given(RULES, CONTEXTS)
def test_what_is_suggested_is_allowed_and_else_nothing_would_be(
    rows: list[tuple[str, str]], context: dict[str, ContextValue]
) -> None:
    text = "\n".join(f"p, user:alice, prod, logs/**, read, {effect}, {condition}" for effect, condition in rows)
    with TemporaryDirectory() as root:
        engine = engine_of(Path(root), text)

    def allows(**changes: ContextValue) -> bool:
        return engine.decide(ask(context={**context, "token_age_s": 0, **changes})).allowed

    if engine.decide(ask(context=context)).allowed or allows():
        return
    found = stronger_login(engine, ask(context=context))
    acr_values = [value for value in ACR_VALUES if value in text]
    ages = range(103) if any(f" {age}" in text or f"{age} " in text for age in AGES) and "auth_age_s" in text else ()
    if found is None:
        assert not any(allows(auth_age_s=age) for age in ages[:1])
        assert not any(allows(acr=value) and allows(acr=value, auth_age_s=0) for value in acr_values)
        assert not any(allows(acr=value, auth_age_s=age) for value, age in product(acr_values, ages[:1]))
        return
    stronger: list[dict[str, ContextValue]] = [{"acr": value} for value in found.acr_values] or [{}]
    fresher: list[dict[str, ContextValue]] = [{}]
    if found.max_age_s is not None:
        fresher = [{"auth_age_s": age} for age in range(min(found.max_age_s, 102) + 1)]
    else:
        fresher.append({"auth_age_s": 0})
    for one, other in product(stronger, fresher):
        assert allows(**one, **other)
    if found.max_age_s is not None and found.max_age_s < 61:
        # One second more would be too much for every class that is suggested.
        assert not any(allows(**one, auth_age_s=found.max_age_s + 1) for one in stronger)
