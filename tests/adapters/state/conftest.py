"""The identity state over each kind of database, as one gateway and its replica see it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from typing import TypeVar

import pytest

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from tests.parts.postgres import Postgres

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Place:
    """Where a state is: its database's URL and password."""

    url: str
    password: str | None = None

    def open(self) -> StateDatabase:
        database = StateDatabase(self.url, self.password)
        database.open()
        return database


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """Return an empty state in a file."""
    place = Place(f"sqlite:///{tmp_path}/identity.db")
    create_state(place.url)
    return place


@pytest.fixture
def postgres_place(postgres: Postgres) -> Iterator[Place]:
    """Return an empty state on the server that tests share."""
    with postgres.database() as url:
        create_state(url, postgres.password)
        yield Place(url, postgres.password)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return an empty state, once of each kind."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def database(place: Place) -> Iterator[StateDatabase]:
    """Open the state."""
    opened = place.open()
    yield opened
    opened.close()


@pytest.fixture
def state(database: StateDatabase) -> SqlState:
    """Return the stores."""
    return SqlState(database)


@pytest.fixture
def replica(place: Place, state: SqlState) -> Iterator[SqlState]:
    """Return the stores as another replica has them; an SQLite file has one gateway, so there it is the same one."""
    if place.password is None:
        yield state
        return
    opened = place.open()
    yield SqlState(opened)
    opened.close()


def together(*calls: Callable[[], _Found]) -> list[_Found]:
    """Run calls at the same time, a thread each, and return what they found, in their order."""
    barrier = Barrier(len(calls))
    found: list[tuple[int, _Found]] = []

    def run(number: int, call: Callable[[], _Found]) -> None:
        barrier.wait(10)
        found.append((number, call()))

    threads = [Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == len(calls), "a call failed or hangs"
    return [value for _, value in sorted(found, key=lambda item: item[0])]
