"""Bounds on the calls to a provider that callers cause: so many at once, so many waiting, so many a second."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class TooManyCallsError(Exception):
    """A call would go beyond a bound: it was not made."""


class CallQueue:
    """Lets at most `at_once` calls run and `waiting` more wait; belongs to one event loop."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._present = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raises TooManyCallsError at once where too many wait already."""
        if self._present >= self._most:
            raise TooManyCallsError
        self._present += 1
        try:
            async with self._slots:
                yield
        finally:
            self._present -= 1


class CallBudget:
    """Allows `per_second` calls in the long run and `burst` at once; `monotonic` is a clock in seconds."""

    def __init__(self, *, per_second: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._left = float(burst)
        self._counted_at = monotonic()

    def spend(self) -> None:
        """Count one call; raises TooManyCallsError where the budget is used up."""
        now = self._monotonic()
        self._left = min(self._left + (now - self._counted_at) * self._per_second, self._burst)
        self._counted_at = now
        if self._left < 1:
            raise TooManyCallsError
        self._left -= 1

    def give_back(self) -> None:
        """Uncount a call that turned out to be honest."""
        self._left = min(self._left + 1, self._burst)


class RecentKeys:
    """Remembers keys for a while, at most `2 * capacity` of them; when it is full the least recent half goes.

    `monotonic` is a clock in seconds.
    """

    def __init__(self, capacity: int, *, monotonic: Callable[[], float]) -> None:
        self._capacity = capacity
        self._monotonic = monotonic
        self._young: dict[bytes, float] = {}
        self._old: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def __contains__(self, key: bytes) -> bool:
        until = self._young.get(key, self._old.get(key))
        return until is not None and self._monotonic() < until

    def remember(self, key: bytes, for_s: float) -> None:
        """Remember a key from now on for so many seconds."""
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[key] = self._monotonic() + for_s

    def forget(self, key: bytes) -> None:
        """Forget a key."""
        self._young.pop(key, None)
        self._old.pop(key, None)
