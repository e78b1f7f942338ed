"""Whether a resource fits a filter (RFC 7644, section 3.4.2.2), by the types that the schema gives its attributes.

Where the standard leaves it open: `ne` is the exact opposite of `eq`, so that it also fits what has no value. `eq null`
fits what has no value. Texts are compared without case as `identity.provisioning.fold` does, unless the attribute is
`caseExact`. A comparison with an attribute of several values fits where one of them does, and one with a
complex attribute means its sub-attribute `value`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from identity.provisioning import fold
from identity.scim.errors import bad_request, shown
from identity.scim.filter import And, Comparison, Filter, Name, Not, Or, Present, Selection, Value
from identity.scim.schema import Attribute, Place, ResourceType
from identity.strict_json import JsonObject

Test = Callable[[JsonObject], bool]
_Finder = Callable[[Name], Place | None]


def compile_filter(found: Filter, resource_type: ResourceType) -> Test:
    """Return the test of a resource that the filter means; raises ScimError (invalidFilter)."""
    return _compile(found, resource_type.find)


def compile_selection(found: Filter, attribute: Attribute) -> Test:
    """Return the test of one value of a complex attribute (`emails[...]`); raises ScimError (invalidFilter)."""

    def find(name: Name) -> Place | None:
        sub = attribute.sub_attribute(name.attribute) if name.uri is None and name.sub_attribute is None else None
        return Place(None, sub, None) if sub is not None else None

    return _compile(found, find)


def values_at(resource: JsonObject, place: Place) -> list[Any]:
    """Return the values that a resource has in a place, none where it is unassigned."""
    holder = resource if place.extension is None else resource.get(place.extension.id, {})
    if place.attribute is None:
        return [holder] if holder else []
    value = holder.get(place.attribute.name)
    values = value if isinstance(value, list) else [value]
    if place.sub_attribute is not None:
        values = [each.get(place.sub_attribute.name) for each in values if isinstance(each, dict)]
    return [each for each in values if each not in (None, "", [], {})]


def _compile(found: Filter, find: _Finder) -> Test:
    match found:
        case And(left, right):
            both = _compile(left, find), _compile(right, find)
            return lambda resource: both[0](resource) and both[1](resource)
        case Or(left, right):
            either = _compile(left, find), _compile(right, find)
            return lambda resource: either[0](resource) or either[1](resource)
        case Not(inner):
            test = _compile(inner, find)
            return lambda resource: not test(resource)
        case Present(name):
            place = _known(name, find)
            return lambda resource: bool(values_at(resource, place))
        case Selection(name, inner):
            place = _known(name, find)
            if place.attribute is None or place.attribute.type != "complex":
                raise bad_request("invalidFilter", f"{shown(str(name))} has no values to choose from")
            fits = compile_selection(inner, place.attribute)
            return lambda resource: any(fits(value) for value in values_at(resource, place))
        case Comparison(name, operator, value):
            return _comparison(_known(name, find), name, operator, value)


def _known(name: Name, find: _Finder) -> Place:
    place = find(name)
    if place is None:
        raise bad_request("invalidFilter", f"there is no attribute {shown(str(name))}")
    return place


def _comparison(place: Place, name: Name, operator: str, value: Value) -> Test:
    if operator == "ne":
        equal = _comparison(place, name, "eq", value)
        return lambda resource: not equal(resource)
    if value is None:
        if operator != "eq":
            raise bad_request("invalidFilter", "null can be compared by eq and ne only")
        return lambda resource: not values_at(resource, place)
    place, attribute = _simple(place, name)
    ready = _operand(attribute, value)
    wanted = ready(value)
    if wanted is None:
        raise bad_request("invalidFilter", f"{shown(str(name))} can't be compared with such a value")
    if attribute.type == "boolean" and operator != "eq":
        raise bad_request("invalidFilter", f"{shown(str(name))} is true or false: it has no order")
    if attribute.type == "dateTime" and operator in ("co", "sw", "ew"):
        raise bad_request("invalidFilter", f"{shown(str(name))} is a time, not a text")
    compare = _OPERATORS[operator]
    return lambda resource: any(
        (held := ready(each)) is not None and compare(held, wanted) for each in values_at(resource, place)
    )


def _simple(place: Place, name: Name) -> tuple[Place, Attribute]:
    attribute = place.sub_attribute or place.attribute
    if attribute is not None and attribute.type == "complex" and place.sub_attribute is None:
        value = attribute.sub_attribute("value")
        if value is not None:
            return Place(place.extension, place.attribute, value), value
    if attribute is None or attribute.type == "complex":
        raise bad_request("invalidFilter", f"{shown(str(name))} has parts: name the one to compare")
    return place, attribute


def _operand(attribute: Attribute, value: Value) -> Callable[[Any], Any]:
    """Return what makes values of the attribute comparable: None for one that is not of its type."""
    if attribute.type == "boolean":
        # Entra ID writes "True" and "False" also where a JSON boolean is due.
        return lambda held: held if isinstance(held, bool) else _BOOLEANS.get(str(held).lower())
    if not isinstance(value, str):
        return lambda held: None
    if attribute.type == "dateTime":
        return _instant
    if attribute.case_exact:
        return lambda held: held
    return fold


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


_BOOLEANS = {"true": True, "false": False}
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda held, wanted: bool(held == wanted),
    "co": lambda held, wanted: wanted in held,
    "sw": lambda held, wanted: bool(held.startswith(wanted)),
    "ew": lambda held, wanted: bool(held.endswith(wanted)),
    "gt": lambda held, wanted: bool(held > wanted),
    "ge": lambda held, wanted: bool(held >= wanted),
    "lt": lambda held, wanted: bool(held < wanted),
    "le": lambda held, wanted: bool(held <= wanted),
}
