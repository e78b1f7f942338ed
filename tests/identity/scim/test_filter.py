"""SCIM filters: parsed as RFC 7644 says, printed back, and true of what they say."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from identity.scim.errors import ScimError
from identity.scim.evaluation import compile_filter
from identity.scim.filter import (
    And,
    Comparison,
    Filter,
    Name,
    Not,
    Or,
    Path,
    Present,
    Selection,
    parse_filter,
    parse_path,
)
from identity.scim.schema import CORE_USER, ENTERPRISE_USER, GROUP, USER
from tests.identity.scim.samples import ENTRA_USER, any_filter, user_filter, users

USER_NAME, TITLE, TYPE = Name(None, "userName"), Name(None, "title"), Name(None, "userType")
EMPLOYEE, INTERN = Comparison(TYPE, "eq", "Employee"), Comparison(TYPE, "eq", "Intern")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('userName eq "bjensen"', Comparison(USER_NAME, "eq", "bjensen")),
        ('name.familyName co "O\'Malley"', Comparison(Name(None, "name", "familyName"), "co", "O'Malley")),
        (f'{CORE_USER}:userName sw "J"', Comparison(Name(CORE_USER, "userName"), "sw", "J")),
        ("title pr", Present(TITLE)),
        (
            'meta.lastModified gt "2011-05-13T04:42:34Z"',
            Comparison(Name(None, "meta", "lastModified"), "gt", "2011-05-13T04:42:34Z"),
        ),
        ('title pr and userType eq "Employee"', And(Present(TITLE), EMPLOYEE)),
        ('title pr or userType eq "Intern"', Or(Present(TITLE), INTERN)),
        (
            'userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")',
            And(
                EMPLOYEE,
                Or(
                    Comparison(Name(None, "emails"), "co", "example.com"),
                    Comparison(Name(None, "emails", "value"), "co", "example.org"),
                ),
            ),
        ),
        (
            'userType ne "Employee" and not (emails co "example.com")',
            And(Comparison(TYPE, "ne", "Employee"), Not(Comparison(Name(None, "emails"), "co", "example.com"))),
        ),
        (
            'emails[type eq "work" and value co "@example.com"] or title pr',
            Or(
                Selection(
                    Name(None, "emails"),
                    And(
                        Comparison(Name(None, "type"), "eq", "work"),
                        Comparison(Name(None, "value"), "co", "@example.com"),
                    ),
                ),
                Present(TITLE),
            ),
        ),
    ],
)
def test_the_examples_of_the_standard_mean_what_it_says(text: str, meaning: Filter) -> None:
    """RFC 7644, section 3.4.2.2"""
    assert parse_filter(text) == meaning


def test_and_binds_closer_than_or_and_not_closest() -> None:
    a, b, c = (Present(Name(None, name)) for name in "abc")
    assert parse_filter("a pr or b pr and c pr") == Or(a, And(b, c))
    assert parse_filter("a pr and b pr or c pr") == Or(And(a, b), c)
    assert parse_filter("not (a pr) and b pr") == And(Not(a), b)
    assert parse_filter("a pr and (b pr or c pr)") == And(a, Or(b, c))


def test_operators_and_words_are_read_without_case() -> None:
    """RFC 7644, section 3.4.2.2: Entra ID and others write `Eq`, `AND`, `True`."""
    assert parse_filter("active EQ True AND title PR") == And(
        Comparison(Name(None, "active"), "eq", True), Present(TITLE)
    )


def test_words_of_the_grammar_are_still_names_and_texts() -> None:
    assert parse_filter("not pr") == Present(Name(None, "not"))
    assert parse_filter('and eq "or"') == Comparison(Name(None, "and"), "eq", "or")
    assert parse_filter('userName eq "a) or (title pr"') == Comparison(USER_NAME, "eq", "a) or (title pr")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "userName",
        "userName eq",
        'userName is "x"',
        "userName eq x",
        'userName eq "x',
        "userName eq 'x'",
        'userName eq "x" and',
        'userName eq "x" title pr',
        "(title pr",
        "title pr)",
        "not title pr",
        'emails[type eq "work"',
        'emails[type eq "work"].value eq "x"',
        'emails[addresses[type eq "work"]]',
        'emails.value[type eq "work"]',
        'userName eq "\\q"',
        'userName eq "\\ud800"',
        'userName eq "\x00"',
        "userName eq 007",
        "userName eq 1e400",
        "user name pr",
        "1st pr",
        "a" * 5000 + " pr",
        "(" * 50 + "title pr" + ")" * 50,
        " or ".join(["title pr"] * 200),
    ],
)
def test_anything_else_is_an_invalid_filter(text: str) -> None:
    """SECURITY-CASES 23: also what is long, deep or wide"""
    with pytest.raises(ScimError) as raised:
        parse_filter(text)
    assert (raised.value.status, raised.value.scim_type) == (400, "invalidFilter")


@given(any_filter)
def test_a_printed_filter_parses_to_itself(found: Filter) -> None:
    assert parse_filter(str(found)) == found


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("members", Path(Name(None, "members"))),
        ("name.familyName", Path(Name(None, "name"), None, "familyName")),
        (
            f"{ENTERPRISE_USER}:manager.value",
            Path(Name(ENTERPRISE_USER, "manager"), None, "value"),
        ),
        (
            'members[value eq "2819c223"]',
            Path(Name(None, "members"), Comparison(Name(None, "value"), "eq", "2819c223")),
        ),
        (
            'emails[type eq "work"].value',
            Path(Name(None, "emails"), Comparison(Name(None, "type"), "eq", "work"), "value"),
        ),
    ],
)
def test_paths_are_attributes_chosen_values_and_their_parts(text: str, meaning: Path) -> None:
    """RFC 7644, section 3.5.2"""
    assert parse_path(text) == meaning
    assert str(meaning) == text


@pytest.mark.parametrize(
    "text", ["", "a b", "emails[", "emails[]", 'emails[type eq "work"]value', "a.b.c", "a pr", "1"]
)
def test_anything_else_is_an_invalid_path(text: str) -> None:
    with pytest.raises(ScimError) as raised:
        parse_path(text)
    assert raised.value.scim_type == "invalidPath"


RESOURCE: dict[str, Any] = {
    **ENTRA_USER,
    "id": "2819c223",
    "meta": {"lastModified": "2026-01-02T03:04:05Z"},
    "groups": [{"value": "g1", "display": "dev"}],
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('userName eq "alice@EXAMPLE.com"', True),
        ('externalId eq "0A21F0F2-8d2a-4f8e-bf98-7363c4aed4ef"', False),
        ('externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"', True),
        ('id eq "2819c223"', True),
        ('emails eq "alice@example.com"', True),
        ('emails[type eq "work"].value eq "x"', None),
        ('emails[type eq "work" and value sw "alice"]', True),
        ('emails[type eq "home"]', False),
        ('emails.type eq "WORK"', True),
        ("emails.primary eq true", True),
        ("active eq true", True),
        ('active eq "True"', True),
        ("active eq false", False),
        ("active gt true", None),
        ('active eq "perhaps"', None),
        (f'{ENTERPRISE_USER}:department eq "platform"', True),
        (f'{ENTERPRISE_USER.upper()}:DEPARTMENT eq "platform"', True),
        (f'{ENTERPRISE_USER}:manager eq "x"', False),
        (f"{ENTERPRISE_USER} pr", True),
        (f'{ENTERPRISE_USER} eq "x"', None),
        ("not (title pr or nickName pr)", True),
        ('name eq "x"', None),
        ('name.givenName ew "ice"', True),
        ('meta.lastModified gt "2026-01-02T03:04:04Z"', True),
        ('meta.lastModified gt "2026-01-02T05:04:04+02:00"', True),
        ('meta.lastModified lt "2026-01-02T03:04:05Z"', False),
        ('meta.lastModified ge "yesterday"', None),
        ('meta.lastModified co "2026"', None),
        (f'schemas eq "{CORE_USER}"', True),
        ('groups.value eq "g1"', True),
        ('groups[display eq "DEV"]', True),
        ("title pr", False),
        ("title eq null", True),
        ("userName ne null", True),
        ("userName gt null", None),
        ('title ne "x"', True),
        ("userName eq 7", None),
        ('userNam eq "x"', None),
        ('password eq "x"', None),
        ('urn:example:User:userName eq "x"', None),
        ('userName[value eq "x"]', None),
        ('emails[typ eq "x"]', None),
        ('userName gt "ALICE"', True),
        ('userName le "alice@example.com"', True),
    ],
)
def test_attributes_are_compared_by_their_types(text: str, fits: bool | None) -> None:
    """RFC 7643, section 2.3, and RFC 7644, section 3.4.2.2; None: the filter is refused, not answered with nothing."""
    if fits is None:
        with pytest.raises(ScimError) as raised:
            compile_filter(parse_filter(text), USER)
        assert raised.value.scim_type == "invalidFilter"
    else:
        assert compile_filter(parse_filter(text), USER)(RESOURCE) is fits


def test_look_alikes_are_not_equal_without_case() -> None:
    """SECURITY-CASES 21: the Kelvin sign is no `k`, the long s no `s`."""
    test = compile_filter(parse_filter('displayName eq "desks"'), GROUP)
    assert test({"displayName": "DESKS"})
    assert not test({"displayName": "des\u212as"})
    assert not test({"displayName": "de\u017fks"})


@given(user_filter, users)
def test_filters_are_true_of_what_they_say(found: Filter, user: dict[str, Any]) -> None:
    assert compile_filter(found, USER)(user) is _plainly_true(found, user)


def _plainly_true(found: Filter, user: dict[str, Any]) -> bool:
    """Tell the same as slowly and as plainly as possible, for the attributes of the samples."""
    if isinstance(found, And):
        return _plainly_true(found.left, user) and _plainly_true(found.right, user)
    if isinstance(found, Or):
        return _plainly_true(found.left, user) or _plainly_true(found.right, user)
    if isinstance(found, Not):
        return not _plainly_true(found.inner, user)
    if isinstance(found, Selection):
        return any(_plainly_true(found.inner, value) for value in user.get("emails", []) if value)
    if isinstance(found, Present) and found.name == Name(None, "emails"):
        return any(user.get("emails", []))
    values = _plain_values(found.name, user)
    if isinstance(found, Present):
        return bool(values)
    if found.operator == "ne":
        return not _plainly_true(Comparison(found.name, "eq", found.value), user)
    if found.value is None:
        return not values
    exact = found.name.attribute == "externalId" or isinstance(found.value, bool)
    wanted: Any = found.value if exact else str(found.value).lower()
    held: list[Any] = values if exact else [str(value).lower() for value in values]
    compare: dict[str, Callable[[Any], bool]] = {
        "eq": lambda one: bool(one == wanted),
        "co": lambda one: wanted in one,
        "sw": lambda one: bool(one.startswith(wanted)),
        "ew": lambda one: bool(one.endswith(wanted)),
        "gt": lambda one: bool(one > wanted),
        "ge": lambda one: bool(one >= wanted),
        "lt": lambda one: bool(one < wanted),
        "le": lambda one: bool(one <= wanted),
    }
    return any(compare[found.operator](one) for one in held)


def _plain_values(name: Name, user: dict[str, Any]) -> list[Any]:
    found = user.get(name.attribute)
    found = found if isinstance(found, list) else [found]
    part = "value" if name == Name(None, "emails") else name.sub_attribute
    if part is not None:
        found = [each.get(part) for each in found if each]
    return [each for each in found if each not in (None, "")]
