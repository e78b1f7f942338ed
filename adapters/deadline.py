"""A deadline that is moved for every exchange, and a timer that is not."""

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `passed` once when the time that was last set is over, at most one timer at a time.

    A later deadline leaves the running timer alone, which looks again when it fires: most exchanges never touch it.
    """

    __slots__ = ("_at", "_loop", "_passed", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def set(self, seconds: float) -> None:
        """Let the deadline pass so many seconds from now."""
        self._at = self._loop.time() + seconds
        if self._timer_at > self._at:
            self._set_timer()

    def clear(self) -> None:
        """Let no deadline pass until the next `set`."""
        self._at = math.inf

    def stop(self) -> None:
        """Let go of the timer, for good."""
        self._at = math.inf
        self._timer_at = -math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._at
        self._timer = self._loop.call_at(self._at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        if self._loop.time() < self._at < math.inf:
            self._set_timer()
        elif self._at < math.inf:
            self._at = math.inf
            self._passed()
