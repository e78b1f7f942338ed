"""The audit log's tables in SQLite, and the guards that let them only grow.

Compatibility rule: SCHEMA_VERSION counts changes that an older program can't work with; a database of another version
is refused, never guessed at. The head (size, frontier, settled) rides in the last row of each transaction, so that
nothing in the database is ever updated and one statement stores a batch.
"""

from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

SCHEMA_VERSION: Final = 1

metadata = MetaData()

log = Table(
    "audit_log",
    metadata,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("time_us", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("backend", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("frontier", LargeBinary),
    Column("settled", Integer),
    sqlite_strict=True,
)

checkpoints = Table(
    "audit_checkpoint",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", Integer, nullable=False),
    Column("note", LargeBinary, nullable=False),
    sqlite_strict=True,
)

schema = Table(
    "audit_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    sqlite_strict=True,
)


def _refuse(table: str, event: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} BEGIN "
        f"SELECT RAISE(ABORT, '{table} only grows: {event} is refused'); END"
    )


def _in_order(table: str, key: str) -> str:
    # Also what stops INSERT OR REPLACE: it deletes without firing a DELETE trigger.
    following = f"(SELECT coalesce(max({key}) + 1, 0) FROM {table})"  # noqa: S608 - names of this file
    return (
        f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} WHEN NEW.{key} IS NOT {following} BEGIN "
        f"SELECT RAISE(ABORT, '{table} only grows: the next {key} must follow the last'); END"
    )


GUARDS: Final = {
    "audit_log_in_order": _in_order("audit_log", "idx"),
    "audit_log_no_update": _refuse("audit_log", "UPDATE"),
    "audit_log_no_delete": _refuse("audit_log", "DELETE"),
    "audit_checkpoint_in_order": _in_order("audit_checkpoint", "number"),
    "audit_checkpoint_no_update": _refuse("audit_checkpoint", "UPDATE"),
    "audit_checkpoint_no_delete": _refuse("audit_checkpoint", "DELETE"),
    "audit_schema_no_insert": _refuse("audit_schema", "INSERT"),
    "audit_schema_no_update": _refuse("audit_schema", "UPDATE"),
    "audit_schema_no_delete": _refuse("audit_schema", "DELETE"),
}
"""Trigger name -> its text, exactly as the database keeps it."""
