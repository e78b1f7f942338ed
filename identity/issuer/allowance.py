"""How often something may be done by one party: counted in memory, bounded, forgotten after a while."""

import time
from collections.abc import Callable


class Allowance:
    """At most `limit` times per party in each window of `window_s`, and `total` times by all of them together.

    Counts what this process sees: N replicas allow N times as much.
    """

    def __init__(
        self, *, limit: int, total: int, window_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._total = total
        self._window_s = window_s
        self._monotonic = monotonic
        self._window_began = monotonic()
        self._spent: dict[str, int] = {}
        self._sum = 0

    def is_spent(self, party: str) -> bool:
        """Tell whether the party has to wait."""
        self._turn()
        return self._sum >= self._total or self._spent.get(party, 0) >= self._limit

    def spend(self, party: str) -> None:
        """Count one; the parties can't be more than `total`, for each has spent something."""
        self._turn()
        self._spent[party] = self._spent.get(party, 0) + 1
        self._sum += 1

    def give_back(self, party: str) -> None:
        """Uncount one that turned out to be honest."""
        self._turn()
        spent = self._spent.pop(party, 0)
        if spent > 1:
            self._spent[party] = spent - 1
        # Nothing is left of what was counted in a window that is over.
        self._sum -= min(spent, 1)

    def _turn(self) -> None:
        now = self._monotonic()
        if now - self._window_began >= self._window_s:
            self._window_began = now
            self._spent.clear()
            self._sum = 0
