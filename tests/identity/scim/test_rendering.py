"""Resources as answers show them."""

import pytest

from identity.scim.discovery import schemas
from identity.scim.errors import ScimError
from identity.scim.rendering import read_projection, render
from identity.scim.schema import CORE_GROUP, CORE_USER, ENTERPRISE_USER, GROUP, USER
from identity.scim.store import Resource
from tests.identity.scim.samples import ENTRA_USER, kept

BASE = "https://gateway.example.com/-/scim/v2/corp"
ALICE = render(BASE, Resource("User", "u1", kept(ENTRA_USER), 7, 1_800_000_000, 1_800_000_060), groups=[("g1", "dev")])
DEV = render(BASE, Resource("Group", "g1", {"displayName": "dev"}, 8, 0, 0), members=["u1", "u2"])


def test_a_user_is_shown_with_groups_schemas_and_meta() -> None:
    assert ALICE["schemas"] == [CORE_USER, ENTERPRISE_USER]
    assert ALICE["groups"] == [{"value": "g1", "$ref": f"{BASE}/Groups/g1", "display": "dev", "type": "direct"}]
    assert ALICE["meta"] == {
        "resourceType": "User",
        "created": "2027-01-15T08:00:00Z",
        "lastModified": "2027-01-15T08:01:00Z",
        "location": f"{BASE}/Users/u1",
        "version": 'W/"7"',
    }


def test_a_group_is_shown_with_its_members() -> None:
    assert DEV["members"][0] == {"value": "u1", "$ref": f"{BASE}/Users/u1", "type": "User"}
    assert DEV["schemas"] == [CORE_GROUP]


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ("userName", {"userName"}),
        ("USERNAME, id", {"userName"}),
        ("userName,unheardOf", {"userName"}),
        (f"{CORE_USER}:userName", {"userName"}),
        (ENTERPRISE_USER, {ENTERPRISE_USER}),
        (f"{ENTERPRISE_USER}:department", {ENTERPRISE_USER}),
        ("meta.version,emails.value", {"meta", "emails"}),
    ],
)
def test_only_attributes_that_are_asked_for_are_shown(attributes: str, shown: set[str]) -> None:
    """RFC 7644, section 3.9: `id` and `schemas` always are."""
    document = read_projection(attributes, None, USER).apply(ALICE)
    assert document.keys() == shown | {"schemas", "id"}
    assert document["id"] == "u1"


def test_parts_of_attributes_are_shown_alone_and_together() -> None:
    document = read_projection("emails.value,emails.type,name.givenName", None, USER).apply(ALICE)
    assert document["emails"] == [{"value": "alice@example.com", "type": "work"}]
    assert document["name"] == {"givenName": "Alice"}


def test_entra_asks_for_groups_without_members() -> None:
    projection = read_projection(None, "members", GROUP)
    assert not projection.wants("members")
    assert projection.apply(DEV).keys() == DEV.keys() - {"members"}
    assert read_projection("displayName,members", None, GROUP).wants("members")
    assert not read_projection("displayName", None, GROUP).wants("members")
    assert read_projection(None, "members.$ref", GROUP).wants("members")


def test_what_is_not_wanted_is_left_out_but_for_what_is_always_shown() -> None:
    document = read_projection(None, f"id,schemas,name.givenName,emails.type,{ENTERPRISE_USER}", USER).apply(ALICE)
    assert document["id"] == "u1"
    assert document["name"] == {"formatted": "Alice Example", "familyName": "Example"}
    assert document["emails"] == [{"primary": True, "value": "alice@example.com"}]
    assert ENTERPRISE_USER not in document


def test_both_at_once_are_refused() -> None:
    with pytest.raises(ScimError):
        read_projection("userName", "emails", USER)


def test_the_published_schemas_name_every_attribute_that_is_kept() -> None:
    published = schemas(BASE)
    assert published.keys() == {CORE_USER, ENTERPRISE_USER, CORE_GROUP}
    names = {attribute["name"] for attribute in published[CORE_USER]["attributes"]}
    assert kept(ENTRA_USER).keys() - {"externalId", ENTERPRISE_USER} <= names
    assert "password" not in names
