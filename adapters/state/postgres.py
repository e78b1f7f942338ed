"""The identity state on a PostgreSQL server, which several replicas of the gateway share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.state.tables import check_tables, make_tables
from identity.state import StateUnavailableError

_POOL_SIZE: Final = 4
# What has been answered must survive a crash of the server, whatever its configuration says; and no statement may
# hold up requests for long. The server ends those, the kernel connections to a server that has gone silent.
_CONNECT: Final = {
    "connect_timeout": 3,
    "application_name": "portcullis",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}
_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout={lock_ms} -c statement_timeout={statement_ms} "
    "-c idle_in_transaction_session_timeout=10s"
)


class PostgresState:
    """A small pool of connections, each tried before it is used."""

    def __init__(self, url: URL, password: str | None, patience_s: float, read_only: bool) -> None:
        # Without the query, in which somebody may have put what must not be shown.
        self._place = url.set(password=None, query={}).render_as_string()
        self._password = password
        lock_ms = int(patience_s * 1000)
        options = _OPTIONS.format(lock_ms=lock_ms, statement_ms=lock_ms + 1000)
        if read_only:
            options += " -c default_transaction_read_only=on"
        # Of several hosts in the URL, a gateway needs the primary server.
        attributes = "any" if read_only else "read-write"
        arguments = {name: value for name, value in _CONNECT.items() if name not in url.query} | {
            "options": options,
            "target_session_attrs": attributes,
        }
        if password is not None:
            arguments["password"] = password
        self._engine: Engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args=arguments,
            isolation_level="READ COMMITTED",
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_SIZE,
            pool_timeout=patience_s,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        self._checked = False

    def create(self) -> None:
        """Make empty tables in a database that is there; raises StateUnavailableError."""
        with self._explained(), self._engine.begin() as connection:
            make_tables(connection, self._place)

    def open(self) -> None:
        """Connect and look whether the tables are there; raises StateUnavailableError."""
        try:
            with self._explained(), self._engine.begin() as connection:
                check_tables(connection, self._place)
        except StateUnavailableError:
            self._engine.dispose()
            raise
        self._checked = True

    def close(self) -> None:
        """Close the connections that nobody uses; the others close when they are given back."""
        self._checked = False
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a transaction; raises StateUnavailableError."""
        if not self._checked:
            self.open()
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StateUnavailableError(self._without_password(f"{self._place}: {_meaning(error)}")) from error
        except PoolTimeoutError as error:
            raise StateUnavailableError(
                f"{self._place}: every connection to the identity database is in use: it answers too slowly"
            ) from error

    def _without_password(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


def _meaning(error: DBAPIError) -> str:
    cause = error.orig
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    # Only the first line: the others may repeat values.
    said = next(iter(str(cause).splitlines()), type(cause).__name__)
    for prefix, text in _MEANINGS.items():
        if state is not None and state.startswith(prefix):
            return f"{text} ({state}: {said})"
    if state is None or state.startswith("08"):
        # Refused or failed connections have no code of their own, only the server's sentence.
        return (
            "there is no connection to the identity database: check that it runs, and address, user, password and "
            f"the database's name in `identity.state` ({said})"
        )
    return f"the identity database refused ({state}: {said})"


_MEANINGS: Final = {
    "25006": "the identity database is read-only: name the primary server, not a standby",
    "42P01": "this database holds no identity state: restore it, or make it by `portcullis init-state`",
    "42501": "the user lacks a right in the identity database: grant it, or make the user the tables' owner",
    "53100": "the disk that holds the identity database is full: free space on it",
    "55P03": "the identity database was locked for too long: end what locks it",
    "57014": "the identity database took too long: see what keeps it busy",
    "57P": "the identity database is stopping or starting: wait, or start it",
}
