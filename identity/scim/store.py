"""The seam to where users and groups are kept.

Every method may block and is called in a worker thread. All raise StateUnavailableError (`identity.state`) where the
store can't be reached. Each provider has resources of its own; no call sees another's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from identity.scim.schema import Kind
from identity.strict_json import JsonObject


class NotUniqueError(Exception):
    """Another resource has that `name` (`userName`, or `displayName` of a group) or `externalId` already."""

    def __init__(self, what: Literal["name", "externalId"]) -> None:
        super().__init__(what)
        self.what = what


class ChangedMeanwhileError(Exception):
    """The resource is not the version that the change was made from, or it is gone."""


class UnknownMemberError(Exception):
    """A group's member is not a user of the provider."""

    def __init__(self, user_id: str) -> None:
        super().__init__(user_id)
        self.user_id = user_id


class StoreFullError(Exception):
    """The provider has as many resources as are kept of one; the text says how many."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A user or a group as it is kept. Times are whole seconds since the Unix epoch.

    `document` has the attributes that clients set, a group's members apart. `version` grows with every change, of a
    user also with those of the groups it is in.
    """

    kind: Kind
    id: str
    document: JsonObject
    version: int
    created_at: int
    modified_at: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """Which resources: those with that id, folded name or `externalId`."""

    by: Literal["id", "name", "externalId"]
    value: str


class Page(NamedTuple):
    """Some resources, and how many there are in all."""

    total: int
    resources: Sequence[Resource]


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one resource.

    `document` None deletes it. `expected_version` None creates it, else it must be the version that is kept. `joining`
    and `leaving` are ids of users, for a group.
    """

    kind: Kind
    id: str
    document: JsonObject | None
    expected_version: int | None
    now: int
    joining: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()


class ResourceReader(Protocol):
    """Reads users and groups."""

    def page(self, provider: str, kind: Kind, lookup: Lookup | None, *, skip: int, limit: int) -> Page:
        """Return resources, oldest first."""
        ...

    def scan(self, provider: str, kind: Kind) -> Iterator[Resource]:
        """Yield every resource, oldest first."""
        ...

    def members(self, provider: str, group_id: str) -> Sequence[str]:
        """Return the ids of a group's users, in order."""
        ...

    def groups_of(self, provider: str, user_ids: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the groups of users as (id, displayName), by the user's id; nobody is missing."""
        ...


class ResourceStore(ResourceReader, Protocol):
    """Reads and changes users and groups."""

    def write(self, provider: str, write: Write) -> Resource | None:
        """Make a change and return the resource, None where it is deleted. It is durable on return.

        In the same transaction the change feed gets an entry (`provisioning`, the provider's name), a deleted
        user and a name that a user no longer has leave a mark that keeps accounts of that name refused, and users
        get a new version where their groups change. Raises NotUniqueError, ChangedMeanwhileError,
        UnknownMemberError or StoreFullError; nothing is written then.
        """
        ...
