"""The identity state in an SQLite file: one process, one connection, every commit synced to disk."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from adapters.sql_file import Identity, WriterLock
from adapters.state.tables import check_tables, make_tables
from audit.store import AuditUnavailableError
from identity.state import StateUnavailableError

_BUSY_TIMEOUT_S: Final = 2.0
_TURN_TIMEOUT_S: Final = 5.0
_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables


class SqliteState:
    """Gives out the one connection, a thread at a time.

    After any error the connection is given up, and the next transaction opens the file anew: what a failed write or
    sync left in memory is never trusted, and a file that was put back is found.
    """

    def __init__(self, url: URL) -> None:
        self._path = Path(url.database or "")
        self._turn = threading.Lock()
        self._lock: WriterLock | None = None
        self._connection: Connection | None = None
        self._files: Identity | None = None

    def create(self) -> None:
        """Make the file where it is missing, with empty tables; raises StateUnavailableError."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateUnavailableError(f"{self._path}: the identity state can't be made: {error.strerror}") from error
        with self._taking_turns():
            connection = self._connect()
            try:
                with connection.begin():
                    make_tables(connection, str(self._path))
            finally:
                self._drop()

    def open(self) -> None:
        """Open the file and look whether the tables are there; raises StateUnavailableError."""
        with self._taking_turns():
            self._ready()

    def close(self) -> None:
        """Give file and lock back."""
        with self._turn:
            self._drop()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a transaction; raises StateUnavailableError."""
        with self._taking_turns():
            connection, files = self._ready()
            with connection.begin():
                yield connection
            files.check()

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_TURN_TIMEOUT_S):
            raise StateUnavailableError(f"{self._path}: the identity database is busy: its disk may be too slow")
        try:
            yield
        except DBAPIError as error:
            self._drop()
            raise explain(self._path, error) from error
        except AuditUnavailableError as error:
            self._drop()
            raise StateUnavailableError(
                f"{self._path}: the identity database was removed or replaced while in use: put it back"
            ) from error
        except StateUnavailableError:
            self._drop()
            raise
        finally:
            self._turn.release()

    def _ready(self) -> tuple[Connection, Identity]:
        if self._connection is None or self._files is None:
            connection = self._connect()
            with connection.begin():
                check_tables(connection, str(self._path))
            self._files = Identity(self._path)
            return connection, self._files
        return self._connection, self._files

    def _connect(self) -> Connection:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StateUnavailableError(f"SQLite {sqlite3.sqlite_version} is too old: the state needs 3.37 or newer")
        if not self._path.is_file():
            raise StateUnavailableError(
                f"{self._path}: the identity database is missing; restore it (only `portcullis init` makes a new one)"
            )
        self._lock = self._locked()
        engine = create_engine("sqlite://", creator=self._driver, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "begin", _begin)
        self._connection = engine.connect()
        return self._connection

    def _locked(self) -> WriterLock:
        try:
            return WriterLock(self._path)
        except AuditUnavailableError as error:
            if isinstance(error.__cause__, BlockingIOError):
                text = "another gateway uses this identity state; an SQLite file takes one, PostgreSQL takes several"
            else:
                text = f"the lock file beside it can't be opened: {error.__cause__}"
            raise StateUnavailableError(f"{self._path}: {text}") from error

    def _driver(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode=rw",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # After a failed sync the kernel may show data that the disk does not hold. Copying all of it into the
            # database file, and syncing that, makes what is seen from here on durable.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        connection, lock = self._connection, self._lock
        self._connection = self._lock = self._files = None
        try:
            if connection is not None:
                connection.invalidate()
                connection.close()
        finally:
            if lock is not None:
                lock.release()


def _begin(connection: Connection) -> None:
    # What is read in a transaction is still so when it writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def explain(path: Path, error: DBAPIError) -> StateUnavailableError:
    """Say what an error of SQLite means and what mends it."""
    name = getattr(error.orig, "sqlite_errorname", "")
    for prefix, text in _MEANINGS.items():
        if name.startswith(prefix):
            return StateUnavailableError(f"{path}: {text} ({name}: {error.orig})")
    return StateUnavailableError(f"{path}: the identity database refused ({name or 'no error name'}: {error.orig})")


_MEANINGS: Final = {
    "SQLITE_FULL": "the disk that holds the identity database is full: free space on it",
    "SQLITE_READONLY": "the identity database is read-only: make the file and its directory writable",
    "SQLITE_PERM": "the identity database may not be opened: check the rights on the file",
    "SQLITE_BUSY": "another program holds the identity database locked: end it",
    "SQLITE_CANTOPEN": "the identity database can't be opened: check the rights on the file and its directory",
    "SQLITE_IOERR": "the disk that holds the identity database fails: check its space, quota and the system's log",
    "SQLITE_CORRUPT": "the identity database is damaged: restore it",
    "SQLITE_NOTADB": "the file is not an SQLite database: restore it",
}
