"""Reads what a client says a resource or an attribute is, into the one form that is kept (RFC 7643, section 2).

Names are read without case and kept in the schema's spelling. `null`, an empty list and an empty text mean that there
is no value. Attributes that are not kept, or that only the server sets, are ignored. Forms that Entra ID sends are read
too: `"False"` for a boolean, a text for a complex value, a list of one for a single value.
"""

from typing import Any, Final

from identity.scim.errors import bad_request
from identity.scim.schema import Attribute, ResourceType
from identity.strict_json import JsonObject

MAX_TEXT: Final = 1024
MAX_NAME: Final = 256
"""The longest `userName`, `displayName` of a group, and `externalId`: they are indexed."""
MAX_VALUES: Final = 100
MAX_MEMBERS: Final = 50_000

_BOOLEANS = {"true": True, "false": False}


def read_resource(body: JsonObject, resource_type: ResourceType) -> JsonObject:
    """Return what is kept of a resource that is created or replaced.

    Raises ScimError: invalidSyntax or invalidValue. Required attributes are not looked at (`check_complete`).
    """
    schemas = member(body, "schemas")
    if not isinstance(schemas, list) or resource_type.core.id.lower() not in {str(each).lower() for each in schemas}:
        raise bad_request("invalidSyntax", f"`schemas` must hold {resource_type.core.id}")
    document: JsonObject = {}
    extension = resource_type.extension
    for key, value in unambiguous(body).items():
        if extension is not None and key.lower() == extension.id.lower():
            put(document, extension.id, read_parts(extension.attributes, value, extension.id))
            continue
        attribute = resource_type.attribute(key)
        if attribute is not None and attribute.mutability != "readOnly" and attribute.name != "schemas":
            put(document, attribute.name, read_value(attribute, value))
    return document


def read_value(attribute: Attribute, value: Any) -> Any:
    """Return a value as it is kept, None where there is none; raises ScimError (invalidValue)."""
    if not attribute.multi_valued:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return _read_one(attribute, value)
    values = value if isinstance(value, list) else [value]
    limit = MAX_MEMBERS if attribute.name == "members" else MAX_VALUES
    if len(values) > limit:
        raise bad_request("invalidValue", f"{attribute.name} has more than {limit} values")
    read = [_read_one(attribute, value) for value in values]
    if attribute.name == "members" and not all(each is not None and "value" in each for each in read):
        # Left out, it would be a smaller group than the one that the client believes to have made.
        raise bad_request("invalidValue", "each of the members must have a `value`, the id of a user")
    return distinct([each for each in read if each is not None]) or None


def read_parts(attributes: tuple[Attribute, ...], value: Any, name: str) -> JsonObject | None:
    """Return the parts of a complex value or an extension, None where there are none; raises ScimError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise bad_request("invalidValue", f"{name} must be an object")
    by_name = {attribute.name.lower(): attribute for attribute in attributes}
    parts: JsonObject = {}
    for key, inner in unambiguous(value).items():
        attribute = by_name.get(key.lower())
        if attribute is not None and attribute.mutability != "readOnly":
            put(parts, attribute.name, read_value(attribute, inner))
    return parts or None


def check_complete(document: JsonObject, resource_type: ResourceType) -> None:
    """Hold a resource that is about to be kept, its members apart, to what every one must be.

    Raises ScimError (invalidValue).
    """
    key = resource_type.key
    if not document.get(key):
        raise bad_request("invalidValue", f"{key} is required")
    for name in (key, "externalId"):
        if len(document.get(name, "")) > MAX_NAME:
            raise bad_request("invalidValue", f"{name} is longer than {MAX_NAME} characters")
    for name, value in document.items():
        if isinstance(value, list):
            if len(value) > MAX_VALUES:
                raise bad_request("invalidValue", f"{name} has more than {MAX_VALUES} values")
            if sum(each.get("primary") is True for each in value) > 1:
                raise bad_request("invalidValue", f"{name} has more than one primary value")


def member_ids(members: list[JsonObject] | None) -> frozenset[str]:
    """Return the ids in a list of members that has been read, None being an empty one."""
    return frozenset(each["value"] for each in members or ())


def distinct(values: list[Any]) -> list[Any]:
    """Return the values without repetitions, in order."""
    # Values are texts and objects of texts and booleans, so their text tells them apart, and 50,000 take no time.
    return list({repr(sorted(value.items()) if isinstance(value, dict) else value): value for value in values}.values())


def member(body: JsonObject, name: str) -> Any:
    """Return a message's member, whose name is read without case."""
    return unambiguous(body, name).get(name)


def unambiguous(body: JsonObject, name: str | None = None) -> JsonObject:
    """Return the members, the one called `name` spelt so; raises ScimError where two differ by case only."""
    if len({key.lower() for key in body}) != len(body):
        raise bad_request("invalidSyntax", "two members of an object have the same name")
    if name is None:
        return body
    return {name if key.lower() == name.lower() else key: value for key, value in body.items()}


def put(document: JsonObject, name: str, value: Any) -> None:
    """Assign a value, or unassign it where it is None."""
    if value is None:
        document.pop(name, None)
    else:
        document[name] = value


def _read_one(attribute: Attribute, value: Any) -> Any:
    if value is None or value == "":
        return None
    if attribute.type == "complex":
        if isinstance(value, str) and attribute.sub_attribute("value") is not None:
            value = {"value": value}
        return read_parts(attribute.sub_attributes, value, attribute.name)
    if isinstance(value, dict) and value.keys() == {"value"}:
        value = value["value"]
    if attribute.type == "boolean":
        read = value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())
        if read is None:
            raise bad_request("invalidValue", f"{attribute.name} must be true or false")
        return read
    if not isinstance(value, str) or len(value) > MAX_TEXT or not _is_text(value):
        raise bad_request("invalidValue", f"{attribute.name} must be a text of at most {MAX_TEXT} printable characters")
    return value


def _is_text(value: str) -> bool:
    # A database takes neither half a character nor, some of them, a NUL.
    return not any(ord(character) < 0x20 or 0xD800 <= ord(character) <= 0xDFFF for character in value)
