"""Lists users and groups: filtered and in pages, oldest first (RFC 7644, section 3.4.2)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from identity.provisioning import fold
from identity.scim.errors import bad_request
from identity.scim.evaluation import Test, compile_filter
from identity.scim.filter import And, Comparison, Filter, Name, Not, Or, Present, Selection, parse_filter
from identity.scim.rendering import Projection, read_projection, render
from identity.scim.schema import ResourceType
from identity.scim.store import Lookup, Resource, ResourceReader
from identity.strict_json import JsonObject

LIST_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
DEFAULT_COUNT: Final = 100
MAX_COUNT: Final = 200
MAX_PAGE_MEMBERS: Final = 100_000
"""A page of groups ends early where they have more members than this together."""

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Query:
    """What a list is asked for; `start` counts from 1."""

    filter: Filter | None
    start: int
    count: int
    projection: Projection


def read_query(parameters: Mapping[str, str], resource_type: ResourceType) -> Query:
    """Return what the query parameters mean; `sortBy` and unknown ones are ignored.

    Raises ScimError: invalidFilter or invalidValue.
    """
    text = parameters.get("filter")
    return Query(
        filter=parse_filter(text) if text else None,
        start=max(1, _whole(parameters, "startIndex", 1)),
        count=min(MAX_COUNT, max(0, _whole(parameters, "count", DEFAULT_COUNT))),
        projection=read_projection(parameters.get("attributes"), parameters.get("excludedAttributes"), resource_type),
    )


class Listing:
    """Answers lists of one provider's resources."""

    def __init__(self, reader: ResourceReader, provider: str, base_url: str) -> None:
        self._reader = reader
        self._provider = provider
        self._base_url = base_url

    def answer(self, query: Query, resource_type: ResourceType) -> JsonObject:
        """Return the list's document; raises ScimError (invalidFilter) and StateUnavailableError."""
        total, resources = self._chosen(query, resource_type)
        shown = list(self._shown(resources, query.projection, resource_type))
        return {
            "schemas": [LIST_SCHEMA],
            "totalResults": total,
            "startIndex": query.start,
            "itemsPerPage": len(shown),
            "Resources": shown,
        }

    def rendered(self, resource: Resource, projection: Projection) -> JsonObject:
        """Return one resource as it is shown, its members or groups read where they are wanted."""
        members = (
            self._reader.members(self._provider, resource.id)
            if resource.kind == "Group" and projection.wants("members")
            else ()
        )
        groups = (
            self._reader.groups_of(self._provider, (resource.id,))[resource.id]
            if resource.kind == "User" and projection.wants("groups")
            else ()
        )
        return projection.apply(render(self._base_url, resource, members=members, groups=groups))

    def _chosen(self, query: Query, resource_type: ResourceType) -> tuple[int, list[Resource]]:
        kind, skip = resource_type.kind, query.start - 1
        if query.filter is None:
            page = self._reader.page(self._provider, kind, None, skip=skip, limit=query.count)
            return page.total, list(page.resources)
        fits = compile_filter(query.filter, resource_type)
        total, chosen = 0, []
        for resource in self._fitting(query.filter, fits, resource_type):
            if skip <= total < skip + query.count:
                chosen.append(resource)
            total += 1
        return total, chosen

    def _fitting(self, found: Filter, fits: Test, resource_type: ResourceType) -> Iterator[Resource]:
        kind = resource_type.kind
        lookup = _lookup(found, resource_type)
        candidates: Iterable[Resource] = (
            self._reader.scan(self._provider, kind)
            if lookup is None
            else self._reader.page(self._provider, kind, lookup, skip=0, limit=_CHUNK).resources
        )
        with_groups = kind == "User" and _mentions(found, "groups")
        with_members = kind == "Group" and _mentions(found, "members")
        remaining = iter(candidates)
        while chunk := list(islice(remaining, _CHUNK)):
            groups = self._reader.groups_of(self._provider, (each.id for each in chunk)) if with_groups else {}
            for resource in chunk:
                members = self._reader.members(self._provider, resource.id) if with_members else ()
                if fits(render(self._base_url, resource, members=members, groups=groups.get(resource.id, ()))):
                    yield resource

    def _shown(
        self, resources: list[Resource], projection: Projection, resource_type: ResourceType
    ) -> Iterator[JsonObject]:
        groups: Mapping[str, Iterable[tuple[str, str]]] = {}
        if resource_type.kind == "User" and projection.wants("groups"):
            groups = self._reader.groups_of(self._provider, (resource.id for resource in resources))
        with_members = resource_type.kind == "Group" and projection.wants("members")
        room = MAX_PAGE_MEMBERS
        for resource in resources:
            members = self._reader.members(self._provider, resource.id) if with_members else ()
            if len(members) > room and room < MAX_PAGE_MEMBERS:
                return
            room -= len(members)
            document = render(self._base_url, resource, members=members, groups=groups.get(resource.id, ()))
            yield projection.apply(document)


def _lookup(found: Filter, resource_type: ResourceType) -> Lookup | None:
    """Return an index look-up that finds everything that fits, None where there is none."""
    match found:
        case And(left, right):
            return _lookup(left, resource_type) or _lookup(right, resource_type)
        case Comparison(name, "eq", str(value)) if value.isprintable():
            place = resource_type.find(name)
            if place is None or place.attribute is None or place.extension is not None:
                return None
            match place.attribute.name:
                case "id":
                    return Lookup("id", value)
                case "externalId":
                    return Lookup("externalId", value)
                case key if key == resource_type.key:
                    return Lookup("name", fold(value))
    return None


def _mentions(found: Filter, attribute: str) -> bool:
    match found:
        case And(left, right) | Or(left, right):
            return _mentions(left, attribute) or _mentions(right, attribute)
        case Not(inner):
            return _mentions(inner, attribute)
        case Comparison(Name(_, name)) | Present(Name(_, name)) | Selection(Name(_, name)):
            return name.lower() == attribute


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if not text:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise bad_request("invalidValue", f"{name} must be a whole number")
    return int(text)
