"""A model is read strictly, and one that allows by default only on purpose."""

from pathlib import Path

import casbin
import pytest

from gateway.policy.findings import BundleError
from gateway.policy.model import ALLOW_BY_DEFAULT_MARKER, PolicyModel, parse_model
from tests.gateway.policy.bundles import SHIPPED_MODEL, ask, engine_of, problems, write_bundle

ACL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
ALLOW_BY_DEFAULT = ACL.replace("e = some(where (p.eft == allow))", "e = !some(where (p.eft == deny))")


def test_a_model_that_allows_by_default_is_refused(tmp_path: Path) -> None:
    """SECURITY-CASES 36: `!some(where (p.eft == deny))` alone is refused."""
    found = problems(write_bundle(tmp_path, model=ALLOW_BY_DEFAULT))
    assert len(found) == 1
    assert found[0].startswith("model.conf:6: this effect allows whatever no rule denies")


def test_a_model_may_allow_by_default_on_purpose(tmp_path: Path) -> None:
    """SECURITY-CASES 36: the marker says that it is meant."""
    model = f"{ALLOW_BY_DEFAULT_MARKER}\n{ALLOW_BY_DEFAULT}"
    engine = engine_of(tmp_path, "p, user:a, x, read, deny", model=model)
    assert engine.decide(ask("user:a", "read", "y")).allowed
    assert engine.decide(ask("user:a", "read", "y")).reason == "no_matching_rule"
    assert engine.decide(ask("user:a", "read", "x")).reason == "denied_by_rule"
    assert engine.roles_that_would_allow(ask("user:a", "read", "y")) == ()


def test_a_marker_inside_another_comment_is_no_marker() -> None:
    with pytest.raises(BundleError):
        parse_model(f"# not {ALLOW_BY_DEFAULT_MARKER}\n{ALLOW_BY_DEFAULT}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[matchers]", "[matcher]", "model.conf:7: unknown section [matcher]"),
        ("m = r.sub", "mm = r.sub", "model.conf:8: 'mm' does not belong in this section"),
        ("m = r.sub", "m = true\nm = r.sub", "model.conf:9: 'm' is already defined in line 8"),
        (
            "e = some(where (p.eft == allow))",
            "e = some(where (p.eft==allow))",
            "model.conf:6: unsupported policy effect",
        ),
        ("e = some(where (p.eft == allow))", "", "model.conf: has no `e = ...` in [policy_effect]"),
        ("r = sub, obj, act", "r = sub, obj, act, colour", "model.conf:2: a request has no 'colour'"),
        ("r = sub, obj, act", "r = sub, sub, act", "model.conf:2: the names in `r` must be distinct"),
        ("p = sub, obj, act, eft", "p = sub, obj, act, eft # x", "model.conf:4: the names in `p` must be distinct"),
        ("m = r.sub", "m = ) r.sub", "model.conf:8: the matcher is not one expression"),
        ("m = r.sub", "m = true; r.sub", "model.conf:8: the matcher is not one expression"),
        ("m = r.sub", "m = keymatch(r.obj, p.obj) && r.sub", "model.conf:8: the matcher names 'keymatch'"),
        ("m = r.sub", "m = r.sub != 'a||b' && r.sub", "model.conf:8: Casbin rewrites the text inside the literal"),
        ("m = r.sub", "m = r.sub != 'a#b' && r.sub", "model.conf:8: Casbin rewrites the text inside the literal"),
        ("m = r.sub", "just words r.sub", "model.conf:8: 'just words r.sub"),
        ("m = r.sub", "m = \\\n\nr.sub", "model.conf:9: a line that ends in \\"),
        ("[matchers]", "[role_definition]\ng = _\n[matchers]", "model.conf:8: a role definition is"),
        ("[matchers]", "[role_definition]\ng = _, _, (_, _)\n[matchers]", "model.conf:8: conditional roles"),
        (
            "e = some(where (p.eft == allow))",
            "e = subjectPriority(p.eft) || deny",
            "model.conf:6: subjectPriority needs",
        ),
        ("[matchers]", "[matchers]\x1b", "model.conf:7: has control or invisible characters"),
    ],
)
def test_a_faulty_model_is_refused_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in ACL
    found = problems(write_bundle(tmp_path, model=ACL.replace(old, new)))
    assert any(line.startswith(expected) for line in found), found


def test_only_the_shipped_model_is_taken_for_it() -> None:
    assert parse_model(SHIPPED_MODEL).is_shipped
    assert parse_model(SHIPPED_MODEL.replace("p.sub) && ", "p.sub)   &&   ")).is_shipped
    assert not parse_model(ACL).is_shipped
    assert not parse_model(SHIPPED_MODEL.replace("r.env, p.env", "r.env, r.env")).is_shipped


@pytest.mark.parametrize(
    "text", [SHIPPED_MODEL, ACL, ACL.replace("m = r.sub == p.sub &&", "m = r.sub == p.sub \\\n &&")]
)
def test_a_model_is_read_as_pycasbin_reads_it(text: str) -> None:
    ours: PolicyModel = parse_model(text)
    stock = casbin.Enforcer.new_model(text=text)
    mine = ours.casbin_model()
    for section in stock.keys():  # noqa: SIM118 (not a dict)
        for key, definition in stock[section].items():
            assert " ".join(mine[section][key].value.split()) == " ".join(definition.value.split())
            assert mine[section][key].tokens == definition.tokens
