"""Revocations, in SQL."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, or_, select

from adapters.state.journal import lock_changes, note
from adapters.state.schema import revocations as table
from adapters.state.sql_part import SqlPart, insert, prune
from identity.revocation import Revocation

_KEYS_A_QUERY: Final = 500


class SqlRevocations(SqlPart):
    """See `identity.state.RevocationStore`."""

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """See `RevocationStore.revoke`; some that are over are forgotten."""
        with self._database.transaction() as connection:
            write_revocations(connection, revocations)

    def revocations(self, now: int, keys: Iterable[str] | None = None) -> Sequence[Revocation]:
        """See `RevocationStore.revocations`."""
        in_force = or_(table.c.until.is_(None), table.c.until >= now)
        query = select(table.c.kind, table.c.key, table.c.at, table.c.until).where(in_force)
        with self._database.transaction() as connection:
            if keys is None:
                return [Revocation(*row) for row in connection.execute(query)]
            digests = list({_digest(key) for key in keys})
            return [
                Revocation(*row)
                for at in range(0, len(digests), _KEYS_A_QUERY)
                for row in connection.execute(query.where(table.c.digest.in_(digests[at : at + _KEYS_A_QUERY])))
            ]


def write_revocations(connection: Connection, revocations: Iterable[Revocation]) -> None:
    """Write revocations and note each that takes effect in the journal, all in the transaction that runs."""
    lock_changes(connection)
    for revocation in revocations:
        name = f"{revocation.kind}:{revocation.key}"
        adding = insert(connection, table).values(
            digest=_digest(name), kind=revocation.kind, key=revocation.key, at=revocation.at, until=revocation.until
        )
        newer = adding.excluded
        writing = adding.on_conflict_do_update(
            index_elements=["digest"], set_={"at": newer.at, "until": newer.until}, where=table.c.at <= newer.at
        )
        if connection.execute(writing.returning(table.c.digest)).first() is not None:
            note(connection, "revocation", name)
            prune(connection, table.c.digest, table.c.until < revocation.at)


def _digest(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogatepass")).digest()
