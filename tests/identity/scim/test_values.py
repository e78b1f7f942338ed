"""What is kept of a resource that a client describes."""

from typing import Any

import pytest

from identity.scim.errors import ScimError
from identity.scim.schema import CORE_GROUP, CORE_USER, ENTERPRISE_USER, GROUP, USER
from identity.scim.values import check_complete, member_ids, read_resource
from tests.identity.scim.samples import ENTRA_USER, kept


def test_entras_user_is_kept_without_what_only_the_server_sets() -> None:
    document = kept(ENTRA_USER)
    assert document == {key: value for key, value in ENTRA_USER.items() if key not in ("schemas", "meta", "roles")}


def test_passwords_and_what_decides_nothing_are_never_kept() -> None:
    body = {
        "schemas": [CORE_USER],
        "userName": "alice",
        "password": "1mz050nq",
        "phoneNumbers": [{"value": "+1"}],
        "photos": [{"value": "https://example.com/a.jpg"}],
        "urn:example:custom:2.0:User": {"tag": "x"},
        "groups": [{"value": "g1"}],
        "unheardOf": {"deep": [1, 2, 3]},
        "name": {"givenName": "Alice", "secret": "x"},
    }
    assert kept(body) == {"userName": "alice", "name": {"givenName": "Alice"}}


def test_names_are_read_without_case_and_kept_in_the_schemas_spelling() -> None:
    body = {
        "SCHEMAS": [CORE_USER.upper()],
        "username": "alice",
        "NAME": {"givenname": "A"},
        ENTERPRISE_USER.lower(): {"COSTCENTER": "1"},
    }
    assert kept(body) == {"userName": "alice", "name": {"givenName": "A"}, ENTERPRISE_USER: {"costCenter": "1"}}


def test_null_and_empty_mean_that_there_is_no_value() -> None:
    """RFC 7643, section 2.5"""
    body: dict[str, Any] = {
        "schemas": [CORE_USER],
        "userName": "a",
        "title": None,
        "nickName": "",
        "emails": [],
        "name": {},
    }
    assert kept(body) == {"userName": "a"}


@pytest.mark.parametrize(
    ("change", "keyword"),
    [
        ({"schemas": None}, "invalidSyntax"),
        ({"schemas": []}, "invalidSyntax"),
        ({"schemas": [CORE_GROUP]}, "invalidSyntax"),
        ({"Active": False}, "invalidSyntax"),
        ({"userName": 7}, "invalidValue"),
        ({"userName": ["a", "b"]}, "invalidValue"),
        ({"userName": "a\x00b"}, "invalidValue"),
        ({"userName": "a\r\nb"}, "invalidValue"),
        ({"userName": "a\ud800"}, "invalidValue"),
        ({"userName": "x" * 257}, "invalidValue"),
        ({"externalId": "x" * 257}, "invalidValue"),
        ({"userName": ""}, "invalidValue"),
        ({"userName": None}, "invalidValue"),
        ({"title": "x" * 1025}, "invalidValue"),
        ({"active": "yes"}, "invalidValue"),
        ({"name": "Alice"}, "invalidValue"),
        ({"emails": [{"value": str(number)} for number in range(101)]}, "invalidValue"),
        ({"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]}, "invalidValue"),
        ({ENTERPRISE_USER: "x"}, "invalidValue"),
    ],
)
def test_what_can_not_be_kept_is_refused(change: dict[str, Any], keyword: str) -> None:
    """SECURITY-CASES 14, 23"""
    with pytest.raises(ScimError) as raised:
        check_complete(kept(ENTRA_USER | change), USER)
    assert (raised.value.status, raised.value.scim_type) == (400, keyword)


def test_members_are_ids_each_once() -> None:
    body = {"schemas": [CORE_GROUP], "displayName": "dev", "members": [{"value": "a"}, {"value": "a"}, "b"]}
    assert member_ids(read_resource(body, GROUP)["members"]) == {"a", "b"}
