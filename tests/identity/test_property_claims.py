"""What holds of claims at any path and of conditions on them, whatever JSON a provider sends."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity.accounts import group_subjects, is_safe_name, linkable_email, normalise_email, username
from identity.authenticator import InvalidCredentialError
from identity.claim_pattern import ClaimPattern
from identity.claims import check_audience
from identity.directory import Directory
from identity.group_claim import find_groups, is_overage, path_problem
from identity.provider_settings import ProviderSettings
from identity.workloads import ClaimCondition, ClaimNameError, Workload, claim_path

keys = st.text("ab.~/:01 \u00e9", max_size=4)
leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=3)
documents = st.dictionaries(
    keys,
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)),
    max_size=4,
)


def corp(**changes: Any) -> ProviderSettings:
    fields = {"name": "corp", "issuer": "https://corp.example.com", "audiences": ["portcullis"]}
    return ProviderSettings.model_validate(fields | changes)


def pointer(path: Sequence[str]) -> str:
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def within(path: Sequence[str], value: object) -> dict[str, Any]:
    """Return claims that hold the value at the path, among others."""
    for name in reversed(path):
        value = {name: value, name + "x": "another"}
    assert isinstance(value, dict)
    return value


@given(st.lists(keys, min_size=1, max_size=5), documents, leaves)
def test_a_pointer_finds_what_was_put_anywhere(path: list[str], others: dict[str, Any], value: object) -> None:
    """RFC 6901: whatever the names hold, dots, slashes and tildes among it."""
    assert path_problem(pointer(path)) is None
    assert find_groups(others | within(path, value), pointer(path)) == value


@given(st.lists(keys.filter(lambda name: "." not in name and name), min_size=2, max_size=5), leaves)
def test_a_dotted_path_finds_what_was_put_there(path: list[str], value: object) -> None:
    dotted = ".".join(path)
    if dotted.startswith("/"):
        return
    claims = within(path, value)
    assert find_groups(claims, dotted) == value
    assert find_groups(claims | {dotted: "exact"}, dotted) == "exact", "an exact name wins"


def everything_in(value: object) -> list[object]:
    children = value.values() if isinstance(value, dict) else ()
    return [value, *(found for child in children for found in everything_in(child))]


@given(documents, st.text("ab./~0 1", max_size=8))
def test_nothing_is_found_that_is_not_there_and_never_inside_a_list(claims: dict[str, Any], path: str) -> None:
    found = find_groups(claims, path)
    assert found is None or found in everything_in(claims)
    assert not is_overage(claims, path) or found is None


@given(st.recursive(leaves | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(keys, inner)))
def test_groups_of_any_form_are_names_for_rules_or_a_refusal(found: Any) -> None:
    try:
        groups = group_subjects(found, corp(groups_claim="/realm/roles"))
    except InvalidCredentialError as error:
        assert error.code == "malformed_claim"
        assert not isinstance(found, (str, list, type(None)))
        return
    names = [group.removeprefix("group:corp:") for group in groups]
    assert all(is_safe_name(name) for name in names)
    assert len(set(names)) == len(names)
    assert set(names) <= {name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)}


@given(documents, st.lists(keys.filter(bool), min_size=1, max_size=4), st.text("ab/*", min_size=1, max_size=4))
def test_a_condition_on_any_claims_holds_or_not_but_never_fails(
    claims: dict[str, Any], path: list[str], text: str
) -> None:
    if "***" in text:
        return
    condition = ClaimCondition(pointer(path), (ClaimPattern(text),))
    assert condition.holds(claims) in (True, False)
    assert not condition.holds({}), "an absent claim fits no pattern, not even `**`"


@given(st.lists(keys.filter(bool), min_size=1, max_size=4), st.text("abC:/", min_size=1, max_size=6), documents)
def test_a_condition_without_wildcards_holds_for_that_very_text_alone(
    path: list[str], text: str, others: dict[str, Any]
) -> None:
    condition = ClaimCondition(pointer(path), (ClaimPattern(text),))
    assert condition.holds(others | within(path, text))
    assert condition.holds(others | within(path, ["else", text]))
    for other in (text + " ", " " + text, text + "\n", text + "x", text[1:], text.swapcase(), [text + "/"], {text: 1}):
        same = other == text
        assert condition.holds(within(path, other)) is same


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (7, "7"), (-1, "-1"), ("true", "true"), ("7", "7")]
)
def test_truth_values_and_whole_numbers_are_compared_as_json_writes_them(value: object, text: str) -> None:
    condition = ClaimCondition("protected", (ClaimPattern(text),))
    assert condition.holds({"protected": value})
    for other in (None, 1.0, 7.0, {"x": 1}, [], [[text]], text.upper() + "x"):
        assert not condition.holds({"protected": other})


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=4, unique=True), st.data())
def test_a_workload_is_one_only_where_all_of_its_conditions_hold(names: list[str], data: st.DataObject) -> None:
    claims = {name: data.draw(st.sampled_from(["good", "bad"])) for name in names}
    entry = Workload("w", "ci", tuple(ClaimCondition(name, (ClaimPattern("good"),)) for name in names))
    holds = all(value == "good" for value in claims.values())
    assert entry.matches(claims) is holds
    assert entry.unmet(claims) == tuple(name for name in names if claims[name] == "bad")
    directory = Directory({}, {}, (entry,))
    assert directory.workload_names("ci", claims) == (("w",) if holds else ())
    assert directory.workload_names("corp", claims) == ()


@given(st.text("ab/~01", max_size=8))
def test_a_claim_is_named_in_one_way_or_not_at_all(name: str) -> None:
    try:
        path = claim_path(name)
    except ClaimNameError:
        return
    assert all(path)
    assert name in ("".join(path), pointer(path))


EMAIL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+@[a-z0-9.-]+\.[a-z0-9-]+")


@given(st.text(max_size=30) | st.from_regex(r"\A[aB.\"@ ]{1,4}@[aB.@-]{1,6}\Z"))
@example("a@evil.com@corp.com")
@example("\u212a@corp.com")
@example("a@corp.com\n")
def test_an_address_is_plain_or_none(address: str) -> None:
    """SECURITY-CASES 21."""
    normal = normalise_email(address)
    if normal is not None:
        assert EMAIL.fullmatch(normal)
        assert normal == address.lower()
        assert address.isascii() and address.count("@") == 1


@given(st.text("ab.-", min_size=1, max_size=8), st.text("ab.-", min_size=1, max_size=8), st.booleans())
def test_an_address_is_believed_in_its_very_domain_and_only_verified(one: str, other: str, verified: bool) -> None:
    """SECURITY-CASES 21: no subdomain, no parent, no other ending."""
    claims = {"email": f"bob@{one}.example.com", "email_verified": verified}
    trusted = f"{other}.example.com"
    try:
        settings = corp(email_domains=[trusted], username_claim="email")
    except ValueError:
        return
    believed = linkable_email(claims, settings)
    assert (believed is not None) <= (verified and one == other)
    if believed is None:
        with pytest.raises(InvalidCredentialError, match="unusable_username"):
            username(claims, settings)
    else:
        assert username(claims, settings) == believed == f"bob@{trusted}"


@given(st.lists(st.text("portculis ,2", max_size=12) | st.just("portcullis"), max_size=5), st.booleans())
def test_an_audience_is_one_of_ours_exactly(audiences: list[str], two: bool) -> None:
    """SECURITY-CASES 19."""
    settings = corp(audiences=["portcullis", "grafana"] if two else ["portcullis"])
    try:
        assert check_audience({"aud": audiences}, settings) == tuple(audiences)
        accepted = True
    except InvalidCredentialError as error:
        assert error.code == "wrong_audience"
        accepted = False
    assert accepted is ("portcullis" in audiences)
