"""Users and groups that providers push, in the identity database.

Every write adds a change to the journal first, which makes writers wait for each other: what is found unique stays so
until the transaction ends. The change's number is the version of all that the write concerns, so that what has
changed since some moment is found by its versions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal_column, or_, select

from adapters.state.journal import note
from adapters.state.provisioning_schema import members, resources
from adapters.state.schema import change_head
from adapters.state.sql_part import SqlPart
from identity.provisioning import Account, AccountChanges, KeyAttribute, fold, pushed_groups
from identity.scim.schema import Kind
from identity.scim.store import (
    ChangedMeanwhileError,
    Lookup,
    NotUniqueError,
    Page,
    Resource,
    StoreFullError,
    UnknownMemberError,
    Write,
)

MAX_RESOURCES: Final = 500_000
"""The most users, and the most groups, that are kept of one provider, the marks of those that are gone included."""

# Rows read or named at once: a transaction on SQLite holds up all others.
_CHUNK: Final = 500
_NAME_OF: Final[dict[Kind, str]] = {"User": "userName", "Group": "displayName"}
_COLUMN_OF: Final = {"id": resources.c.id, "name": resources.c.name, "externalId": resources.c.external_id}
_KEY_COLUMN: Final = {"id": resources.c.id, "userName": resources.c.name, "externalId": resources.c.external_id}


class SqlProvisioning(SqlPart):
    """See `identity.scim.store.ResourceStore` and `identity.provisioning.AccountReader`."""

    def page(self, provider: str, kind: Kind, lookup: Lookup | None, *, skip: int, limit: int) -> Page:
        """See `ResourceReader.page`."""
        wanted = _there(provider, kind)
        if lookup is not None:
            wanted = and_(wanted, _COLUMN_OF[lookup.by] == lookup.value)
        with self._database.transaction() as connection:
            total: int = connection.execute(select(func.count()).select_from(resources).where(wanted)).scalar_one()
            rows = connection.execute(_oldest_first(wanted).offset(skip).limit(limit)).all()
        return Page(total, [_resource(row) for row in rows])

    def scan(self, provider: str, kind: Kind) -> Iterator[Resource]:
        """See `ResourceReader.scan`."""
        wanted = _there(provider, kind)
        query = _oldest_first(wanted)
        while True:
            with self._database.transaction() as connection:
                rows = connection.execute(query.limit(_CHUNK)).all()
            yield from map(_resource, rows)
            if len(rows) < _CHUNK:
                return
            at, last = rows[-1].created_at, rows[-1].id
            created_at, same = resources.c.created_at, resources.c.id
            query = _oldest_first(and_(wanted, or_(created_at > at, and_(created_at == at, same > last))))

    def members(self, provider: str, group_id: str) -> Sequence[str]:
        """See `ResourceReader.members`."""
        query = select(members.c.user_id).where(members.c.provider == provider, members.c.group_id == group_id)
        with self._database.transaction() as connection:
            return connection.execute(query.order_by(members.c.user_id)).scalars().all()

    def groups_of(self, provider: str, user_ids: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """See `ResourceReader.groups_of`."""
        found: dict[str, list[tuple[str, str]]] = {}
        for chunk in _chunks(user_ids):
            with self._database.transaction() as connection:
                found |= _groups_of(connection, provider, chunk)
        return found

    def accounts(self, provider: str, attribute: KeyAttribute, after: int) -> AccountChanges:
        """See `AccountReader.accounts`."""
        # Versions only grow, so what changes while this reads is read at its end.
        key, position, last = _KEY_COLUMN[attribute], after, None
        accounts: dict[str, Account] = {}
        while True:
            version, identity = resources.c.version, resources.c.id
            later: ColumnElement[bool] = version > position
            if last is not None:
                later = or_(later, and_(version == position, identity > last))
            query = (
                select(key.label("key"), identity, resources.c.active, version)
                .where(resources.c.provider == provider, resources.c.kind == "User", later)
                .order_by(version, identity)
                .limit(_CHUNK)
            )
            with self._database.transaction() as connection:
                rows = connection.execute(query).all()
                groups = _groups_of(connection, provider, [row.id for row in rows])
            for row in rows:
                if row.key is not None:
                    names = (name for _, name in groups[row.id])
                    accounts[row.key] = Account(row.active == 1, pushed_groups(provider, names))
            if rows:
                position, last = rows[-1].version, rows[-1].id
            if len(rows) < _CHUNK:
                return AccountChanges(accounts, position)

    def write(self, provider: str, write: Write) -> Resource | None:
        """See `ResourceStore.write`."""
        with self._database.transaction() as connection:
            note(connection, "provisioning", provider)
            version: int = connection.execute(select(change_head.c.number)).scalar_one()
            return _Writing(connection, provider, write, version).result()


class _Writing:
    """One write, within its transaction. `version` is the number of its change."""

    def __init__(self, connection: Connection, provider: str, write: Write, version: int) -> None:
        self._connection = connection
        self._provider = provider
        self._write = write
        self._version = version

    def result(self) -> Resource | None:
        write = self._write
        before = self._before()
        if write.document is None:
            assert before is not None
            if write.kind == "User":
                self._delete_user()
            else:
                self._delete_group()
            return None
        name, external_id = fold(write.document[_NAME_OF[write.kind]]), write.document.get("externalId")
        self._check_unique(name, external_id)
        label = write.document["displayName"] if write.kind == "Group" else None
        values = {
            "name": name,
            "external_id": external_id,
            "label": label,
            "active": int(write.document.get("active", True)),
            "document": write.document,
            "version": self._version,
            "modified_at": write.now,
        }
        if before is None:
            self._check_room()
            self._insert(write.id, created_at=write.now, gone=0, **values)
        else:
            self._update([write.id], write.kind, **values)
            if write.kind == "User":
                self._mark_lost_names(before, name, external_id)
            elif before.label != label:
                self._touch_members()
        self._change_members()
        created_at = write.now if before is None else before.created_at
        return Resource(write.kind, write.id, write.document, self._version, created_at, write.now)

    def _before(self) -> Row[Any] | None:
        query = select(resources).where(_there(self._provider, self._write.kind), resources.c.id == self._write.id)
        row = self._connection.execute(query).one_or_none()
        if (None if row is None else row.version) != self._write.expected_version:
            raise ChangedMeanwhileError
        return row

    def _check_unique(self, name: str, external_id: str | None) -> None:
        others = and_(_there(self._provider, self._write.kind), resources.c.id != self._write.id)
        if self._connection.execute(select(resources.c.id).where(others, resources.c.name == name)).first():
            raise NotUniqueError("name")
        same = resources.c.external_id == external_id
        if external_id is not None and self._connection.execute(select(resources.c.id).where(others, same)).first():
            raise NotUniqueError("externalId")

    def _check_room(self) -> None:
        all_of_them = resources.c.provider == self._provider, resources.c.kind == self._write.kind
        count = self._connection.execute(select(func.count()).select_from(resources).where(*all_of_them)).scalar_one()
        if count >= MAX_RESOURCES:
            raise StoreFullError(f"at most {MAX_RESOURCES} of these are kept for one provider, deleted ones included")

    def _mark_lost_names(self, before: Row[Any], name: str, external_id: str | None) -> None:
        """Keep accounts refused that are called what this user was called."""
        lost_name = before.name if before.name != name else None
        lost_id = before.external_id if before.external_id != external_id else None
        if lost_name is None and lost_id is None:
            return
        self._insert(
            str(uuid4()),
            name=lost_name,
            external_id=lost_id,
            label=None,
            active=0,
            gone=1,
            document={},
            version=self._version,
            created_at=self._write.now,
            modified_at=self._write.now,
        )

    def _delete_user(self) -> None:
        user_id = self._write.id
        in_groups = select(members.c.group_id).where(members.c.provider == self._provider, members.c.user_id == user_id)
        groups = self._connection.execute(in_groups).scalars().all()
        self._update(groups, "Group", version=self._version)
        self._connection.execute(
            members.delete().where(members.c.provider == self._provider, members.c.user_id == user_id)
        )
        self._update([user_id], "User", active=0, gone=1, document={}, version=self._version)

    def _delete_group(self) -> None:
        self._touch_members()
        self._connection.execute(members.delete().where(self._in_group()))
        self._connection.execute(
            resources.delete().where(_there(self._provider, "Group"), resources.c.id == self._write.id)
        )

    def _change_members(self) -> None:
        write = self._write
        for chunk in _chunks(sorted(write.joining)):
            known = select(resources.c.id).where(_there(self._provider, "User"), resources.c.id.in_(chunk))
            unknown = set(chunk) - set(self._connection.execute(known).scalars())
            if unknown:
                raise UnknownMemberError(min(unknown))
            rows = [{"provider": self._provider, "group_id": write.id, "user_id": user_id} for user_id in chunk]
            self._connection.execute(members.insert(), rows)
            self._update(chunk, "User", version=self._version)
        for chunk in _chunks(sorted(write.leaving)):
            self._connection.execute(members.delete().where(self._in_group(), members.c.user_id.in_(chunk)))
            self._update(chunk, "User", version=self._version)

    def _touch_members(self) -> None:
        users = select(members.c.user_id).where(self._in_group())
        self._connection.execute(
            resources.update()
            .where(_there(self._provider, "User"), resources.c.id.in_(users))
            .values(version=self._version)
        )

    def _in_group(self) -> ColumnElement[bool]:
        return and_(members.c.provider == self._provider, members.c.group_id == self._write.id)

    def _insert(self, resource_id: str, **values: Any) -> None:
        row = {"provider": self._provider, "kind": self._write.kind, "id": resource_id, **values}
        self._connection.execute(resources.insert().values(**row))

    def _update(self, ids: Iterable[str], kind: Kind, **values: Any) -> None:
        for chunk in _chunks(ids):
            self._connection.execute(
                resources.update().where(_there(self._provider, kind), resources.c.id.in_(chunk)).values(**values)
            )


def _there(provider: str, kind: Kind) -> ColumnElement[bool]:
    # Written out: from a parameter no database can tell that the partial indexes serve.
    return and_(resources.c.provider == provider, resources.c.kind == kind, resources.c.gone == literal_column("0"))


def _oldest_first(wanted: ColumnElement[bool]) -> Select[Any]:
    return select(resources).where(wanted).order_by(resources.c.created_at, resources.c.id)


def _resource(row: Row[Any]) -> Resource:
    return Resource(row.kind, row.id, row.document, row.version, row.created_at, row.modified_at)


def _groups_of(connection: Connection, provider: str, user_ids: list[str]) -> dict[str, list[tuple[str, str]]]:
    query = (
        select(members.c.user_id, resources.c.id, resources.c.label)
        .join_from(members, resources, and_(_there(provider, "Group"), resources.c.id == members.c.group_id))
        .where(members.c.provider == provider, members.c.user_id.in_(user_ids))
        .order_by(resources.c.label)
    )
    found: dict[str, list[tuple[str, str]]] = {user_id: [] for user_id in user_ids}
    if user_ids:
        for user_id, group_id, label in connection.execute(query):
            found[user_id].append((group_id, label))
    return found


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(ids)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
