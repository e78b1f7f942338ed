"""A PostgreSQL server in trouble: each fault is told with what mends it and without the password, and passes."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from identity.state import StateUnavailableError
from tests.adapters.state.conftest import Place
from tests.adapters.state.samples import grant
from tests.parts.ports import free_port
from tests.parts.postgres import Postgres


@pytest.fixture
def place(postgres_place: Place) -> Place:
    return postgres_place


def name_of(place: Place) -> str:
    return place.url.rpartition("/")[2]


def refusal(place: Place) -> str:
    """Return what opening says, after a look that the password is in no part of it (SECURITY-CASES 24)."""
    database = StateDatabase(place.url, place.password)
    with pytest.raises(StateUnavailableError) as refused:
        database.open()
    database.close()
    chain: BaseException | None = refused.value
    while chain is not None:
        assert place.password
        assert place.password not in f"{chain} {chain!r}"
        chain = chain.__cause__
    return str(refused.value)


def test_a_wrong_password_is_told_and_not_shown(place: Place) -> None:
    said = refusal(Place(place.url, "not-the-password"))
    assert "check that it runs, and address, user, password" in said
    assert "password authentication failed" in said


def test_a_wrong_user_database_or_address_is_told(place: Place) -> None:
    assert "portcullis@" in place.url
    assert "bob" in refusal(Place(place.url.replace("portcullis@", "bob@"), place.password))
    assert "nowhere" in refusal(Place(place.url.replace(name_of(place), "nowhere"), place.password))
    port = free_port()
    said = refusal(Place(f"postgresql://portcullis@127.0.0.1:{port}/x", place.password))
    assert "refused" in said
    assert str(port) in said


def test_a_password_that_a_library_repeats_is_blacked_out(place: Place) -> None:
    """SECURITY-CASES 24, for a secret of the operator's. Here the message names a database that is called the same."""
    database = StateDatabase(place.url.replace(name_of(place), "sesame"), "sesame")
    with pytest.raises(StateUnavailableError, match=r"\*\*\*") as refused:
        database.open()
    assert "sesame" not in str(refused.value)
    database.close()


def test_connections_that_the_server_ended_are_made_anew(place: Place, postgres: Postgres, state: SqlState) -> None:
    """The pool finds out before a request would."""
    state.add_grant(grant())
    with postgres.connect("postgres") as shell:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        shell.execute(query, [name_of(place)])
    assert state.grant("grant-1") == grant()


def test_a_server_that_ends_a_transaction_is_told_and_nothing_of_it_stays(
    place: Place, postgres: Postgres, database: StateDatabase, state: SqlState
) -> None:
    with pytest.raises(StateUnavailableError), database.transaction() as connection:
        database.note_change(connection, "provisioning", "corp")
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        with postgres.connect("postgres") as shell:
            shell.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert state.newest_change() == 0


def test_tables_dropped_while_serving_are_told(database: StateDatabase, state: SqlState) -> None:
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE identity_code"))
    with pytest.raises(StateUnavailableError, match="holds no identity state: restore it"):
        state.take_code(b"x", 1)


def test_a_standby_is_told(place: Place, postgres: Postgres, state: SqlState) -> None:
    with postgres.connect("postgres") as shell:
        shell.execute(f"ALTER DATABASE {name_of(place)} SET default_transaction_read_only = on".encode())
    try:
        assert "read-only" in refusal(place)
    finally:
        with postgres.connect("postgres") as shell:
            shell.execute(f"ALTER DATABASE {name_of(place)} RESET ALL".encode())


def test_a_missing_right_is_told(place: Place, postgres: Postgres) -> None:
    with postgres.connect(place.url) as shell:
        shell.execute(f"CREATE ROLE reader LOGIN PASSWORD '{place.password}'".encode())
        shell.execute(b"GRANT SELECT ON identity_schema, identity_change_head TO reader")
    weak = StateDatabase(place.url.replace("portcullis@", "reader@"), place.password)
    weak.open()
    with pytest.raises(StateUnavailableError, match=r"lacks a right .*: grant it"):
        SqlState(weak).add_grant(grant())
    with postgres.database() as empty, pytest.raises(StateUnavailableError, match="lacks a right"):
        create_state(empty.replace("portcullis@", "reader@"), place.password)
    weak.close()
    with postgres.connect(place.url) as shell:
        shell.execute(b"DROP OWNED BY reader")
        shell.execute(b"DROP ROLE reader")


def test_a_lock_that_nobody_gives_back_is_told_in_time(place: Place, postgres: Postgres) -> None:
    """Who maintains the database by hand holds requests up for seconds at most."""
    database = StateDatabase(place.url, place.password, patience_s=0.05)
    state = SqlState(database)
    with postgres.connect(place.url) as shell, shell.transaction():
        shell.execute("LOCK TABLE identity_grant")
        with pytest.raises(StateUnavailableError, match="locked for too long"):
            state.grant("grant-1")
    assert state.grant("grant-1") is None
    database.close()


def test_a_query_that_takes_too_long_is_told(database: StateDatabase) -> None:
    with pytest.raises(StateUnavailableError, match="took too long"), database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
        connection.execute(text("SELECT pg_sleep(20)"))


def test_too_few_connections_are_told(place: Place) -> None:
    database = StateDatabase(place.url, place.password, patience_s=0.05)
    with held(database, 8), pytest.raises(StateUnavailableError, match=r"every connection to the .* is in use"):
        SqlState(database).newest_change()
    assert SqlState(database).newest_change() == 0
    database.close()


class held:  # noqa: N801 - reads as a verb
    """Keep transactions open in threads."""

    def __init__(self, database: StateDatabase, count: int) -> None:
        self._done = threading.Event()
        self._ready = threading.Barrier(count + 1)
        self._threads = [threading.Thread(target=self._hold, args=(database,)) for _ in range(count)]

    def _hold(self, database: StateDatabase) -> None:
        with database.transaction() as connection:
            connection.execute(text("SELECT 1"))
            self._ready.wait(20)
            self._done.wait(20)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()
        self._ready.wait(20)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def test_a_server_that_goes_away_and_comes_back(own_server: Postgres) -> None:
    """In between each call fails at once and says why; what was acknowledged before is there afterwards."""
    url = own_server.create_database()
    create_state(url, own_server.password)
    database = StateDatabase(url, own_server.password)
    state = SqlState(database)
    state.add_grant(grant())
    own_server.stop()
    for _ in range(2):
        with pytest.raises(StateUnavailableError, match="check that it runs"):
            state.grant("grant-1")
    early = StateDatabase(url, own_server.password)
    with pytest.raises(StateUnavailableError, match="check that it runs"):
        early.open()
    own_server.start()
    assert state.grant("grant-1") == grant()
    assert SqlState(early).grant("grant-1") == grant()
    early.close()
    database.close()
