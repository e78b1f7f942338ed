"""The database that holds the identity state: opened, checked, and used a transaction at a time.

It is a database of its own, since the audit log's has exactly one writing process. Replicas share a PostgreSQL
database; an SQLite file belongs to one gateway.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from adapters.state.journal import note
from adapters.state.postgres import PostgresState
from adapters.state.sqlite import SqliteState
from identity.state import StateUnavailableError, Topic

PATIENCE_S: Final = 4.0


class _Kind(Protocol):
    """What differs between the kinds of database. Every method raises StateUnavailableError."""

    def create(self) -> None: ...

    def open(self) -> None: ...

    def close(self) -> None: ...

    def transaction(self) -> AbstractContextManager[Connection]: ...


def create_state(url: str, password: str | None = None) -> None:
    """Make empty tables in the database that `url` names, and an SQLite file where it is missing.

    Raises StateUnavailableError, also where there are tables already: nothing else ever makes any.
    """
    kind = _kind(url, password, PATIENCE_S, read_only=False)
    try:
        kind.create()
    finally:
        kind.close()


class StateDatabase:
    """One database: `sqlite:///path/to/file.db` or `postgresql://user@host/name`.

    Threads may share it. What a transaction wrote is durable once its block has been left. `patience_s`: how long a
    transaction waits for a connection, and for what another one has locked. `read_only` is for looking at the state
    beside its gateway: it takes no lock and writes nothing.
    """

    def __init__(
        self, url: str, password: str | None = None, *, patience_s: float = PATIENCE_S, read_only: bool = False
    ) -> None:
        self._kind = _kind(url, password, patience_s, read_only)
        self._closed = False

    def open(self) -> None:
        """Look whether the database is there and its tables are of this version; raises StateUnavailableError.

        A transaction does it too where that has not succeeded yet, so that a gateway can start before its database.
        """
        self._kind.open()
        self._closed = False

    def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self._kind.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a block as one transaction: committed where the block ends well, else rolled back.

        Any error of the database is raised as StateUnavailableError, also after a commit of unknown outcome.
        """
        if self._closed:
            raise StateUnavailableError("the identity state is closed: the gateway is stopping")
        with self._kind.transaction() as connection:
            yield connection

    def note_change(self, connection: Connection, topic: Topic, key: str) -> None:
        """Add a change to the journal in the same transaction, which waits here for others that add one."""
        note(connection, topic, key)


def _kind(url: str, password: str | None, patience_s: float, read_only: bool) -> _Kind:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The error's own text repeats the URL, in which a password may stand.
        raise StateUnavailableError("the identity database's URL can't be read") from None
    name = parsed.get_backend_name()
    if name == "postgresql" and parsed.database:
        return PostgresState(parsed, password, patience_s, read_only)
    if name == "sqlite" and parsed.database not in (None, "", ":memory:") and not parsed.query:
        return SqliteState(parsed, patience_s, read_only)
    raise StateUnavailableError(
        f"the URL {parsed.render_as_string()} names no identity database: write sqlite:///path/to/file.db or "
        "postgresql://user@host/name"
    )
