"""What the parts of the state have in common: their database, inserts that may meet a row, and forgetting in steps."""

from typing import Final

from sqlalchemy import Column, ColumnElement, Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.state.database import StateDatabase

# A step is short for whoever's write it rides on, and longer than what one write adds.
_PRUNE_ROWS: Final = 20


class SqlPart:
    """A part of the state, over a database that others share."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insert that can say what happens where the row is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def prune(connection: Connection, key: Column[str] | Column[bytes], over: ColumnElement[bool]) -> None:
    """Delete a few rows that are over, by the primary key; those that another transaction holds are left alone."""
    some = select(key).where(over).limit(_PRUNE_ROWS).with_for_update(skip_locked=True)
    connection.execute(key.table.delete().where(key.in_(some)))
