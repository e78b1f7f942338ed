"""The requests that are being forwarded now, so that those whose caller may no longer do this can be cut."""

from collections.abc import Callable

from gateway.exchange import Exchange
from gateway.problems import Problem


class OpenExchanges:
    """Belongs to one event loop. `cut_count` counts the exchanges that were cut."""

    def __init__(self) -> None:
        self._open: set[Exchange] = set()
        self.cut_count = 0

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, exchange: Exchange) -> None:
        """Note that an exchange goes to its backend."""
        self._open.add(exchange)

    def leave(self, exchange: Exchange) -> None:
        """Note that it has ended."""
        self._open.discard(exchange)

    def cut(self, problem_of: Callable[[Exchange], Problem | None]) -> int:
        """End every exchange that has a problem now; returns how many.

        The client sees the connection break off where an answer had begun, and the problem's answer where none had.
        """
        refused = [(exchange, problem) for exchange in self._open if (problem := problem_of(exchange)) is not None]
        for exchange, problem in refused:
            exchange.cut = problem
            exchange.raw.cancel()
        self.cut_count += len(refused)
        return len(refused)
