"""A replica sees what any replica wrote, in order, and says so when it can't be sure any more."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.identity_sync import Following, IdentitySync
from identity.state import Change, StateUnavailableError, Topic


@dataclass
class Feed:
    """A change feed in memory that can fail, hang, or have forgotten what a reader missed."""

    entries: list[Change] = field(default_factory=list)
    failing: bool = False
    forgotten: bool = False
    hanging: threading.Event | None = None

    def write(self, topic: Topic, key: str) -> None:
        self.entries.append(Change(len(self.entries) + 1, topic, key, time.time_ns() // 1000))

    def newest_change(self) -> int:
        self._answer()
        return len(self.entries)

    def changes(self, after: int) -> Sequence[Change] | None:
        self._answer()
        return None if self.forgotten else self.entries[after:]

    def _answer(self) -> None:
        if self.hanging is not None:
            self.hanging.wait(10)
        if self.failing:
            raise StateUnavailableError("the database is away")


@dataclass
class Seen:
    """What a replica's parts were told."""

    loads: int = 0
    keys: list[tuple[str, ...]] = field(default_factory=list)
    effects: int = 0
    stale: list[str | None] = field(default_factory=list)

    async def load(self) -> None:
        self.loads += 1

    async def follow(self, keys: Sequence[str]) -> None:
        self.keys.append(tuple(keys))

    def effect(self) -> None:
        self.effects += 1


def sync_of(feed: Feed, seen: Seen, *, interval_s: float = 0.005, stale_s: float = 5.0) -> IdentitySync:
    followers = {"revocation": Following(seen.load, seen.follow)}
    return IdentitySync(feed, followers, seen.effect, seen.stale.append, interval_s=interval_s, stale_s=stale_s)


def in_replica(
    feed: Feed,
    story: Callable[[IdentitySync, Seen], Awaitable[None]],
    *,
    interval_s: float = 0.005,
    stale_s: float = 5.0,
) -> Seen:
    seen = Seen()

    async def run() -> None:
        sync = sync_of(feed, seen, interval_s=interval_s, stale_s=stale_s)
        await sync.start()
        try:
            await asyncio.wait_for(story(sync, seen), 10)
        finally:
            if feed.hanging is not None:
                feed.hanging.set()
            await sync.close()

    asyncio.run(run())
    return seen


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_what_was_there_before_is_loaded_and_what_comes_after_is_followed_in_order() -> None:
    feed = Feed()
    feed.write("revocation", "person:user:old")

    async def story(sync: IdentitySync, seen: Seen) -> None:
        assert seen.loads == 1
        feed.write("revocation", "person:user:alice")
        feed.write("revocation", "person:user:bob")
        await until(lambda: len([key for keys in seen.keys for key in keys]) == 2)

    seen = in_replica(feed, story)
    assert [key for keys in seen.keys for key in keys] == ["person:user:alice", "person:user:bob"]


def test_the_writer_itself_need_not_wait_for_the_next_look() -> None:
    feed = Feed()

    async def story(sync: IdentitySync, seen: Seen) -> None:
        feed.write("revocation", "person:user:alice")
        await sync.catch_up()
        assert seen.keys == [("person:user:alice",)]
        assert sync.counters.applied == 1
        assert 0 <= sync.counters.last_delay_s < 5

    assert in_replica(feed, story, interval_s=3600).effects == 2


def test_what_a_newer_replica_writes_of_something_unknown_is_passed_over() -> None:
    feed = Feed()

    async def story(sync: IdentitySync, seen: Seen) -> None:
        feed.write("provisioning", "corp")
        feed.write("revocation", "person:user:alice")
        await until(lambda: bool(seen.keys))

    assert in_replica(feed, story).keys == [("person:user:alice",)]


def test_a_replica_that_missed_too_much_loads_everything_anew() -> None:
    feed = Feed()

    async def story(sync: IdentitySync, seen: Seen) -> None:
        feed.write("revocation", "person:user:alice")
        feed.forgotten = True
        await until(lambda: seen.loads >= 2)

    assert in_replica(feed, story).keys == []


def test_a_view_that_may_be_old_is_called_stale_until_it_can_be_read_again() -> None:
    feed = Feed()

    async def story(sync: IdentitySync, seen: Seen) -> None:
        feed.failing = True
        await until(lambda: bool(seen.stale) and seen.stale[-1] is not None)
        feed.write("revocation", "person:user:alice")
        feed.failing = False
        await until(lambda: seen.stale[-1] is None)
        assert seen.keys == [("person:user:alice",)]

    assert "the database is away" in in_replica(feed, story, stale_s=0.02).stale


def test_a_store_that_hangs_is_called_stale_too() -> None:
    feed = Feed()

    async def story(sync: IdentitySync, seen: Seen) -> None:
        feed.hanging = threading.Event()
        await until(lambda: seen.stale[-1] is not None)
        feed.hanging.set()
        feed.hanging = None
        await until(lambda: seen.stale[-1] is None)

    assert any("did not answer" in (reason or "") for reason in in_replica(feed, story, stale_s=0.05).stale)


def test_a_store_that_is_away_at_the_start_is_read_once_it_is_there() -> None:
    feed = Feed(failing=True)

    async def story(sync: IdentitySync, seen: Seen) -> None:
        assert seen.stale[-1] is not None
        feed.failing = False
        await until(lambda: seen.stale[-1] is None)

    assert in_replica(feed, story).loads == 1
