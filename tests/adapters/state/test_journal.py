"""Who follows the journal misses nothing: numbers without gaps, in the order in which transactions were committed."""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from adapters.state.change_feed import MOST_CHANGES
from adapters.state.database import StateDatabase
from adapters.state.journal import KEPT_S
from adapters.state.schema import change_head, changes, grants
from adapters.state.state import SqlState
from identity.state import Change
from tests.adapters.state.conftest import Place
from tests.adapters.state.samples import NOW, grant
from tests.parts.postgres import Postgres

WRITERS = 4
TURNS = 60


class UndoneError(Exception):
    """Rolls a transaction back."""


def write(database: StateDatabase, *keys: str, undo: bool = False) -> None:
    """Note changes in one transaction, and roll it back where told."""
    with suppress(UndoneError), database.transaction() as connection:
        for key in keys:
            database.note_change(connection, "provisioning", key)
        if undo:
            raise UndoneError


def keys_of(found: list[Change]) -> list[str]:
    return [change.key for change in found]


def test_changes_are_numbered_from_one_and_told_after_any_number(
    database: StateDatabase, state: SqlState, replica: SqlState
) -> None:
    assert (replica.newest_change(), replica.changes(0)) == (0, [])
    before_us = time.time_ns() // 1000
    write(database, "corp")
    write(database, "github", "corp")
    assert replica.newest_change() == 3
    every = replica.changes(0)
    assert every is not None
    assert [(each.number, each.topic, each.key) for each in every] == [
        (1, "provisioning", "corp"),
        (2, "provisioning", "github"),
        (3, "provisioning", "corp"),
    ]
    assert all(before_us <= each.written_us <= time.time_ns() // 1000 for each in every)
    assert replica.changes(2) == list(every[2:])
    assert state.changes(3) == []


def test_a_transaction_that_is_rolled_back_leaves_no_hole(database: StateDatabase, replica: SqlState) -> None:
    write(database, "a")
    write(database, "b", "c", undo=True)
    write(database, "d")
    found = replica.changes(0)
    assert found is not None
    assert [(each.number, each.key) for each in found] == [(1, "a"), (2, "d")]


@dataclass
class Writer:
    """One replica that commits and rolls back; `committed` has the key, and when it began and when it was durable."""

    number: int
    database: StateDatabase
    committed: list[tuple[str, int, int]] = field(default_factory=list)
    failure: BaseException | None = None

    def run(self) -> None:
        # Not for secrets: each run is the same.
        chance = random.Random(self.number)  # noqa: S311
        try:
            for turn in range(TURNS):
                keys = [f"{self.number}/{turn}/{each}" for each in range(chance.randint(1, 3))]
                undo = chance.random() < 0.3
                began = time.monotonic_ns()
                write(self.database, *keys, undo=undo)
                ended = time.monotonic_ns()
                if not undo:
                    self.committed += [(key, began, ended) for key in keys]
        except BaseException as error:
            self.failure = error


def test_a_reader_that_follows_concurrent_writers_misses_nothing(place: Place, state: SqlState) -> None:
    """On PostgreSQL each writer is a replica with connections of its own: nothing but the database orders them."""
    shared = place.open() if place.password is not None else None
    databases = [place.open() if shared else state._database for _ in range(WRITERS)]
    writers = [Writer(number, database) for number, database in enumerate(databases)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    reader = SqlState(shared or state._database)
    seen: list[Change] = []
    pages = 0
    for thread in threads:
        thread.start()
    running = True
    while running:
        # Looked at before reading: the last reading comes after the last commit.
        running = any(thread.is_alive() for thread in threads)
        page = reader.changes(seen[-1].number if seen else 0)
        assert page is not None
        pages += bool(page)
        seen += page
    for thread in threads:
        thread.join()
    for opened in {*databases, shared} - {None, state._database}:
        opened.close()  # type: ignore[union-attr]
    assert [writer.failure for writer in writers] == [None] * WRITERS
    assert pages > 5, "the reader was not there while they wrote"

    committed = [entry for writer in writers for entry in writer.committed]
    assert [change.number for change in seen] == list(range(1, len(committed) + 1))
    assert sorted(keys_of(seen)) == sorted(key for key, _, _ in committed)
    place_of = {change.key: change.number for change in seen}
    by_number = sorted((place_of[key], began, ended) for key, began, ended in committed)
    # What was durable before another began has the lower number.
    latest_start = 0
    for _, began, ended in by_number:
        assert ended >= latest_start
        latest_start = max(latest_start, began)


def test_a_writer_waits_for_the_one_before_it_and_takes_its_number_where_it_gives_up(
    postgres_place: Place, postgres: Postgres
) -> None:
    """A number is never visible while a smaller one may still come."""
    first, second = postgres_place.open(), postgres_place.open()
    reader = SqlState(second)
    noted, give_up = threading.Event(), threading.Event()

    def hesitant() -> None:
        with suppress(UndoneError), first.transaction() as connection:
            first.note_change(connection, "provisioning", "hesitant")
            noted.set()
            give_up.wait(20)
            raise UndoneError

    threads = [threading.Thread(target=hesitant), threading.Thread(target=write, args=(second, "quick"))]
    threads[0].start()
    assert noted.wait(10)
    threads[1].start()
    wait_for_a_blocked_writer(postgres)
    assert (reader.newest_change(), reader.changes(0)) == (0, [])
    give_up.set()
    for thread in threads:
        thread.join(10)
    found = reader.changes(0)
    assert found is not None
    assert [(each.number, each.key) for each in found] == [(1, "quick")]
    first.close()
    second.close()


def test_who_ends_grants_and_who_notes_a_change_never_wait_for_each_other(
    postgres_place: Place, postgres: Postgres
) -> None:
    """Every writer locks the journal before any other row, so a part that changes grants in its own transaction can."""
    first, second = postgres_place.open(), postgres_place.open()
    SqlState(first).add_grant(grant())
    ended: list[tuple[str, ...]] = []

    def end() -> None:
        ended.append(SqlState(second).end_grants(now=NOW, reason="revoked", subject="user:alice"))

    with first.transaction() as connection:
        first.note_change(connection, "provisioning", "corp")
        thread = threading.Thread(target=end)
        thread.start()
        wait_for_a_blocked_writer(postgres)
        connection.execute(grants.update().values(renewed_at=NOW + 1))
    thread.join(10)
    assert ended == [("grant-1",)]
    first.close()
    second.close()


def wait_for_a_blocked_writer(postgres: Postgres) -> None:
    deadline = time.monotonic() + 10
    with postgres.connect("postgres") as connection:
        while not connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():
            assert time.monotonic() < deadline, "the second writer does not wait"


def test_changes_of_more_than_a_day_ago_are_forgotten_in_small_steps(
    database: StateDatabase, state: SqlState, replica: SqlState
) -> None:
    """A reader that is behind them is told to load everything; the others go on."""
    write(database, *[str(number) for number in range(300)])
    age(database, upto=300)
    write(database, "new")
    assert replica.changes(0) is not None
    write(database, *[str(number) for number in range(20)])
    assert replica.changes(0) is None
    assert replica.changes(100) is None
    assert replica.changes(127) is None
    later = replica.changes(128)
    assert later is not None
    assert [change.number for change in later] == list(range(129, 322))
    write(database, *[str(number) for number in range(90)])
    # What is not old stays, however much is written.
    assert replica.changes(299) is None
    rest = replica.changes(300)
    assert rest is not None
    assert (rest[0].number, len(rest)) == (301, 111)


def age(database: StateDatabase, upto: int) -> None:
    """Make it seem that the changes up to a number were written more than a day ago."""
    with database.transaction() as connection:
        old = changes.c.written_us - (KEPT_S + 1) * 1_000_000
        connection.execute(changes.update().where(changes.c.number <= upto).values(written_us=old))


def test_a_clock_that_runs_behind_makes_no_gap(database: StateDatabase, state: SqlState) -> None:
    """Only the oldest changes go: one that seems old but follows a newer one stays."""
    write(database, *[str(number) for number in range(40)])
    with database.transaction() as connection:
        connection.execute(changes.update().where(changes.c.number == 20).values(written_us=1))
    write(database, *[str(number) for number in range(40)])
    every = state.changes(0)
    assert every is not None
    assert len(every) == 80


def test_a_reader_of_another_past_is_told_to_load_everything(database: StateDatabase, state: SqlState) -> None:
    """After a backup was restored the numbers begin again before what the reader has seen."""
    write(database, "a", "b")
    assert state.changes(3) is None
    assert state.changes(2) == []


def test_a_reader_that_is_far_behind_is_told_to_load_everything(database: StateDatabase, state: SqlState) -> None:
    with database.transaction() as connection:
        rows = [
            {"number": number, "topic": "provisioning", "key": "corp", "written_us": time.time_ns() // 1000}
            for number in range(1, MOST_CHANGES + 2)
        ]
        connection.execute(changes.insert(), rows)
        connection.execute(change_head.update().values(number=MOST_CHANGES + 1))
    assert state.changes(0) is None
    found = state.changes(1)
    assert found is not None
    assert len(found) == MOST_CHANGES


@pytest.mark.parametrize("key", ["", "session:\0", "person:\udc80"])
def test_any_key_comes_back(database: StateDatabase, state: SqlState, key: str) -> None:
    write(database, key)
    found = state.changes(0)
    assert found is not None
    assert keys_of(list(found)) == [key]
