"""Resources as answers show them (RFC 7643, section 3; RFC 7644, section 3.9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from identity.scim.errors import ScimError, bad_request
from identity.scim.filter import Name, parse_path
from identity.scim.schema import COMMON, RESOURCE_TYPES, Place, ResourceType
from identity.scim.store import Resource
from identity.strict_json import JsonObject

_TYPES = {resource_type.kind: resource_type for resource_type in RESOURCE_TYPES.values()}
_ALWAYS = frozenset(attribute.name for attribute in COMMON if attribute.returned == "always")


@dataclass(frozen=True, slots=True)
class Projection:
    """Which attributes are asked for (`attributes`) or not wanted (`excludedAttributes`); neither: all."""

    attributes: tuple[Place, ...] | None = None
    excluded: tuple[Place, ...] = ()

    def wants(self, name: str) -> bool:
        """Tell whether an attribute must be read at all."""
        if self.attributes is not None:
            return any(place.attribute is not None and place.attribute.name == name for place in self.attributes)
        return not any(
            place.attribute is not None and place.attribute.name == name and place.sub_attribute is None
            for place in self.excluded
        )

    def apply(self, document: JsonObject) -> JsonObject:
        """Return the part of a rendered resource that is wanted."""
        if self.attributes is not None:
            shown: JsonObject = {name: value for name, value in document.items() if name in _ALWAYS}
            for place in self.attributes:
                _show(document, shown, place)
            return {name: shown[name] for name in document if name in shown}
        for place in self.excluded:
            document = _without(document, place)
        return document


EVERYTHING = Projection()


def read_projection(attributes: str | None, excluded: str | None, resource_type: ResourceType) -> Projection:
    """Return the projection that two query parameters mean; unknown names are ignored.

    Raises ScimError (invalidValue) where both are given: they are mutually exclusive.
    """
    if attributes and excluded:
        raise bad_request("invalidValue", "give `attributes` or `excludedAttributes`, not both")
    if attributes:
        return Projection(attributes=tuple(_places(attributes, resource_type)))
    return Projection(excluded=tuple(_places(excluded or "", resource_type)))


def entity_tag(resource: Resource) -> str:
    """Return the weak entity tag of a resource's version."""
    return f'W/"{resource.version}"'


def render(
    base_url: str, resource: Resource, *, members: Iterable[str] = (), groups: Iterable[tuple[str, str]] = ()
) -> JsonObject:
    """Return a resource in full; `base_url` is that of the provider's feed."""
    resource_type = _TYPES[resource.kind]
    extension = resource_type.extension
    schemas = [resource_type.core.id]
    if extension is not None and extension.id in resource.document:
        schemas.append(extension.id)
    document: JsonObject = {"schemas": schemas, "id": resource.id, **resource.document}
    if users := [{"value": user, "$ref": f"{base_url}/Users/{user}", "type": "User"} for user in members]:
        document["members"] = users
    in_groups = [
        {"value": group, "$ref": f"{base_url}/Groups/{group}", "display": name, "type": "direct"}
        for group, name in groups
    ]
    if in_groups:
        document["groups"] = in_groups
    document["meta"] = {
        "resourceType": resource.kind,
        "created": _time(resource.created_at),
        "lastModified": _time(resource.modified_at),
        "location": location(base_url, resource),
        "version": entity_tag(resource),
    }
    return document


def location(base_url: str, resource: Resource) -> str:
    """Return a resource's URI."""
    return f"{base_url}/{_TYPES[resource.kind].endpoint}/{resource.id}"


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _places(text: str, resource_type: ResourceType) -> Iterable[Place]:
    for written in text.split(","):
        try:
            path = parse_path(written)
        except ScimError:
            continue
        place = resource_type.find(Name(path.name.uri, path.name.attribute, path.sub_attribute))
        if place is not None and path.selection is None:
            yield place


def _show(document: JsonObject, shown: JsonObject, place: Place) -> None:
    if place.extension is not None:
        inner = document.get(place.extension.id)
        if inner is None:
            return
        if place.attribute is None:
            shown[place.extension.id] = inner
            return
        document, shown = inner, shown.setdefault(place.extension.id, {})
    assert place.attribute is not None
    name = place.attribute.name
    if name not in document:
        return
    if place.sub_attribute is None:
        shown[name] = document[name]
        return
    part = place.sub_attribute.name
    value = document[name]
    if isinstance(value, list):
        before = shown.get(name) or [{} for _ in value]
        shown[name] = [old | _only(each, part) for old, each in zip(before, value, strict=True)]
    else:
        shown[name] = shown.get(name, {}) | _only(value, part)


def _without(document: JsonObject, place: Place) -> JsonObject:
    if place.extension is not None:
        inner = document.get(place.extension.id, {})
        left = _without(inner, Place(None, place.attribute, place.sub_attribute)) if place.attribute else {}
        return _replaced(document, place.extension.id, left or None)
    assert place.attribute is not None
    name, sub_attribute = place.attribute.name, place.sub_attribute
    if name in _ALWAYS or name not in document:
        return document
    if sub_attribute is None:
        return _replaced(document, name, None)
    value = document[name]
    if isinstance(value, list):
        return _replaced(document, name, [_except(each, sub_attribute.name) for each in value])
    return _replaced(document, name, _except(value, sub_attribute.name))


def _replaced(document: JsonObject, name: str, value: Any) -> JsonObject:
    changed = {key: value if key == name else inner for key, inner in document.items()}
    return {key: inner for key, inner in changed.items() if inner is not None}


def _only(value: JsonObject, name: str) -> JsonObject:
    return {name: value[name]} if name in value else {}


def _except(value: JsonObject, name: str) -> JsonObject:
    return {key: inner for key, inner in value.items() if key != name}
