"""Steps six and seven: send an allowed, recorded request to its backend, relay the answer, note the outcome."""

import asyncio
import logging
import time

from adapters.upstream import UpstreamError, UpstreamProtocolError, UpstreamResponse
from audit.log import AuditLog
from audit.receipt import Receipt
from audit.record import Result
from gateway.backends import Backend
from gateway.body import ClientGoneError
from gateway.counters import Counters
from gateway.exchange import Exchange
from gateway.headers import RawHeaders, response_headers
from gateway.open_exchanges import OpenExchanges
from gateway.problems import Problem
from gateway.recording import outcome_record

logger = logging.getLogger("portcullis.forwarding")

_BODILESS = frozenset((204, 304))


class Forwarder:
    """Carries one exchange to its backend and back."""

    def __init__(self, audit: AuditLog, counters: Counters, public_url: str, open_exchanges: OpenExchanges) -> None:
        self._audit = audit
        self._open = open_exchanges
        self._counters = counters
        self._public_url = public_url

    async def forward(self, exchange: Exchange, receipt: Receipt) -> None:
        """Forward, relay and note the outcome, whatever it is; raises only what is a fault of our own."""
        started_ns = time.perf_counter_ns()
        raw = exchange.raw
        result: Result = "fail"
        detail = "internal_error"
        refused: int | None = None
        # The client's leaving is delivered as a cancellation: it reaches whatever is being waited for, at no cost
        # to the requests whose client stays.
        raw.cancel_when_client_goes(True)
        try:
            exchange.cut = self._open.enter(exchange)
            if exchange.cut is None:
                await self._carry(exchange, evidence(exchange, receipt))
                result, detail = "ok", ""
            else:
                detail = "access_ended"
                refused = await self._cut(exchange, exchange.cut, receipt)
        except UpstreamError as error:
            detail = error.code
            refused = await self._fail(exchange, error, receipt)
        except ClientGoneError:
            detail = "client_gone"
        except asyncio.CancelledError:
            if exchange.cut is not None:
                detail = "access_ended"
                refused = await self._cut(exchange, exchange.cut, receipt)
            else:
                detail = "client_gone" if raw.client_gone else "gateway_stopping"
                if not raw.client_gone:
                    raise
        finally:
            self._open.leave(exchange)
            raw.cancel_when_client_goes(False)
            duration_us = (time.perf_counter_ns() - started_ns) // 1000
            self._audit.append_soon(outcome_record(exchange, receipt, result, detail, duration_us))
            self._counters.forwarded(exchange.status or refused, duration_us)

    async def _carry(self, exchange: Exchange, evidence: RawHeaders) -> None:
        backend, request, body = exchange.backend, exchange.request, exchange.body
        assert backend is not None and request is not None and body is not None
        if exchange.raw.client_gone:
            raise ClientGoneError
        outbound = backend.adapter.outbound(request)
        response = await backend.upstream.send(exchange.method, outbound.target, outbound.headers, body)
        try:
            await self._relay(exchange, backend, response, evidence)
        finally:
            response.close()

    async def _relay(
        self, exchange: Exchange, backend: Backend, response: UpstreamResponse, evidence: RawHeaders
    ) -> None:
        status = response.status
        if not 200 <= status <= 599:
            raise UpstreamProtocolError(f"the backend answered with status {status}")
        headers = response_headers(response.headers, backend.name, backend.base_url)
        if response.length is not None and status not in _BODILESS:
            headers.append((b"content-length", b"%d" % response.length))
        await exchange.begin_relay(status, headers + evidence)
        if not response.complete:
            # The head goes out now, however long the body takes.
            await exchange.relay(b"", more=True)
        piece = await response.read()
        while piece:
            # What is here already is looked ahead at, so that a small answer ends with its only piece.
            following = await response.read() if response.complete else None
            await exchange.relay(piece, more=following != b"")
            if following == b"":
                return
            piece = await response.read() if following is None else following
        await exchange.relay(b"", more=False)

    async def _cut(self, exchange: Exchange, problem: Problem, receipt: Receipt) -> int | None:
        """End a request whose caller may no longer do this: break its answer off, or give the problem as the answer."""
        logger.info("request %s was cut: %s", exchange.request_id, problem.code)
        if exchange.status is not None:
            exchange.raw.abort()
            return None
        await exchange.answer(problem, [receipt_header(receipt)], self._public_url)
        return problem.status

    async def _fail(self, exchange: Exchange, error: UpstreamError, receipt: Receipt) -> int | None:
        """Answer for the backend where nothing of its answer is out yet; return the status of that."""
        assert exchange.backend is not None
        name = exchange.backend.name
        logger.warning("request %s: the backend %s failed: %s", exchange.request_id, name, error)
        if exchange.status is not None:
            exchange.raw.abort()
            return None
        problem = Problem(error.code, f"the backend {name!r} failed: {error}")
        await exchange.answer(problem, [receipt_header(receipt)], self._public_url)
        return problem.status


def receipt_header(receipt: Receipt) -> tuple[bytes, bytes]:
    """Return the caller's own evidence: where the decision stands in the log, and its leaf hash."""
    return b"portcullis-receipt", b"%d:%s" % (receipt.index, receipt.leaf.hex().encode("ascii"))


def evidence(exchange: Exchange, receipt: Receipt) -> RawHeaders:
    """Return the headers that every forwarded answer carries."""
    return [(b"portcullis-request-id", exchange.request_id.encode("ascii")), receipt_header(receipt)]
