"""Keeps this replica's view of identities up to date: what any replica wrote takes effect here within a second.

Each replica reads the journal of changes a few times a second. Where it can't be read for longer than STALE_S, whoever
is calling may have been revoked without our knowing: authentication is then refused until it can be read again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from identity.state import Change, ChangeFeed, StateUnavailableError

INTERVAL_S = 0.25
STALE_S = 5.0

_log = logging.getLogger("portcullis.identity")


class Follower(Protocol):
    """A part that holds a view of something the store knows. Its methods run on the event loop."""

    async def load(self) -> None:
        """Read everything anew."""
        ...

    async def follow(self, keys: Sequence[str]) -> None:
        """Read what has changed: the keys of its topic's changes, in order."""
        ...


@dataclass(slots=True)
class SyncCounters:
    """What the metrics page shows: changes applied, and the seconds from a change being written to its effect here."""

    applied: int = 0
    delay_s: float = 0.0
    last_delay_s: float = 0.0


@dataclass(slots=True)
class IdentitySync:
    """Reads the feed and tells the followers, by topic. Belongs to one event loop.

    `on_effect` is called after changes have taken effect, `on_stale` with a reason when the view may be old and with
    None when it is not any more.
    """

    feed: ChangeFeed
    followers: Mapping[str, Follower]
    on_effect: Callable[[], None]
    on_stale: Callable[[str | None], None]
    interval_s: float = INTERVAL_S
    stale_s: float = STALE_S
    counters: SyncCounters = field(default_factory=SyncCounters)
    _newest: int = 0
    _read_at: float = 0.0
    _problem: str | None = None
    _task: asyncio.Task[None] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Load everything and begin to follow; a store that can't be read yet is tried again."""
        try:
            await self._load()
        except StateUnavailableError as error:
            self._failed(error)
            _log.error("nobody is let in until the identity state can be read")
            self._mark_stale()
        self._task = asyncio.create_task(self._run(), name="identity state")

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def catch_up(self) -> None:
        """Apply what has been written until now, by this replica above all; raises StateUnavailableError."""
        async with self._turn:
            if self._problem is not None and not self._read_at:
                await self._load()
                return
            changes = await asyncio.to_thread(self.feed.changes, self._newest)
            if changes is None:
                await self._load()
            elif changes:
                await self._apply(changes)
            self._worked()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            try:
                # A store that hangs must not keep the view from being called stale.
                await asyncio.wait_for(self.catch_up(), self.stale_s)
            except StateUnavailableError as error:
                self._failed(error)
            except TimeoutError:
                self._failed(StateUnavailableError(f"the identity store did not answer within {self.stale_s:g} s"))
            except Exception as error:
                # Were this to end the task, no revocation would ever be seen again.
                _log.exception("the identity state can't be followed")
                self._failed(StateUnavailableError(type(error).__name__))
            if self._problem is not None and time.monotonic() - self._read_at > self.stale_s:
                self._mark_stale()

    async def _load(self) -> None:
        self._newest = await asyncio.to_thread(self.feed.newest_change)
        for follower in self.followers.values():
            await follower.load()
        self.on_effect()
        self._worked()

    async def _apply(self, changes: Sequence[Change]) -> None:
        keys: dict[str, list[str]] = {}
        for change in changes:
            keys.setdefault(change.topic, []).append(change.key)
        try:
            for topic, changed in keys.items():
                follower = self.followers.get(topic)
                # A newer replica may write of what this one knows nothing about.
                if follower is not None:
                    await follower.follow(changed)
        finally:
            # What is known so far has its effect, also where the rest can't be read yet.
            self.on_effect()
        self._newest = changes[-1].number
        now = time.time()
        for change in changes:
            delay_s = max(0.0, now - change.written_us / 1e6)
            self.counters.delay_s += delay_s
            self.counters.last_delay_s = delay_s
        self.counters.applied += len(changes)

    def _worked(self) -> None:
        self._read_at = time.monotonic()
        if self._problem is not None:
            _log.info("the identity state can be read again")
            self._problem = None
        self.on_stale(None)

    def _failed(self, error: StateUnavailableError) -> None:
        if self._problem != str(error):
            _log.warning("the identity state can't be read: %s", error)
        self._problem = str(error)

    def _mark_stale(self) -> None:
        self.on_stale(self._problem)


@dataclass(frozen=True, slots=True)
class Following:
    """A follower made of two functions."""

    load_all: Callable[[], Awaitable[None]]
    load_some: Callable[[Sequence[str]], Awaitable[None]]

    async def load(self) -> None:
        """See `Follower.load`."""
        await self.load_all()

    async def follow(self, keys: Sequence[str]) -> None:
        """See `Follower.follow`."""
        await self.load_some(keys)
