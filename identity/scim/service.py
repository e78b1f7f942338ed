"""Does what SCIM requests ask: creates, replaces, patches and deletes one provider's users and groups (RFC 7644).

Who may ask has been decided before. Everything here may block.

Where a user is not active after a request, or is deleted, the account's sessions at the gateway are ended, each time:
a client that repeats a request whose answer it never saw thereby finishes what may have been left undone. Between
the two steps the account is refused already, so that a crash there leaves nobody in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from identity.provisioning import KeyAttribute, account_key
from identity.scim.errors import ScimError, bad_request, shown
from identity.scim.listing import Listing, read_query
from identity.scim.patch import Patched, apply_patch, read_patch
from identity.scim.rendering import EVERYTHING, Projection, entity_tag, location, read_projection
from identity.scim.schema import ResourceType
from identity.scim.store import (
    ChangedMeanwhileError,
    Lookup,
    NotUniqueError,
    Resource,
    ResourceStore,
    StoreFullError,
    UnknownMemberError,
    Write,
)
from identity.scim.values import check_complete, member_ids, read_resource
from identity.state import GrantStore
from identity.strict_json import JsonObject

ATTEMPTS = 5

_Changer = Callable[[Resource, frozenset[str]], Patched]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The request's `If-Match` and `If-None-Match`, None where absent (RFC 9110, section 13)."""

    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer. `done` says in words what was written, None where nothing was asked to be."""

    status: int
    document: JsonObject | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    done: str | None = None


class ScimService:
    """One provider's users and groups. `attribute` tells which of a user's names its tokens have.

    Every method raises ScimError, and StateUnavailableError where the store can't be reached.
    """

    def __init__(
        self,
        store: ResourceStore,
        grants: GrantStore,
        *,
        provider: str,
        attribute: KeyAttribute,
        base_url: str,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._grants = grants
        self._provider = provider
        self._attribute = attribute
        self._now = now
        self.base_url = base_url
        self._listing = Listing(store, provider, base_url)

    def list(self, resource_type: ResourceType, parameters: Mapping[str, str]) -> Answer:
        """Return a page of resources."""
        return Answer(200, self._listing.answer(read_query(parameters, resource_type), resource_type))

    def get(
        self, resource_type: ResourceType, resource_id: str, parameters: Mapping[str, str], conditions: Conditions
    ) -> Answer:
        """Return a resource, or 304 where the client has this version already."""
        projection = _projection(parameters, resource_type)
        resource = self._find(resource_type, resource_id)
        tag = entity_tag(resource)
        if conditions.if_none_match is not None and _names_version(conditions.if_none_match, tag):
            return Answer(304, None, {"etag": tag})
        return self._shown(200, resource, projection)

    def create(self, resource_type: ResourceType, body: JsonObject, parameters: Mapping[str, str]) -> Answer:
        """Create a resource."""
        projection = _projection(parameters, resource_type)
        document = read_resource(body, resource_type)
        members = member_ids(document.pop("members", None))
        if resource_type.kind == "User":
            document.setdefault("active", True)
        check_complete(document, resource_type)
        resource = self._write(
            Write(resource_type.kind, str(uuid4()), document, None, self._now(), members), resource_type
        )
        assert resource is not None
        self._end_sessions(resource_type, None, resource)
        told = f", {_counted(len(members), 'member')}" if resource_type.kind == "Group" else _unless_active(resource)
        done = f"created {_called(resource, resource_type)}{told}"
        return self._shown(201, resource, projection, done)

    def replace(
        self,
        resource_type: ResourceType,
        resource_id: str,
        body: JsonObject,
        parameters: Mapping[str, str],
        conditions: Conditions,
    ) -> Answer:
        """Replace a resource. What is not given is removed, but a user that is not said to be active stays as it is."""
        projection = _projection(parameters, resource_type)

        def replaced(resource: Resource, _: frozenset[str]) -> Patched:
            document = read_resource(body, resource_type)
            members = member_ids(document.pop("members", None))
            if "active" in resource.document:
                document.setdefault("active", resource.document["active"])
            check_complete(document, resource_type)
            return Patched(document, members)

        resource, done = self._change(resource_type, resource_id, conditions, replaced)
        return self._shown(200, resource, projection, done)

    def patch(
        self,
        resource_type: ResourceType,
        resource_id: str,
        body: JsonObject,
        parameters: Mapping[str, str],
        conditions: Conditions,
    ) -> Answer:
        """Change a resource; a group, which may be long, is shown only where `attributes` asks for it."""
        projection = _projection(parameters, resource_type)
        operations = read_patch(body)

        def patched(resource: Resource, members: frozenset[str]) -> Patched:
            return apply_patch(resource.document, members, operations, resource_type)

        resource, done = self._change(resource_type, resource_id, conditions, patched)
        if resource_type.kind == "Group" and projection.attributes is None:
            return Answer(204, None, {"etag": entity_tag(resource)}, done)
        return self._shown(200, resource, projection, done)

    def delete(self, resource_type: ResourceType, resource_id: str, conditions: Conditions) -> Answer:
        """Delete a resource."""
        for _ in range(ATTEMPTS):
            resource = self._find(resource_type, resource_id)
            _check_version(conditions, resource)
            write = Write(resource_type.kind, resource.id, None, resource.version, self._now())
            try:
                self._write(write, resource_type)
            except ChangedMeanwhileError:
                continue
            self._end_sessions(resource_type, resource, None)
            return Answer(204, done=f"deleted {_called(resource, resource_type)}")
        raise _too_busy()

    def _change(
        self, resource_type: ResourceType, resource_id: str, conditions: Conditions, changed: _Changer
    ) -> tuple[Resource, str]:
        """Make a change from the newest version, anew where another was faster; return the result and what was done."""
        for _ in range(ATTEMPTS):
            resource = self._find(resource_type, resource_id)
            _check_version(conditions, resource)
            members: frozenset[str] = frozenset()
            if resource_type.kind == "Group":
                members = frozenset(self._store.members(self._provider, resource_id))
            document, new_members = changed(resource, members)
            joining, leaving = new_members - members, members - new_members
            result = resource
            if document != resource.document or joining or leaving:
                write = Write(
                    resource_type.kind, resource_id, document, resource.version, self._now(), joining, leaving
                )
                try:
                    written = self._write(write, resource_type)
                except ChangedMeanwhileError:
                    continue
                assert written is not None
                result = written
            self._end_sessions(resource_type, resource, result)
            return result, _told(resource, result, joining, leaving, resource_type)
        raise _too_busy()

    def _write(self, write: Write, resource_type: ResourceType) -> Resource | None:
        try:
            return self._store.write(self._provider, write)
        except NotUniqueError as error:
            attribute = resource_type.key if error.what == "name" else error.what
            detail = f"another {resource_type.kind.lower()} has this {attribute}"
            raise ScimError(409, "uniqueness", detail) from None
        except UnknownMemberError as error:
            raise bad_request("invalidValue", f"no user has the id {shown(error.user_id)}") from None
        except StoreFullError as error:
            raise ScimError(507, None, str(error)) from None

    def _find(self, resource_type: ResourceType, resource_id: str) -> Resource:
        page = self._store.page(self._provider, resource_type.kind, Lookup("id", resource_id), skip=0, limit=1)
        if not page.resources:
            raise ScimError(404, None, f"there is no {resource_type.kind.lower()} {shown(resource_id)}")
        return page.resources[0]

    def _shown(self, status: int, resource: Resource, projection: Projection, done: str | None = None) -> Answer:
        headers = {"etag": entity_tag(resource), "location": location(self.base_url, resource)}
        return Answer(status, self._listing.rendered(resource, projection), headers, done)

    def _end_sessions(self, resource_type: ResourceType, before: Resource | None, after: Resource | None) -> None:
        if resource_type.kind != "User":
            return
        ended = {self._key(before), self._key(after)}
        if after is not None and after.document["active"]:
            # The account goes on, but not under a name that it no longer has.
            ended.discard(self._key(after))
        for key in ended - {None}:
            assert key is not None
            self._grants.end_grants(now=self._now(), reason="deprovisioned", provisioned=(self._provider, key))

    def _key(self, user: Resource | None) -> str | None:
        if user is None:
            return None
        value = user.id if self._attribute == "id" else user.document.get(self._attribute)
        return account_key(self._attribute, value) if value is not None else None


def _projection(parameters: Mapping[str, str], resource_type: ResourceType) -> Projection:
    attributes, excluded = parameters.get("attributes"), parameters.get("excludedAttributes")
    return read_projection(attributes, excluded, resource_type) if attributes or excluded else EVERYTHING


def _check_version(conditions: Conditions, resource: Resource) -> None:
    if conditions.if_match is not None and not _names_version(conditions.if_match, entity_tag(resource)):
        raise ScimError(412, None, "the resource has changed: read it again")


def _names_version(header: str, tag: str) -> bool:
    """Tell whether a list of entity tags holds this one, compared weakly (RFC 9110, section 8.8.3.2)."""
    tags = {each.strip().removeprefix("W/") for each in header.split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags


def _too_busy() -> ScimError:
    return ScimError(503, None, "the resource is being changed by others all the time: try again")


def _called(resource: Resource, resource_type: ResourceType) -> str:
    return f"{resource_type.kind.lower()} {resource.document[resource_type.key]}"


def _unless_active(user: Resource) -> str:
    return "" if user.document["active"] else ", not active"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _told(
    before: Resource, after: Resource, joining: frozenset[str], leaving: frozenset[str], resource_type: ResourceType
) -> str:
    """Say what a change was, for the audit log: which attributes, not what is in them."""
    old, new = before.document, after.document
    names = sorted(name.rpartition(":")[2] for name in {*old, *new} if old.get(name) != new.get(name))
    verb = "changed"
    if old.get("active") != new.get("active"):
        verb = "activated" if new["active"] else "deactivated"
        names.remove("active")
    told = [f"{verb} {_called(before, resource_type)}"]
    if names:
        told.append(" ".join(names))
    told += [f"{_counted(len(ids), 'user')} {how}" for ids, how in ((joining, "joined"), (leaving, "left")) if ids]
    if before is after:
        told.append("nothing new")
    return ", ".join(told)
