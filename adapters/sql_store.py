"""The audit log in a database, by SQLAlchemy Core: SQLite in WAL mode, every commit synced to disk."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from adapters.sql_file import check_schema, connect, explain, lock, opened_files, path_of, taken_away
from adapters.sql_schema import GUARDS, SCHEMA_VERSION, checkpoints, log, metadata, schema
from adapters.sqlite_files import OpenedFiles, WriterLock
from audit.store import AuditCorruptError, AuditUnavailableError, Head, Row

_STATEMENT_ROWS: Final = 64
_PAGE_ROWS: Final = 512
_LONGEST_BODY: Final = 65_535

_LAST = select(log.c.idx, log.c.frontier, log.c.settled).order_by(log.c.idx.desc()).limit(1)
# A body longer than any that was ever written is cut: it fails verification, and it can't exhaust a reader.
_PAGE = select(
    log.c.idx,
    log.c.leaf,
    func.substr(log.c.body, 1, _LONGEST_BODY + 1),
    log.c.time_us,
    log.c.kind,
    log.c.request_id,
    log.c.actor,
    log.c.backend,
    log.c.verdict,
).order_by(log.c.idx)
_LAST_CHECKPOINT = select(checkpoints.c.note).order_by(checkpoints.c.number.desc()).limit(1)


def create_store(url: str) -> None:
    """Make an empty log in the SQLite file that `url` names; the file may exist, a log in it may not.

    Raises AuditUnavailableError.
    """
    path = path_of(url)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise AuditUnavailableError(f"{path}: the audit database can't be made: {error.strerror}") from error
    connection = connect(path, "rw")
    try:
        if connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'audit_schema'").scalar():
            raise AuditUnavailableError(f"{path}: there is an audit log already; it is never made anew")
        # Takes effect in a new file only. Records of about a kilobyte leave a quarter of a 4 KiB page empty.
        connection.exec_driver_sql("PRAGMA page_size = 8192")
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=SCHEMA_VERSION))
        for guard in GUARDS.values():
            connection.exec_driver_sql(guard)
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise explain(path, error) from error
    finally:
        connection.close()


# The head is in a batch's last row only. A `Row` has its fields in the order of the columns before it.
_NO_HEAD = (None, None)


class SqlAuditStore:
    """Writes the log; one process at a time, through one connection.

    `busy_timeout_s`: how long a foreign program may hold the database locked.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 2.0) -> None:
        self._path = path_of(url)
        self._busy_timeout_s = busy_timeout_s
        self._lock: WriterLock | None = None
        self._connection: Connection | None = None
        self._driver: sqlite3.Connection | None = None
        self._files: OpenedFiles | None = None
        self._doubtful = False

    def open(self) -> Head:
        """See `AuditStore.open`."""
        self.close()
        try:
            connection = self._connection = connect(self._path, "rw", self._busy_timeout_s)
            self._lock = lock(self._path)
            _prepare(self._path, connection)
            check_schema(self._path, connection)
            self._settle(connection)
            self._files = opened_files(self._path)
            self._driver = connection.connection.driver_connection
            return _head(self._path, connection)
        except DBAPIError as error:
            self.close()
            raise explain(self._path, error) from error
        except AuditUnavailableError:
            self.close()
            raise

    def append(self, rows: Sequence[Row], head: Head) -> None:
        """See `AuditStore.append`."""
        driver, files = self._driver, self._files
        if driver is None or files is None:
            raise AuditUnavailableError(f"{self._path}: the audit store is closed")
        values: list[object] = []
        for row in rows:
            values += row
            values += _NO_HEAD
        values[-2:] = (b"".join(head.frontier), head.settled)
        self._doubtful = True
        try:
            _insert(driver, values)
        except sqlite3.Error as error:
            raise explain(self._path, error) from error
        if not files.are_in_place():
            raise taken_away(self._path)
        self._doubtful = False

    def checkpoint(self, text: bytes, size: int) -> None:
        """See `AuditStore.checkpoint`."""
        connection, files = self._connection, self._files
        if connection is None or files is None:
            raise AuditUnavailableError(f"{self._path}: the audit store is closed")
        next_number = select(func.coalesce(func.max(checkpoints.c.number) + 1, 0)).scalar_subquery()
        try:
            connection.execute(checkpoints.insert().values(number=next_number, size=size, note=text))
        except DBAPIError as error:
            raise explain(self._path, error) from error
        if not files.are_in_place():
            raise taken_away(self._path)

    def close(self) -> None:
        """See `AuditStore.close`."""
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.release()
        self._connection = self._driver = self._lock = self._files = None

    def _settle(self, connection: Connection) -> None:
        # After a failed fsync the kernel may show data that the disk does not hold. Copying all of it into the
        # database file, and syncing that, makes what is seen from here on durable.
        busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        if self._doubtful and busy:
            raise AuditUnavailableError(
                f"{self._path}: a reader keeps the audit database from being synced after an error: end it"
            )
        self._doubtful = False


class SqlAuditReader:
    """Reads a log that a gateway may be writing; each page is a short read, so the writer is never held up.

    Several threads may share one reader.
    """

    def __init__(self, url: str) -> None:
        self._path = path_of(url)
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        self._opened: tuple[int, int] | None = None

    def head(self) -> Head:
        """See `AuditReader.head`."""
        with self._reading() as connection:
            return _head(self._path, connection)

    def rows(self, start: int = 0, end: int | None = None) -> Iterator[Row]:
        """See `AuditReader.rows`."""
        stop = self.head().size if end is None else end
        while start < stop:
            with self._reading() as connection:
                query = _PAGE.where(log.c.idx >= start, log.c.idx < stop).limit(_PAGE_ROWS)
                page = [Row(*found) for found in connection.execute(query)]
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            start = page[-1].index + 1

    def last_checkpoint(self) -> bytes | None:
        """See `AuditReader.last_checkpoint`."""
        with self._reading() as connection:
            note: bytes | None = connection.execute(_LAST_CHECKPOINT).scalar()
            return note

    def close(self) -> None:
        """See `AuditReader.close`."""
        with self._turn:
            self._drop()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._turn:
            try:
                yield self._connect()
            except DBAPIError as error:
                self._drop()
                raise explain(self._path, error) from error
            except AuditUnavailableError:
                self._drop()
                raise

    def _connect(self) -> Connection:
        try:
            found = self._path.stat()
        except OSError:
            self._drop()  # `connect` says what is wrong
        else:
            if self._opened != (found.st_dev, found.st_ino):
                self._drop()
                self._opened = (found.st_dev, found.st_ino)
        if self._connection is None:
            self._connection = connect(self._path, "ro")
            check_schema(self._path, self._connection)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._opened = None


def _prepare(path: Path, connection: Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar()
    if mode != "wal":
        raise AuditUnavailableError(f"{path}: SQLite can't keep a write-ahead log here (journal mode {mode})")
    connection.exec_driver_sql("PRAGMA synchronous = FULL")
    connection.exec_driver_sql("PRAGMA wal_autocheckpoint = 2000")


def _head(path: Path, connection: Connection) -> Head:
    last = connection.execute(_LAST).first()
    if last is None:
        return Head(0, (), 0)
    index, frontier, settled = last
    if frontier is None or settled is None or len(frontier) % 32:
        raise AuditCorruptError(f"{path}: record {index} is the last one but carries no head: records were removed")
    edge = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
    return Head(index + 1, edge, settled)


def _insert(driver: sqlite3.Connection, values: Sequence[object]) -> None:
    # The driver itself, since SQLAlchemy adds 50 microseconds to each statement of the busiest path; and one statement
    # where that is enough, since at each this thread gives up the interpreter and waits to get it back.
    width = len(log.c)
    if len(values) <= _STATEMENT_ROWS * width:
        driver.execute(_insert_text(len(values) // width), values)
        return
    driver.execute("BEGIN IMMEDIATE")
    for at in range(0, len(values), _STATEMENT_ROWS * width):
        chunk = values[at : at + _STATEMENT_ROWS * width]
        driver.execute(_insert_text(len(chunk) // width), chunk)
    driver.execute("COMMIT")


@cache
def _insert_text(rows: int) -> str:
    marks = ",".join("?" * len(log.c))
    return f"INSERT INTO audit_log VALUES {','.join([f'({marks})'] * rows)}"  # noqa: S608 - no value in it
