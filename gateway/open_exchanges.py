"""The requests that are being forwarded now, so that those whose caller may no longer do this can be cut."""

import logging
from collections.abc import Callable

from gateway.exchange import Exchange
from gateway.problems import Problem

logger = logging.getLogger("portcullis.open_exchanges")

ProblemOf = Callable[[Exchange], Problem | None]


class OpenExchanges:
    """Belongs to one event loop. `problem_now` says why an exchange would not be allowed now, None where it would.

    `generation` counts changes of who may do what: a request that was judged in an earlier one is judged again before
    it goes on. `cut_count` counts the exchanges that were cut.
    """

    def __init__(self, problem_now: ProblemOf) -> None:
        self._problem_now = problem_now
        self._open: set[Exchange] = set()
        self.generation = 0
        self.cut_count = 0

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, exchange: Exchange) -> Problem | None:
        """Note that an exchange goes to its backend, unless what it was judged by has changed to its disadvantage.

        Between its judgement and this call its record was written, which takes time; nothing may come between
        this call and the forwarding.
        """
        if exchange.generation != self.generation:
            problem = self._problem_now(exchange)
            if problem is not None:
                self.cut_count += 1
                return problem
        self._open.add(exchange)
        return None

    def leave(self, exchange: Exchange) -> None:
        """Note that it has ended."""
        self._open.discard(exchange)

    def judge_again(self) -> None:
        """End every exchange that would not be allowed any more: identities or the policy have changed."""
        self.generation += 1
        self.cut(self._problem_now)

    def cut(self, problem_of: ProblemOf) -> None:
        """End every exchange that has a problem now.

        The client sees the connection break off where an answer had begun, and the problem's answer where none had.
        """
        for exchange in tuple(self._open):
            problem = _problem(exchange, problem_of)
            if problem is not None:
                exchange.cut = problem
                exchange.raw.cancel()
                self.cut_count += 1


def _problem(exchange: Exchange, problem_of: ProblemOf) -> Problem | None:
    try:
        return problem_of(exchange)
    except Exception:
        # One that can't be judged must neither go on nor save the others.
        logger.exception("request %s can't be judged again", exchange.request_id)
        return Problem("internal_error", "the gateway's log has the details under this request id")
