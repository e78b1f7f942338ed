"""PATCH: what Okta and Entra ID are documented to send, and what RFC 7644, section 3.5.2, says."""

from typing import Any

import pytest

from identity.scim.errors import ScimError
from identity.scim.patch import Patched, apply_patch, read_patch
from identity.scim.schema import CORE_USER, ENTERPRISE_USER, GROUP, USER
from tests.identity.scim.samples import ENTRA_USER, PATCH, kept, patch_of

ALICE, BOB, CAROL = "2819c223-7f76", "902c246b-6245", "8d9d0c3a-1111"


def patched(*operations: dict[str, Any], user: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what operations make of a user as Entra ID has created it."""
    before = kept(ENTRA_USER) if user is None else user
    untouched = repr(before)
    after = apply_patch(before, frozenset(), read_patch(patch_of(*operations)), USER)
    assert repr(before) == untouched
    return after.document


def members_after(members: set[str], *operations: dict[str, Any]) -> frozenset[str]:
    """Return what operations make of a group's members."""
    return apply_patch({"displayName": "dev"}, frozenset(members), read_patch(patch_of(*operations)), GROUP).members


def refusal(*operations: dict[str, Any]) -> str | None:
    """Return the keyword that operations on a user are refused with."""
    with pytest.raises(ScimError) as raised:
        patched(*operations)
    assert raised.value.status == 400
    return raised.value.scim_type


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "replace", "value": {"active": False}}, id="Okta"),
        pytest.param({"op": "Replace", "path": "active", "value": "False"}, id="Entra ID"),
        pytest.param({"op": "replace", "path": "active", "value": False}, id="Entra ID, flag aadOptscim062020"),
        pytest.param({"op": "Replace", "path": "active", "value": [{"value": "False"}]}, id="Entra ID, as a list"),
        pytest.param({"op": "Add", "path": "active", "value": "false"}, id="as an addition"),
        pytest.param({"op": "replace", "path": f"{CORE_USER}:active", "value": False}, id="with the schema's URN"),
        pytest.param({"op": "replace", "path": "ACTIVE", "value": False}, id="in capitals"),
        pytest.param({"op": "remove", "path": "active"}, id="removed"),
        pytest.param({"op": "replace", "path": "active", "value": None}, id="null"),
        pytest.param({"OP": "replace", "Path": "active", "Value": False}, id="members in capitals"),
    ],
)
def test_every_shape_of_a_deactivation_deactivates(operation: dict[str, Any]) -> None:
    """SECURITY-CASES 28: a person removed at the provider; `"False"` is true to careless readers"""
    assert patched(operation)["active"] is False


@pytest.mark.parametrize("value", ["True", "true", True, [{"value": "True"}]])
def test_every_shape_of_an_activation_activates(value: object) -> None:
    before = kept(ENTRA_USER) | {"active": False}
    assert patched({"op": "Replace", "path": "active", "value": value}, user=before)["active"] is True


@pytest.mark.parametrize("value", ["maybe", 1, 0, {}, [], ["True", "False"], {"active": False}])
def test_what_is_neither_true_nor_false_is_refused(value: object) -> None:
    assert refusal({"op": "replace", "path": "active", "value": value}) == "invalidValue"


def test_entra_updates_attributes_of_all_kinds_in_one_request() -> None:
    after = patched(
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@example.com"},
        {"op": "Replace", "path": "name.familyName", "value": "Updated"},
        {"op": "Add", "path": "nickName", "value": "Al"},
        {"op": "Add", "path": f"{ENTERPRISE_USER}:employeeNumber", "value": "7"},
        {"op": "Add", "path": f"{ENTERPRISE_USER}:manager", "value": [{"$ref": "http://x/10", "value": "10"}]},
    )
    assert after["emails"] == [{"primary": True, "type": "work", "value": "updated@example.com"}]
    assert after["name"] == {"formatted": "Alice Example", "familyName": "Updated", "givenName": "Alice"}
    assert after["nickName"] == "Al"
    assert after[ENTERPRISE_USER] == {"department": "Platform", "employeeNumber": "7", "manager": {"value": "10"}}


def test_entra_names_parts_of_attributes_in_an_object_without_a_path() -> None:
    after = patched(
        {
            "op": "replace",
            "value": {
                "displayName": "Alice E.",
                "name.givenName": "Alicia",
                f"{ENTERPRISE_USER}:employeeNumber": "8",
                'emails[type eq "work"].value': "alicia@example.com",
                "phoneNumbers": [{"value": "1"}],
                "id": "another",
            },
        }
    )
    assert (after["displayName"], after["name"]["givenName"]) == ("Alice E.", "Alicia")
    assert after[ENTERPRISE_USER] == {"department": "Platform", "employeeNumber": "8"}
    assert after["emails"][0]["value"] == "alicia@example.com"
    assert "phoneNumbers" not in after and "id" not in after


def test_entra_adds_an_address_by_a_filter_that_fits_none_yet() -> None:
    """A refusal would hold back the deactivation beside it."""
    after = patched(
        {"op": "Replace", "path": 'emails[type eq "home"].value', "value": "a@example.net"},
        {"op": "Replace", "path": "active", "value": "False"},
    )
    assert {"type": "home", "value": "a@example.net"} in after["emails"]
    assert after["active"] is False


def test_entra_sets_a_manager_by_a_text_and_removes_it() -> None:
    with_manager = patched({"op": "Add", "path": f"{ENTERPRISE_USER}:manager", "value": "10"})
    assert with_manager[ENTERPRISE_USER]["manager"] == {"value": "10"}
    without = patched({"op": "Remove", "path": f"{ENTERPRISE_USER}:manager"}, user=with_manager)
    assert without[ENTERPRISE_USER] == {"department": "Platform"}


def test_an_extension_is_changed_as_a_whole_too() -> None:
    more = {"op": "add", "value": {ENTERPRISE_USER: {"division": "EMEA"}}}
    assert patched(more)[ENTERPRISE_USER] == {"department": "Platform", "division": "EMEA"}
    other = {"op": "replace", "path": ENTERPRISE_USER, "value": {"division": "EMEA"}}
    assert patched(other)[ENTERPRISE_USER] == {"division": "EMEA"}
    assert ENTERPRISE_USER not in patched({"op": "remove", "path": ENTERPRISE_USER})


def test_attributes_that_are_not_kept_are_skipped() -> None:
    before = kept(ENTRA_USER)
    operations: list[dict[str, Any]] = [
        {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": "+1"},
        {"op": "Add", "path": 'addresses[type eq "work"].formatted', "value": "a\nb"},
        {"op": "replace", "path": "password", "value": "secret"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:Custom:2.0:User:tag", "value": "x"},
        {"op": "Add", "path": "schemas", "value": ["urn:example:x"]},
    ]
    assert patched(*operations) == before


def test_a_path_that_names_nothing_is_refused_not_skipped() -> None:
    """A deactivation with a typing error must not look done."""
    assert refusal({"op": "replace", "path": "activ", "value": False}) == "invalidPath"
    assert refusal({"op": "replace", "path": "name.given", "value": "x"}) == "invalidPath"
    assert refusal({"op": "replace", "path": f"{ENTERPRISE_USER}:active", "value": False}) == "invalidPath"
    assert refusal({"op": "replace", "path": 'active[value eq "x"]', "value": False}) == "invalidPath"
    assert refusal({"op": "replace", "path": "emails[typ eq 1]", "value": {}}) == "invalidFilter"


@pytest.mark.parametrize("path", ["id", "meta", "meta.version", "groups"])
def test_what_only_the_server_sets_is_not_changed_by_name(path: str) -> None:
    assert refusal({"op": "replace", "path": path, "value": "x"}) == "mutability"


def test_required_attributes_stay() -> None:
    assert refusal({"op": "remove", "path": "userName"}) == "mutability"
    assert refusal({"op": "replace", "path": "userName", "value": None}) == "invalidValue"
    assert refusal({"op": "replace", "path": "userName", "value": ""}) == "invalidValue"


def test_nothing_of_a_request_with_one_bad_operation_counts() -> None:
    assert (
        refusal(
            {"op": "replace", "path": "active", "value": False},
            {"op": "replace", "path": "nothing", "value": "x"},
        )
        == "invalidPath"
    )


@pytest.mark.parametrize(
    ("body", "keyword"),
    [
        ({"schemas": [], "Operations": [{"op": "replace", "value": {}}]}, "invalidSyntax"),
        ({"Operations": [{"op": "replace", "value": {}}]}, "invalidSyntax"),
        ({"schemas": [PATCH]}, "invalidSyntax"),
        (patch_of(), "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": {}}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": ["x"]}, "invalidSyntax"),
        (patch_of(*[{"op": "remove", "path": "title"}] * 1001), "invalidSyntax"),
        (patch_of({"op": "delete", "path": "title"}), "invalidSyntax"),
        (patch_of({"path": "title", "value": "x"}), "invalidSyntax"),
        (patch_of({"op": "replace", "Op": "remove", "path": "title", "value": "x"}), "invalidSyntax"),
        (patch_of({"op": "remove"}), "noTarget"),
        (patch_of({"op": "replace", "path": "title"}), "invalidValue"),
        (patch_of({"op": "add", "value": "x"}), "invalidValue"),
        (patch_of({"op": "add", "path": 7, "value": "x"}), "invalidPath"),
    ],
)
def test_malformed_requests_are_refused_with_the_standards_keyword(body: dict[str, Any], keyword: str) -> None:
    with pytest.raises(ScimError) as raised:
        read_patch(body)
    assert raised.value.scim_type == keyword


HOME = {"type": "home", "value": "a@example.net"}
WORK = {"primary": True, "type": "work", "value": "alice@example.com"}


@pytest.mark.parametrize(
    ("operation", "emails"),
    [
        ({"op": "add", "path": "emails", "value": [HOME]}, [WORK, HOME]),
        ({"op": "add", "path": "emails", "value": HOME}, [WORK, HOME]),
        ({"op": "add", "path": "emails", "value": [WORK]}, [WORK]),
        ({"op": "replace", "path": "emails", "value": [HOME]}, [HOME]),
        ({"op": "replace", "path": "emails", "value": []}, None),
        ({"op": "remove", "path": "emails"}, None),
        ({"op": "remove", "path": 'emails[type eq "work"]'}, None),
        ({"op": "remove", "path": 'emails[type eq "home"]'}, [WORK]),
        ({"op": "remove", "path": 'emails[type eq "work"].primary'}, [{"type": "work", "value": "alice@example.com"}]),
        ({"op": "remove", "path": "emails", "value": [{"value": "alice@example.com"}]}, None),
        ({"op": "remove", "path": "emails", "value": [{"value": "other@example.com"}]}, [WORK]),
        ({"op": "replace", "path": 'emails[type eq "work"]', "value": HOME}, [HOME]),
        (
            {"op": "add", "path": 'emails[type eq "home" and primary eq false].value', "value": "b@example.net"},
            [WORK, {"type": "home", "primary": False, "value": "b@example.net"}],
        ),
        ({"op": "add", "path": "emails.display", "value": "A"}, [{**WORK, "display": "A"}]),
        ({"op": "add", "path": 'emails[type eq "work"]', "value": {"display": "A"}}, [{**WORK, "display": "A"}]),
        (
            {"op": "add", "path": "emails", "value": [{**HOME, "primary": True}]},
            [{**WORK, "primary": False}, {**HOME, "primary": True}],
        ),
        (
            {"op": "add", "path": 'emails[type eq "home"].primary', "value": True},
            [{**WORK, "primary": False}, {"type": "home", "primary": True}],
        ),
    ],
)
def test_lists_are_changed_as_the_standard_says(operation: dict[str, Any], emails: list[object] | None) -> None:
    """RFC 7644, sections 3.5.2.1 to 3.5.2.3"""
    assert patched(operation).get("emails") == emails


def test_a_filter_that_fits_nothing_and_tells_no_value_has_no_target() -> None:
    """RFC 7644, section 3.5.2.3"""
    assert refusal({"op": "replace", "path": 'emails[type co "x"].value', "value": "y"}) == "noTarget"


def test_okta_replaces_adds_and_removes_members() -> None:
    replaced = members_after({ALICE}, {"op": "replace", "path": "members", "value": [{"value": BOB, "display": "bob"}]})
    assert replaced == {BOB}
    assert members_after(
        {ALICE},
        {"op": "remove", "path": f'members[value eq "{ALICE}"]'},
        {"op": "add", "path": "members", "value": [{"value": BOB, "display": "bob@example.com"}]},
    ) == {BOB}
    renamed = apply_patch(
        {"displayName": "dev"},
        frozenset({ALICE}),
        read_patch(patch_of({"op": "replace", "value": {"id": "abf4dd94", "displayName": "Test SCIMv2"}})),
        GROUP,
    )
    assert renamed == Patched({"displayName": "Test SCIMv2"}, frozenset({ALICE}))


def test_entra_adds_many_members_and_removes_those_it_lists() -> None:
    """Entra ID's older form lists whom to remove beside the path `members`: only they may go."""
    added = [{"$ref": None, "value": BOB}, {"$ref": None, "value": CAROL}]
    assert members_after({ALICE}, {"op": "Add", "path": "members", "value": added}) == {ALICE, BOB, CAROL}
    removed = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": BOB}]}
    assert members_after({ALICE, BOB}, removed) == {ALICE}
    assert members_after({ALICE, BOB}, {"op": "Remove", "path": "members", "value": [{"value": BOB}]}) == {ALICE}


def test_members_are_removed_all_at_once_or_by_any_filter() -> None:
    everybody = {ALICE, BOB, CAROL}
    assert members_after(everybody, {"op": "remove", "path": "members"}) == frozenset()
    assert members_after(everybody, {"op": "remove", "path": 'members[value sw "9"]'}) == {ALICE, CAROL}
    assert members_after(everybody, {"op": "remove", "path": 'members[value eq "nobody"]'}) == everybody
    two = f'members[value eq "{ALICE}" or value eq "{BOB}"]'
    assert members_after(everybody, {"op": "remove", "path": two}) == {CAROL}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "members", "value": [{"display": "bob"}]},
        {"op": "add", "path": "members", "value": [7]},
        {"op": "add", "path": "members", "value": [{"value": {"value": "x", "more": 1}}]},
        {"op": "add", "path": "members.value", "value": "x"},
        {"op": "add", "path": 'members[value eq "x"]', "value": {"value": "y"}},
        {"op": "replace", "path": "members", "value": [{"value": str(number)} for number in range(50_001)]},
    ],
)
def test_members_that_name_nobody_or_too_many_are_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(ScimError) as raised:
        members_after({ALICE}, operation)
    assert raised.value.scim_type in ("invalidValue", "invalidPath")


def test_a_group_does_not_grow_without_end() -> None:
    everybody = {str(number) for number in range(50_000)}
    with pytest.raises(ScimError):
        members_after(everybody, {"op": "add", "path": "members", "value": [{"value": "one more"}]})
    assert len(members_after(everybody, {"op": "add", "path": "members", "value": [{"value": "7"}]})) == 50_000


def test_a_thousand_members_go_from_a_large_group_at_once() -> None:
    everybody = {str(number) for number in range(50_000)}
    operations = [{"op": "remove", "path": f'members[value eq "{number}"]'} for number in range(1000)]
    assert len(members_after(everybody, *operations)) == 49_000
