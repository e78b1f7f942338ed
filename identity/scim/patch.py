"""Changes a resource as a PATCH says (RFC 7644, section 3.5.2), also in the shapes that Okta and Entra ID send.

Beyond the standard, because these clients need it:

- `op` is read without case (Entra ID: `"Add"`).
- The names in an object without a path may be paths themselves (Entra ID: `{"name.givenName": "Alice"}`).
- To remove `members` with a list of values removes those (Entra ID); without one, all, as the standard says.
- To add or replace `emails[type eq "work"].value` where there is no such address adds one that fits the filter.
  Entra ID sends that, and a refusal would hold back whatever stands in the same request: a deactivation, for one.

What is named in a path and does not exist is refused, never skipped: a deactivation with a typing error must not look
done. Only attributes that the standard knows and that are not kept here are skipped.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

from identity.scim.errors import bad_request, shown
from identity.scim.evaluation import compile_selection
from identity.scim.filter import And, Comparison, Filter, Name, Path, parse_path
from identity.scim.schema import Attribute, Place, ResourceType
from identity.scim.values import (
    MAX_MEMBERS,
    check_complete,
    distinct,
    member,
    member_ids,
    put,
    read_parts,
    read_value,
    unambiguous,
)
from identity.strict_json import JsonObject

PATCH_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MAX_OPERATIONS: Final = 1000

_OPERATIONS = ("add", "replace", "remove")


@dataclass(frozen=True, slots=True)
class Operation:
    """One change; `path` None means the resource itself."""

    op: Literal["add", "replace", "remove"]
    path: Path | None
    value: Any


class Patched(NamedTuple):
    """What a patch makes of a resource; `members` are the ids of a group's users."""

    document: JsonObject
    members: frozenset[str]


def read_patch(body: JsonObject) -> tuple[Operation, ...]:
    """Return the operations of a request; raises ScimError (invalidSyntax, invalidPath or invalidValue)."""
    schemas, listed = member(body, "schemas"), member(body, "Operations")
    if not isinstance(schemas, list) or PATCH_SCHEMA.lower() not in {str(each).lower() for each in schemas}:
        raise bad_request("invalidSyntax", f"`schemas` must hold {PATCH_SCHEMA}")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_OPERATIONS:
        raise bad_request("invalidSyntax", f"`Operations` must be a list of 1 to {MAX_OPERATIONS}")
    return tuple(_read_operation(each) for each in listed)


def apply_patch(
    document: JsonObject, members: frozenset[str], operations: tuple[Operation, ...], resource_type: ResourceType
) -> Patched:
    """Return the resource with all operations done, in order; what is given is left alone.

    Raises ScimError: invalidPath, invalidValue, noTarget or mutability; nothing counts as done then.
    """
    patch = _Patch(deepcopy(document), set(members), resource_type)
    for operation in operations:
        patch.apply(operation)
    if "active" in document:
        # An account that nobody says is active is not.
        patch.document.setdefault("active", False)
    check_complete(patch.document, resource_type)
    return Patched(patch.document, frozenset(patch.members))


def _read_operation(listed: Any) -> Operation:
    if not isinstance(listed, dict):
        raise bad_request("invalidSyntax", "an operation must be an object")
    op, path, value = (member(listed, name) for name in ("op", "path", "value"))
    op = op.lower() if isinstance(op, str) else ""
    if op not in _OPERATIONS:
        raise bad_request("invalidSyntax", "`op` must be add, replace or remove")
    if path is not None and not isinstance(path, str):
        raise bad_request("invalidPath", "`path` must be a text")
    if op == "remove" and not path:
        raise bad_request("noTarget", "`remove` needs a `path`")
    if op != "remove" and "value" not in {key.lower() for key in listed}:
        raise bad_request("invalidValue", f"`{op}` needs a `value`")
    if not path and not isinstance(value, dict):
        raise bad_request("invalidValue", f"`{op}` without a path needs an object with attributes as `value`")
    return Operation(cast(Literal["add", "replace", "remove"], op), parse_path(path) if path else None, value)


class _Patch:
    def __init__(self, document: JsonObject, members: set[str], resource_type: ResourceType) -> None:
        self.document = document
        self.members = members
        self._type = resource_type

    def apply(self, operation: Operation) -> None:
        if operation.path is not None:
            place = self._place(operation.path)
            if place is not None:
                self._change(_Change(operation.op, place, operation.path.selection, operation.value))
            return
        for text, value in unambiguous(operation.value).items():
            path = parse_path(text)
            place = self._type.find(_whole_name(path))
            # As in a resource that is created: what is not known or only for the server to set is ignored.
            if place is not None and not _is_read_only(place):
                self._change(_Change(operation.op, place, path.selection, value))

    def _place(self, path: Path) -> Place | None:
        """Return what an explicit path names, None where it is ignored."""
        name = _whole_name(path)
        place = self._type.find(name)
        if place is None:
            if self._type.ignores(name):
                return None
            raise bad_request("invalidPath", f"there is no attribute {shown(str(name))}")
        if _is_read_only(place):
            if place.attribute is not None and place.attribute.name == "schemas":
                return None
            raise bad_request("mutability", f"{shown(str(name))} can't be changed")
        return place

    def _change(self, change: "_Change") -> None:
        extension, attribute = change.place.extension, change.place.attribute
        if attribute is None:
            assert extension is not None
            parts = read_parts(extension.attributes, change.value, extension.id) if change.op != "remove" else None
            known = self.document.get(extension.id, {}) if change.op == "add" else {}
            put(self.document, extension.id, known | (parts or {}) or None)
        elif attribute.name == "members":
            self._change_members(change, attribute)
        else:
            if change.op == "remove" and attribute.name == self._type.key:
                raise bad_request("mutability", f"{attribute.name} is required")
            holder = self.document if extension is None else self.document.get(extension.id, {})
            of_values = _changed_values if attribute.multi_valued else _changed_value
            put(holder, attribute.name, of_values(holder.get(attribute.name), change, attribute))
            if extension is not None:
                put(self.document, extension.id, holder or None)

    def _change_members(self, change: "_Change", attribute: Attribute) -> None:
        selection, removes = change.selection, change.op == "remove"
        if change.place.sub_attribute is not None or (selection is not None and not removes):
            raise bad_request("invalidPath", "members are added, replaced and removed as a whole")
        if selection is not None:
            self.members -= _selected(self.members, selection, attribute)
        elif removes and change.value in (None, []):
            self.members.clear()
        else:
            ids = member_ids(read_value(attribute, change.value))
            if change.op == "replace":
                self.members.clear()
            if removes:
                self.members -= ids
            else:
                self.members |= ids
            if len(self.members) > MAX_MEMBERS:
                raise bad_request("invalidValue", f"a group has at most {MAX_MEMBERS} members")


@dataclass(frozen=True, slots=True)
class _Change:
    op: str
    place: Place
    selection: Filter | None
    value: Any


def _selected(members: set[str], selection: Filter, attribute: Attribute) -> set[str]:
    match selection:
        case Comparison(Name(None, name, None), "eq", str(wanted)) if name.lower() == "value":
            # What clients send, once for each of thousands: not worth looking at every member.
            return {wanted}
    fits = compile_selection(selection, attribute)
    return {each for each in members if fits({"value": each, "type": "User"})}


def _changed_value(known: Any, change: _Change, attribute: Attribute) -> Any:
    """Return what becomes of an attribute of one value."""
    sub_attribute = change.place.sub_attribute
    if change.selection is not None:
        raise bad_request("invalidPath", f"{attribute.name} has one value only: nothing to choose from")
    if sub_attribute is not None:
        parts = dict(known or {})
        put(parts, sub_attribute.name, read_value(sub_attribute, change.value) if change.op != "remove" else None)
        return parts or None
    read = read_value(attribute, change.value) if change.op != "remove" else None
    if attribute.type == "complex" and read is not None:
        # The parts that are given replace those that were there; the others stay.
        return (known or {}) | read
    return read


def _changed_values(known: list[JsonObject] | None, change: _Change, attribute: Attribute) -> list[JsonObject] | None:
    """Return what becomes of an attribute of several values."""
    values = known or []
    if change.selection is None and change.place.sub_attribute is None:
        given = read_value(attribute, change.value) or []
        if change.op == "remove":
            return [each for each in values if given and not _resembles_one(each, given)] or None
        return (given if change.op == "replace" else _one_primary(values, given)) or None
    fits = compile_selection(change.selection, attribute) if change.selection is not None else lambda _: True
    chosen = [fits(each) for each in values]
    if change.op != "remove" and not any(chosen):
        values, chosen = [*values, _fitting(change.selection, attribute)], [*chosen, True]
    changed = [_changed_element(*each, change, attribute) for each in zip(values, chosen, strict=True)]
    if any(each.get("primary") is True for each, is_chosen in zip(changed, chosen, strict=True) if is_chosen):
        changed = [each if is_chosen else _not_primary(each) for each, is_chosen in zip(changed, chosen, strict=True)]
    return distinct([each for each in changed if each]) or None


def _changed_element(value: JsonObject, is_chosen: bool, change: _Change, attribute: Attribute) -> JsonObject:
    """Return what becomes of one of several values, nothing where it is removed."""
    sub_attribute, removes = change.place.sub_attribute, change.op == "remove"
    if not is_chosen:
        return value
    if sub_attribute is not None:
        changed = dict(value)
        put(changed, sub_attribute.name, read_value(sub_attribute, change.value) if not removes else None)
        return changed
    if removes:
        return {}
    parts = read_parts(attribute.sub_attributes, change.value, attribute.name) or {}
    return parts if change.op == "replace" else value | parts


def _fitting(selection: Filter | None, attribute: Attribute) -> JsonObject:
    """Return the least value that a selection of `eq` terms fits; raises ScimError (noTarget) for any other."""
    match selection:
        case None:
            return {}
        case And(left, right):
            return _fitting(left, attribute) | _fitting(right, attribute)
        case Comparison(name, "eq", value):
            sub_attribute = attribute.sub_attribute(name.attribute)
            assert sub_attribute is not None
            return {sub_attribute.name: read_value(sub_attribute, value)}
        case _:
            raise bad_request("noTarget", f"{attribute.name} has no value that the path's filter fits")


def _one_primary(values: list[JsonObject], added: list[JsonObject]) -> list[JsonObject]:
    """Return both; where one that is added is primary, those that were there are no longer."""
    added = [each for each in added if each not in values]
    if any(each.get("primary") is True for each in added):
        values = [_not_primary(each) for each in values]
    return cast(list[JsonObject], distinct([*values, *added]))


def _not_primary(value: JsonObject) -> JsonObject:
    return {**value, "primary": False} if value.get("primary") is True else value


def _resembles_one(value: JsonObject, listed: list[JsonObject]) -> bool:
    return any(each.items() <= value.items() for each in listed)


def _whole_name(path: Path) -> Name:
    return Name(path.name.uri, path.name.attribute, path.sub_attribute)


def _is_read_only(place: Place) -> bool:
    parts = [part for part in (place.attribute, place.sub_attribute) if part is not None]
    return any(part.mutability == "readOnly" or part.name == "schemas" for part in parts)
