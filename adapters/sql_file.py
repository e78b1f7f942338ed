"""The SQLite file that holds an audit log: opening it, and telling its faults apart."""

import sqlite3
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from adapters.sql_schema import GUARDS, SCHEMA_VERSION
from adapters.sqlite_files import OpenedFiles, WriterLock
from audit.store import AuditCorruptError, AuditUnavailableError

_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables


def path_of(url: str) -> Path:
    """Return the file that `url` (`sqlite:///path`) names; raises AuditUnavailableError for any other kind of URL."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise AuditUnavailableError(f"the database URL can't be read: {error}") from error
    database = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or database in ("", ":memory:") or parsed.query:
        raise AuditUnavailableError(
            f"the database URL {parsed.render_as_string()} does not name an SQLite file: write sqlite:///path/to/file.db"
        )
    return Path(database)


def connect(path: Path, mode: Literal["ro", "rw"], busy_timeout_s: float = 2.0) -> Connection:
    """Open `path`, which must exist, in autocommit mode; raises AuditUnavailableError."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise AuditUnavailableError(f"SQLite {sqlite3.sqlite_version} is too old: the audit log needs 3.37 or newer")
    if not path.exists():
        raise AuditUnavailableError(
            f"{path}: the audit database is missing; restore it (only `portcullis init` makes a new one)"
        )
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        ),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    try:
        return engine.connect()
    except DBAPIError as error:
        raise explain(path, error) from error


def check_schema(path: Path, connection: Connection) -> None:
    """Raise AuditUnavailableError where the database holds no log of this version, AuditCorruptError without guards."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name LIKE 'audit\\_%' ESCAPE '\\'")
    texts = {row.name: row.sql for row in found}
    if "audit_schema" not in texts:
        raise AuditUnavailableError(f"{path}: this database holds no audit log; `portcullis init` makes one")
    version = connection.exec_driver_sql("SELECT max(version) FROM audit_schema").scalar()
    if version != SCHEMA_VERSION:
        raise AuditUnavailableError(
            f"{path}: the audit log has schema version {version}, this program works with {SCHEMA_VERSION}"
        )
    missing = sorted(name for name, sql in GUARDS.items() if texts.get(name) != sql)
    if missing:
        raise AuditCorruptError(
            f"{path}: guards of the audit log were removed or changed ({', '.join(missing)}): verify the log, find out "
            "who did it, and restore the database"
        )


def explain(path: Path, error: DBAPIError | sqlite3.Error) -> AuditUnavailableError:
    """Say what an error of the database means for the log at `path` and what mends it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", "")
    for prefix, text in _MEANINGS.items():
        if name.startswith(prefix):
            kind = AuditCorruptError if prefix in _CORRUPT else AuditUnavailableError
            return kind(f"{path}: {text} ({name}: {cause})")
    return AuditUnavailableError(f"{path}: the audit database refused ({name or 'no error name'}: {cause})")


_CORRUPT: Final = frozenset(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
_MEANINGS: Final = {
    "SQLITE_FULL": "the disk that holds the audit database is full: free space on it",
    "SQLITE_READONLY": "the audit database is read-only: make the file and its directory writable",
    "SQLITE_PERM": "the audit database may not be opened: check the rights on the file",
    "SQLITE_BUSY": "another program holds the audit database locked: end it",
    "SQLITE_CANTOPEN": "the audit database can't be opened: check the rights on the file and its directory",
    "SQLITE_IOERR": "the disk that holds the audit database fails: check its space, quota and the system's log",
    "SQLITE_CORRUPT": "the audit database is damaged: restore it and verify it",
    "SQLITE_NOTADB": "the file is not an SQLite database: restore it and verify it",
}


def lock(path: Path) -> WriterLock:
    """Keep other gateways off the log; raises AuditUnavailableError where one has it."""
    try:
        return WriterLock(path)
    except BlockingIOError as error:
        raise AuditUnavailableError(
            f"{path}: another gateway writes this audit log; one database takes one gateway"
        ) from error
    except OSError as error:
        raise AuditUnavailableError(f"{error.filename}: the lock file can't be opened: {error.strerror}") from error


def opened_files(path: Path) -> OpenedFiles:
    """Return which files were opened; raises AuditUnavailableError."""
    try:
        return OpenedFiles(path)
    except FileNotFoundError as error:
        raise taken_away(path) from error


def taken_away(path: Path) -> AuditUnavailableError:
    """Say that the log's files are not those that were opened any more."""
    return AuditUnavailableError(f"{path}: the audit database was removed or replaced while in use: put it back")
