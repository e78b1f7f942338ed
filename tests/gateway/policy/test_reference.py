"""Any Casbin model loads and is decided by pycasbin itself, without its traps."""

import tempfile
import threading
from itertools import pairwise
from pathlib import Path

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.bundle import load_bundle
from gateway.policy.engine import PolicyEngine
from gateway.policy.reference import CasbinDecider
from gateway.policy.request import AccessRequest
from gateway.policy.rows import split_row
from tests.gateway.policy.bundles import SHIPPED_MODEL, ask, engine_of, problems, write_bundle


def model(
    matcher: str,
    *,
    r: str = "sub, obj, act",
    p: str = "sub, obj, act",
    g: str = "",
    e: str = "some(where (p.eft == allow))",
) -> str:
    roles = f"[role_definition]\n{g}\n" if g else ""
    return (
        f"[request_definition]\nr = {r}\n[policy_definition]\np = {p}\n{roles}"
        f"[policy_effect]\ne = {e}\n[matchers]\nm = {matcher}\n"
    )


ACL = model("r.sub == p.sub && r.obj == p.obj && r.act == p.act")
RBAC = model("g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", g="g = _, _")
DOMAINS = model(
    "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
    r="sub, dom, obj, act",
    p="sub, dom, obj, act",
    g="g = _, _, _",
)
PRIORITY = model(
    "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act",
    p="priority, sub, obj, act, eft",
    g="g = _, _",
    e="priority(p.eft) || deny",
)
DENY_OVERRIDE = model(
    "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act",
    p="sub, obj, act, eft",
    g="g = _, _",
    e="some(where (p.eft == allow)) && !some(where (p.eft == deny))",
)
RESOURCE_ROLES = model("g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act", g="g = _, _\ng2 = _, _")
KEY_MATCH = model("r.sub == p.sub && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)")
EVALUATED = model("eval(p.rule) && r.obj == p.obj", r="sub, obj, act, ctx", p="rule, obj")
SUPERUSER = model("r.sub == p.sub && r.obj == p.obj && r.act == p.act || r.sub == 'root'")


@pytest.mark.parametrize(
    ("text", "rules", "request_", "line"),
    [
        (ACL, "p, alice, data1, read", ask("alice", "read", "data1"), 1),
        (ACL, "p, alice, data1, read", ask("alice", "write", "data1"), None),
        (RBAC, "p, admin, data1, read\ng, alice, admin", ask("alice", "read", "data1"), 1),
        (DOMAINS, "p, admin, prod, data1, read\ng, alice, admin, prod", ask("alice", "read", "data1"), 1),
        (DOMAINS, "p, admin, prod, data1, read\ng, alice, admin, dev", ask("alice", "read", "data1"), None),
        (PRIORITY, "p, 10, a, x, read, deny\np, 9, a, x, read, allow", ask("a", "read", "x"), 2),
        (DENY_OVERRIDE, "p, a, x, read, allow\np, a, x, read, allow", ask("a", "read", "x"), 1),
        (RESOURCE_ROLES, "p, a, docs, read\ng2, x, docs", ask("a", "read", "x"), 1),
        (KEY_MATCH, "p, a, /x/*, (read)|(write)", ask("a", "write", "/x/y"), 1),
        (EVALUATED, "p, r.ctx.acr == 'gold' && r.sub == 'a', x", ask("a", "read", "x", context={"acr": "gold"}), 1),
        (EVALUATED, "p, r.ctx.acr == 'gold' && r.sub == 'a', x", ask("a", "read", "x", context={"acr": "tin"}), None),
    ],
)
def test_models_of_the_casbin_documentation_decide(
    tmp_path: Path, text: str, rules: str, request_: AccessRequest, line: int | None
) -> None:
    decision = engine_of(tmp_path, rules, model=text).decide(request_)
    assert decision.allowed is (line is not None)
    assert (decision.rule.line if decision.rule else None) == line


def test_a_denying_row_is_named(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "p, a, x, read, allow\np, a, x, read, deny", model=DENY_OVERRIDE)
    decision = engine.decide(ask("a", "read", "x"))
    assert decision.reason == "denied_by_rule"
    assert decision.rule is not None
    assert decision.rule.line == 2


def test_groups_are_links_of_their_request_in_every_domain(tmp_path: Path) -> None:
    rules = "p, admin, prod, x, read\ng, group:c:ops, admin, prod"
    engine = engine_of(tmp_path, rules, model=DOMAINS)
    decision = engine.decide(ask("alice", "read", "x", groups=("group:c:ops",)))
    assert decision.role_path == ("alice", "group:c:ops", "admin")
    assert not engine.decide(ask("alice", "read", "x")).allowed
    assert not engine.decide(ask("alice", "read", "x", environment="dev", groups=("group:c:ops",))).allowed


def test_a_chain_is_followed_as_far_as_pycasbin_follows_it(tmp_path: Path) -> None:
    """Eight links of the bundle behind the one that a group adds."""
    names = ["group:c:ops", *(f"r{number}" for number in range(8))]
    rules = "\n".join(["p, r7, x, read", *(f"g, {member}, {role}" for member, role in pairwise(names))])
    engine = engine_of(tmp_path, rules, model=RBAC)
    assert engine.decide(ask("alice", "read", "x", groups=("group:c:ops",))).allowed


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_DOMAINS = st.sampled_from(["prod", "dev"])
_GROUPS = st.lists(st.sampled_from(["c", "d"]), unique=True).map(tuple)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(_NAMES, _DOMAINS, st.sampled_from(["x", "y"])), max_size=6),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["c", "d"]), _DOMAINS), max_size=6),
    st.tuples(st.sampled_from(["a", "b", "stranger"]), _DOMAINS, st.sampled_from(["x", "y"]), _GROUPS),
)
def test_domains_and_groups_decide_as_in_stock_pycasbin(
    rules: list[tuple[str, str, str]],
    links: list[tuple[str, str, str]],
    asked: tuple[str, str, str, tuple[str, ...]],
) -> None:
    """Verdict and row are those of `enforce_ex` where the request's groups are rows in each domain."""
    subject, domain, resource, groups = asked
    rows = [f"p, {name}, {where}, {what}, read" for name, where, what in rules]
    rows += [f"g, {member}, {role}, {where}" for member, role, where in links]
    extra = [f"g, {subject}, {group}, {where}" for group in groups for where in ("prod", "dev")]
    with tempfile.TemporaryDirectory() as folder:
        decision = engine_of(Path(folder) / "bundle", "\n".join(rows), model=DOMAINS).decide(
            ask(subject, "read", resource, environment=domain, groups=groups)
        )
        file = Path(folder) / "stock.csv"
        file.write_text("\n".join([*rows, *extra]) + "\n")
        stock = casbin.Enforcer(casbin.Enforcer.new_model(text=DOMAINS), casbin.persist.adapters.FileAdapter(str(file)))
    allowed, fields = stock.enforce_ex(subject, domain, resource, "read")
    assert decision.allowed is allowed
    if decision.rule is not None:
        assert split_row(decision.rule.text)[1:] == fields


def test_strangers_do_not_grow_the_role_graph(tmp_path: Path) -> None:
    """pycasbin's own role managers keep a node for every name they are asked about: a memory attack."""
    for text, rules in [
        (RBAC, "p, admin, x, read\ng, alice, admin"),
        (DOMAINS, "p, admin, prod, x, read\ng, alice, admin, prod"),
    ]:
        engine = engine_of(tmp_path, rules, model=text)
        decider = engine._decider
        assert isinstance(decider, CasbinDecider)
        for number in range(200):
            engine.decide(ask(f"stranger{number}", "read", "x", environment=f"env{number}"))
        managers = decider._enforcer.rm_map.values()
        assert all(not getattr(manager, name, {}) for manager in managers for name in ("all_roles", "rm_map"))
        assert all(list(graph.members) == ["alice"] for graph in decider._graphs.values())


def test_it_may_be_asked_by_several_threads(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "p, admin, x, read\ng, group:c:ops, admin", model=RBAC)
    wrong: list[int] = []

    def decide(number: int) -> None:
        groups = ("group:c:ops",) if number % 2 else ()
        answers = {engine.decide(ask("alice", "read", "x", groups=groups)).allowed for _ in range(60)}
        if answers != {bool(number % 2)}:
            wrong.append(number)

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_makes_pycasbin_raise_is_denied(tmp_path: Path) -> None:
    """A bad pattern raises only when the scan reaches it; then the request is denied, not answered with an error."""
    engine = engine_of(tmp_path, "p, a, /x, *\np, a, /x, read", model=KEY_MATCH)
    decision = engine.decide(ask("a", "read", "/x"))
    assert (decision.allowed, decision.reason, decision.rule) == (False, "evaluation_failed", None)
    assert engine.roles_that_would_allow(ask("a", "read", "/x")) == ()


def test_roles_that_would_allow_are_tried(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "p, admin, x, read\ng, alice, admin\ng, alice, other", model=RBAC)
    assert engine.roles_that_would_allow(ask("bob", "read", "x")) == ("admin",)
    assert engine.roles_that_would_allow(ask("bob", "write", "x")) == ()


def test_an_allow_without_a_row_says_so(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "", model=SUPERUSER)
    decision = engine.decide(ask("root", "read", "x"))
    assert (decision.allowed, decision.reason, decision.rule) == (True, "no_matching_rule", None)


@pytest.mark.parametrize(
    ("text", "rules", "expected"),
    [
        (ACL, "p, alice, data1", "rules/a.csv:1: has 2 fields after `p`, the model has 3"),
        (ACL, "g, alice, admin", "rules/a.csv:1: unknown row type 'g'; this model's rows are p"),
        (DOMAINS, "g, alice, admin", "rules/a.csv:1: has 2 fields after `g`, a link has 3"),
        (DENY_OVERRIDE, "p, a, x, read, dney", "rules/a.csv:1: eft 'dney': unknown effect"),
        (PRIORITY, "p, -1, a, x, read, allow", "rules/a.csv:1: priority '-1': a priority is a whole number"),
        (PRIORITY, "p, high, a, x, read, allow", "rules/a.csv:1: priority 'high': a priority is a whole number"),
        (EVALUATED, "p, r.sub =, x", "rules/a.csv:1: rule 'r.sub =': the matcher is not one expression"),
        (EVALUATED, "p, who == 'a', x", "rules/a.csv:1: rule \"who == 'a'\": the matcher names 'who'"),
        (RBAC, "g, a, b\ng, b, a", "rules/a.csv:2: roles form a cycle: a -> b -> a"),
        (DOMAINS, "g, a, b, x\ng, b, a, x\ng, c, d, x\ng, d, c, y", "rules/a.csv:2: roles form a cycle: a -> b -> a"),
        (
            ACL.replace("p = sub, obj, act", "p = sub, obj, act\np2 = sub"),
            "p2, a",
            "rules/a.csv:1: unknown row type 'p2'",
        ),
    ],
)
def test_bad_rows_are_refused_under_every_model(tmp_path: Path, text: str, rules: str, expected: str) -> None:
    """SECURITY-CASES 35: also where pycasbin itself decides."""
    found = problems(write_bundle(tmp_path, rules, model=text))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_model_that_only_looks_like_the_shipped_one_goes_to_pycasbin(tmp_path: Path) -> None:
    lookalike = SHIPPED_MODEL.replace("r.env, p.env", "p.env, r.env")
    bundle = load_bundle(write_bundle(tmp_path, "p, user:a, prod, x, read, allow,", model=lookalike))
    assert isinstance(PolicyEngine(bundle)._decider, CasbinDecider)
