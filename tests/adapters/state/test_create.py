"""State is made on purpose and once; a gateway never makes it, and tells what it found instead."""

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from identity.state import Grant, StateUnavailableError
from tests.adapters.state.conftest import Place
from tests.adapters.state.samples import grant
from tests.parts.postgres import Postgres


def test_state_is_never_made_anew(place: Place, state: SqlState, database: StateDatabase) -> None:
    state.add_grant(grant())
    database.close()
    with pytest.raises(StateUnavailableError, match="there is identity state already; it is never made anew"):
        create_state(place.url, place.password)
    database.open()
    assert state.grant("grant-1") == grant()


def test_a_gateway_in_use_is_not_disturbed(sqlite_place: Place) -> None:
    database = sqlite_place.open()
    with pytest.raises(StateUnavailableError, match="another gateway"):
        create_state(sqlite_place.url)
    assert SqlState(database).newest_change() == 0
    database.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/identity.db")
    create_state(place.url)
    database = place.open()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("identity.db", "identity.db-wal", "identity.db-shm", "identity.db.lock"), 0o600)
    database.close()


def test_every_commit_of_sqlite_is_synced_and_references_are_held(sqlite_place: Place) -> None:
    database = sqlite_place.open()
    with database.transaction() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    database.close()


def test_every_commit_of_postgresql_is_synced_whatever_the_server_says(
    postgres_place: Place, postgres: Postgres
) -> None:
    name = postgres_place.url.rpartition("/")[2]
    with postgres.connect("postgres") as shell:
        shell.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
        shell.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode())
    database = postgres_place.open()
    with database.transaction() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "5s"
    database.close()
    with postgres.connect("postgres") as shell:
        shell.execute(f"ALTER DATABASE {name} RESET ALL".encode())


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailableError, match="can't be made: No such file"):
        create_state(f"sqlite:///{tmp_path}/missing/identity.db")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "mysql://x/y", "postgresql://x", "%", ""]
)
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    for use in (create_state, StateDatabase):
        with pytest.raises(StateUnavailableError, match="URL"):
            use(url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://alice:sesame@x/y",
        "sesame",
        "postgresql://alice:sesame@127.0.0.1:1/x",
        "postgresql://alice@127.0.0.1:1/x?password=sesame",
    ],
)
def test_a_refused_url_never_shows_a_password(url: str) -> None:
    """SECURITY-CASES 24, for a secret of the operator's."""
    with pytest.raises(StateUnavailableError) as refused:
        StateDatabase(url).open()
    assert "sesame" not in str(refused.value)


def test_an_empty_database_is_not_taken_for_state(tmp_path: Path, postgres: Postgres) -> None:
    file = tmp_path / "identity.db"
    sqlite3.connect(file).close()
    file.touch()
    with postgres.database() as url:
        for place in (Place(f"sqlite:///{file}"), Place(url, postgres.password)):
            with pytest.raises(StateUnavailableError, match="holds no identity state: `portcullis init-state`"):
                place.open()
            create_state(place.url, place.password)
            place.open().close()


def test_another_version_is_refused(place: Place, database: StateDatabase) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE identity_schema SET version = 2"))
    database.close()
    refusal = "schema version 2, this program works with 1: run the Portcullis version that made it, or .*init-state"
    with pytest.raises(StateUnavailableError, match=refusal):
        place.open()
    with pytest.raises(StateUnavailableError, match=refusal):
        StateDatabase(place.url, place.password, read_only=True).open()


def test_missing_tables_are_named(place: Place, database: StateDatabase) -> None:
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE identity_code"))
    database.close()
    with pytest.raises(StateUnavailableError, match=r"tables are missing \(identity_code\): restore"):
        place.open()


def test_a_look_from_beside_a_gateway_disturbs_nothing_and_writes_nothing(
    place: Place, database: StateDatabase, state: SqlState
) -> None:
    state.add_grant(grant())
    beside = StateDatabase(place.url, place.password, read_only=True)
    looking = SqlState(beside)
    assert looking.grant("grant-1") == grant()
    with pytest.raises(StateUnavailableError, match="read-only"):
        looking.add_grant(grant(2))
    state.add_grant(grant(3))
    assert looking.grant("grant-3") == grant(3)
    beside.close()
    database.close()
    assert looking_alone(place) == grant(3)


def looking_alone(place: Place) -> Grant | None:
    """Look where no gateway runs."""
    alone = StateDatabase(place.url, place.password, read_only=True)
    found = SqlState(alone).grant("grant-3")
    alone.close()
    return found
