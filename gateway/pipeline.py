"""The seven steps of one request, top to bottom: target, authenticate, classify, decide, record, forward, outcome."""

from typing import Final

from audit.log import AuditLog
from audit.store import AuditUnavailableError
from gateway.counters import Counters
from gateway.exchange import Exchange
from gateway.forwarding import Forwarder, receipt_header
from gateway.judgement import Judge
from gateway.open_exchanges import OpenExchanges
from gateway.problems import Problem
from gateway.recording import decision_record, verdict_of

_UNRECORDED: Final = Problem("audit_unavailable", "nothing was forwarded: try again later")


class Pipeline:
    """Takes every request of the data path from its raw bytes to its recorded outcome."""

    def __init__(
        self,
        judge: Judge,
        audit: AuditLog,
        forwarder: Forwarder,
        open_exchanges: OpenExchanges,
        counters: Counters,
        *,
        public_url: str,
        instance: str,
    ) -> None:
        self._judge = judge
        self._audit = audit
        self._forwarder = forwarder
        self._open = open_exchanges
        self._counters = counters
        self._public_url = public_url
        self._instance = instance

    async def run(self, exchange: Exchange) -> None:
        """Judge, record, and only then forward or refuse one request."""
        exchange.generation = self._open.generation
        await self.conclude(exchange, await self._judge.judge(exchange))

    async def conclude(self, exchange: Exchange, problem: Problem | None) -> None:
        """Record the verdict, then act on it: forward where there is no problem, answer with the problem else."""
        try:
            receipt = await self._audit.append(decision_record(exchange, problem, self._instance))
        except AuditUnavailableError:
            # What could not be recorded is not forwarded; the log itself says in its own log line what to mend.
            self._counters.unrecorded += 1
            await exchange.answer(_UNRECORDED, [], self._public_url)
            return
        self._counters.decided(verdict_of(problem))
        if problem is None:
            await self._forwarder.forward(exchange, receipt)
        else:
            await exchange.answer(problem, [receipt_header(receipt)], self._public_url)
