"""The ASGI callable: `/-/…` and `/.well-known/…` go to the gateway's own application, all else down the data path."""

import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from audit.request_id import new_request_id
from gateway.body import Receive
from gateway.exchange import Exchange, Scope, Send
from gateway.judgement import read_head
from gateway.pipeline import Pipeline
from gateway.problems import Problem
from gateway.server import EXTENSION, RawRequest

logger = logging.getLogger("portcullis.proxy")

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
# `/.well-known/` is where other standards look for the gateway's own documents (RFC 8615); no backend's name has a dot.
_CONTROL = (b"/-/", b"/-?", b"/.well-known/")
_UNRELAXED: dict[str, frozenset[str]] = {}


class Proxy:
    """One process's front door. Needs `gateway.server.ExactProtocol` below it, for the raw target and headers."""

    def __init__(self, pipeline: Pipeline, control: ASGIApp, public_url: str) -> None:
        self._pipeline = pipeline
        self._control = control
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await self._control(scope, receive, send)
            return
        raw: RawRequest = scope["extensions"][EXTENSION]
        now_us = time.time_ns() // 1000
        exchange = Exchange(scope, receive, send, raw, request_id=new_request_id(now_us), received_us=now_us)
        try:
            if raw.target.startswith(_CONTROL) or raw.target == b"/-":
                await self._serve_control(scope, exchange)
            else:
                await self._pipeline.run(exchange)
        except Exception:
            # The request fails, the service goes on; nothing of the exception reaches the caller.
            logger.exception("request %s failed", exchange.request_id)
            if raw.answer_started:
                raw.abort()
                return
            problem = Problem("internal_error", "the gateway's log has the details under this request id")
            await exchange.answer(problem, [], self._public_url)

    async def _serve_control(self, scope: Scope, exchange: Exchange) -> None:
        problem = read_head(exchange, _UNRELAXED)
        if problem is not None:
            await self._pipeline.conclude(exchange, problem)
            return
        target = exchange.target
        assert target is not None
        path = b"/" + target.backend.encode("latin-1") + target.path
        scope["raw_path"] = path
        scope["path"] = unquote(path.decode("ascii"))
        scope["query_string"] = target.query or b""
        # ASGI wants lower-case names; the data path wants the client's own spelling.
        scope["headers"] = [(name.lower(), value) for name, value in exchange.raw.headers]
        scope["state"] = {**scope.get("state", {}), "exchange": exchange}
        await self._control(scope, exchange.receive, exchange.send)
