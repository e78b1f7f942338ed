"""Making the tables of the identity state, and telling whether they are there."""

from sqlalchemy import Connection, inspect, select

from adapters.state.columns import metadata
from adapters.state.schema import SCHEMA_VERSION, change_head, schema
from identity.state import StateUnavailableError


def make_tables(connection: Connection, place: str) -> None:
    """Make empty tables; raises StateUnavailableError where some are there already."""
    there = set(inspect(connection).get_table_names()) & metadata.tables.keys()
    if there:
        raise StateUnavailableError(f"{place}: there is identity state already; it is never made anew")
    metadata.create_all(connection, checkfirst=False)
    connection.execute(schema.insert().values(version=SCHEMA_VERSION))
    connection.execute(change_head.insert().values(number=0))


def check_tables(connection: Connection, place: str) -> None:
    """Raise StateUnavailableError where the database holds no identity state of this version."""
    there = set(inspect(connection).get_table_names())
    if schema.name not in there:
        raise StateUnavailableError(f"{place}: this database holds no identity state: `portcullis init-state` makes it")
    versions = connection.execute(select(schema.c.version)).scalars().all()
    if versions != [SCHEMA_VERSION]:
        found = ", ".join(map(str, versions)) or "none"
        raise StateUnavailableError(
            f"{place}: the identity state has schema version {found}, this program works with {SCHEMA_VERSION}: "
            "run the Portcullis version that made it, or have `portcullis init-state` make new state in another "
            "database, where everybody logs in anew and SCIM is pushed again"
        )
    missing = metadata.tables.keys() - there
    if missing:
        raise StateUnavailableError(f"{place}: tables are missing ({', '.join(sorted(missing))}): restore the database")
