"""Where groups are in a token: names, paths and pointers, and tokens that have no room for them."""

from typing import Any

import pytest

from identity.group_claim import find_groups, is_overage, path_problem, top_level_name

CLAIMS: dict[str, Any] = {
    "groups": ["dev"],
    "realm_access": {"roles": ["admin"]},
    "resource_access": {"my.client": {"roles": ["deployer"]}, "account": {"roles": ["view"]}},
    "https://example.com/groups": ["ops"],
    "cognito:groups": ["users"],
    "a.b": "exact",
    "a": {"b": "nested"},
    "~odd/name": ["odd"],
    "": ["unnamed"],
    "listed": [{"roles": ["hidden"]}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("groups", ["dev"]),
        ("realm_access.roles", ["admin"]),
        ("resource_access.account.roles", ["view"]),
        ("resource_access.my.client.roles", None),
        ("/resource_access/my.client/roles", ["deployer"]),
        ("/groups", ["dev"]),
        ("https://example.com/groups", ["ops"]),
        ("cognito:groups", ["users"]),
        ("a.b", "exact"),
        ("/a/b", "nested"),
        ("/~0odd~1name", ["odd"]),
        ("/", ["unnamed"]),
        ("realm_access.none", None),
        ("realm_access.roles.admin", None),
        ("groups.0", None),
        ("listed.roles", None),
        ("/listed/0/roles", None),
        ("none", None),
        ("..", None),
    ],
)
def test_groups_are_found_by_name_path_or_pointer(path: str, found: object) -> None:
    assert find_groups(CLAIMS, path) == found


def test_a_pointer_is_checked_when_the_configuration_is_read() -> None:
    assert path_problem("/a~0~1") is None
    assert path_problem("a~b.c") is None
    for bad in ("/a~", "/a~2"):
        assert "RFC 6901" in str(path_problem(bad))


def test_the_claim_that_a_provider_would_list_is_known() -> None:
    assert [top_level_name(path) for path in ("groups", "realm_access.roles", "/a~1b/c")] == [
        "groups",
        "realm_access",
        "a/b",
    ]


@pytest.mark.parametrize(
    ("claims", "is_one"),
    [
        ({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}}, True),
        ({"hasgroups": True}, True),
        ({"hasgroups": "true"}, True),
        ({"groups": ["dev"], "hasgroups": True}, False),
        ({"groups": []}, False),
        ({"hasgroups": False}, False),
        ({"_claim_names": {"address": "src1"}}, False),
        ({"_claim_names": "groups"}, False),
        ({}, False),
    ],
)
def test_a_token_without_room_for_its_groups_says_so(claims: dict[str, Any], is_one: bool) -> None:
    assert is_overage(claims, "groups") is is_one


def test_a_nested_claim_can_be_left_out_as_a_whole() -> None:
    assert is_overage({"_claim_names": {"realm_access": "src1"}}, "realm_access.roles")
