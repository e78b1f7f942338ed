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

from adapters.sqlite_files import OpenedFiles, WriterLock
from adapters.state.tables import check_tables, make_tables
from identity.state import StateUnavailableError

_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables


class SqliteState:
    """Gives out the one connection, a thread at a time.

    After any error the connection is given up, and the next transaction opens the file anew: what a failed write or
    sync left in memory is never trusted, and a file that was put back is found.
    """

    def __init__(self, url: URL, patience_s: float, read_only: bool) -> None:
        self._path = Path(url.database or "")
        self._mode = "ro" if read_only else "rw"
        self._patience_s = patience_s
        self._turn = threading.Lock()
        self._lock: WriterLock | None = None
        self._connection: Connection | None = None
        self._files: OpenedFiles | None = None
        self._doubtful = False

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
        """Run a transaction; raises StateUnavailableError. A thread must not begin one inside another."""
        with self._taking_turns():
            connection, files = self._ready()
            with connection.begin():
                yield connection
            if not files.are_in_place():
                raise _taken_away(self._path)

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._patience_s):
            raise StateUnavailableError(f"{self._path}: the identity database is busy: its disk may be too slow")
        try:
            yield
        except DBAPIError as error:
            self._doubtful = True
            self._drop()
            raise explain(self._path, error) from error
        except StateUnavailableError:
            self._drop()
            raise
        finally:
            self._turn.release()

    def _ready(self) -> tuple[Connection, OpenedFiles]:
        connection, files = self._connection, self._files
        if connection is None or files is None:
            connection = self._connect()
            with connection.begin():
                check_tables(connection, str(self._path))
            try:
                files = self._files = OpenedFiles(self._path)
            except FileNotFoundError as error:
                raise _taken_away(self._path) from error
        return connection, files

    def _connect(self) -> Connection:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StateUnavailableError(f"SQLite {sqlite3.sqlite_version} is too old: the state needs 3.37 or newer")
        if not self._path.is_file():
            raise StateUnavailableError(
                f"{self._path}: the identity database is missing; restore it (`portcullis init-state` makes a new one)"
            )
        self._lock = None if self._mode == "ro" else _lock(self._path)
        engine = create_engine("sqlite://", creator=self._driver, poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "begin", _begin if self._mode == "ro" else _begin_writing)
        self._connection = engine.connect()
        return self._connection

    def _driver(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode={self._mode}",
            uri=True,
            timeout=self._patience_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if self._mode == "rw":
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StateUnavailableError(f"{self._path}: SQLite can't keep a write-ahead log here (journal mode {mode})")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # After a failed sync the kernel may show data that the disk does not hold. Copying all of it into the
        # database file, and syncing that, makes what is seen from here on durable.
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if self._doubtful and busy:
            raise StateUnavailableError(
                f"{self._path}: a reader keeps the identity database from being synced after an error: end it"
            )
        self._doubtful = False

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


def _lock(path: Path) -> WriterLock:
    try:
        return WriterLock(path)
    except BlockingIOError as error:
        raise StateUnavailableError(
            f"{path}: another gateway uses this identity state; an SQLite file takes one, PostgreSQL takes several"
        ) from error
    except OSError as error:
        raise StateUnavailableError(f"{error.filename}: the lock file can't be opened: {error.strerror}") from error


def _taken_away(path: Path) -> StateUnavailableError:
    return StateUnavailableError(f"{path}: the identity database was removed or replaced while in use: put it back")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
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
