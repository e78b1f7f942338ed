"""The keep-alive connections to one backend: which one carries a request, and when a request may be tried again.

A backend may close an idle connection at the very moment a request is written to it. Nobody can tell then whether
the request was acted on, so it is sent again only where a second time changes nothing (GET, HEAD and OPTIONS without a
body), only if the connection had been used before and not one byte of an answer came, and only once, on a new
connection. Everything else fails with UpstreamProtocolError, and the client, who knows what the request means, decides.
Two things make that rare: idle connections are given up before common servers give them up, and the kernel is asked
whether a connection is still open and silent right before it is used.
"""

import asyncio
import functools
import math
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.backend import Headers
from adapters.connection import Connection, NoAnswerError, Response
from adapters.http1 import OutgoingBody, request_head
from adapters.upstream import RequestBody, UpstreamConnectError, UpstreamTimeoutError

# Apache httpd, Node.js and uvicorn close after 5 s.
DEFAULT_KEEP_ALIVE_S = 4.0
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class PoolCounters:
    """How a pool fares: `open` and `idle` connections now; `connected`, `reused` and `retried` since the start."""

    open: int
    idle: int
    connected: int
    reused: int
    retried: int


class ConnectionPool:
    """See `adapters.upstream.Upstream`; the connections to one base URL, for one event loop.

    `url` is `http://host[:port]` or `https://host[:port]`; its path is not used, as `send` takes the whole target. Over
    https the backend's certificate is verified against the system's authorities for the URL's host, or by `tls`.
    At most `max_idle` connections wait for reuse, each for `keep_alive_s` or, where the backend announces `Keep-Alive:
    timeout`, a second less than that. Connections in use are not limited: the gateway limits its requests.

    The timeouts are seconds of waiting for the backend. `first_byte_timeout_s` runs from the request's last byte to
    the end of the response's head; `idle_timeout_s` is the longest that the backend may take no byte of the
    request's body or, where the caller waits for it, send none of the response's. Neither runs while a client is slow.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 60.0,
        idle_timeout_s: float = 60.0,
        keep_alive_s: float = DEFAULT_KEEP_ALIVE_S,
        max_idle: int = 128,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// URL with a host")
        self._host = parts.hostname
        self._tls = None if parts.scheme == "http" else tls or _verifying_context()
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_timeout_s = connect_timeout_s
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._keep_alive_s = keep_alive_s
        self._max_idle = max_idle
        self._idle: deque[Connection] = deque()  # the most recently used at the right
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._connected = 0
        self._reused = 0
        self._retried = 0

    async def send(self, method: str, target: bytes, headers: Headers, body: RequestBody) -> Response:
        """Send one request; see `adapters.upstream.Upstream.send`.

        Raises ValueError, before anything is sent, where a byte of the request would move a boundary of the message,
        and ValueError where the body doesn't have its length. What the body's source raises passes through. No
        connection is left behind by either, or by a cancellation.
        """
        data = request_head(method, target, headers, body)
        rest: OutgoingBody | None = None
        if body.length != 0:
            # The first piece goes out with the head. Most bodies are a single piece, and a client that sends none
            # holds no connection.
            rest = OutgoingBody(body)
            data += await rest.next()
            if rest.done:
                rest = None
        answers_head = method == "HEAD"
        connection = self._checkout()
        if connection is None:
            connection = await self._connect()
            return await connection.exchange(data, rest, answers_head=answers_head)
        self._reused += 1
        try:
            return await connection.exchange(data, rest, answers_head=answers_head)
        except NoAnswerError:
            if method not in _REPEATABLE_METHODS or body.length != 0:
                raise
        self._retried += 1
        connection = await self._connect()
        return await connection.exchange(data, None, answers_head=answers_head)

    async def close(self) -> None:
        """Close every idle connection; those in use close when their response is complete or closed."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        closing = [connection.gone for connection in self._idle]
        while self._idle:
            self._idle.pop().abort()
        if closing:
            await asyncio.wait(closing)

    def counters(self) -> PoolCounters:
        """Return the counters of the moment."""
        return PoolCounters(len(self._open), len(self._idle), self._connected, self._reused, self._retried)

    # The connections' owner; called by them.

    def opened(self, connection: Connection) -> None:
        """Count a connection."""
        self._connected += 1
        self._open.add(connection)

    def freed(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        keep_alive_s = self._keep_alive_s
        if connection.keep_alive_timeout_s is not None:
            keep_alive_s = min(keep_alive_s, connection.keep_alive_timeout_s - 1)
        if self._closed or keep_alive_s <= 0:
            connection.abort()
            return
        if len(self._idle) >= self._max_idle:
            self._idle.popleft().abort()
        loop = connection.loop
        connection.expires = loop.time() + keep_alive_s
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keep_alive_s, self._sweep)

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    # Making and choosing them.

    def _checkout(self) -> Connection | None:
        """Return the most recently used idle connection that is still good: the others can then age and go."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        where = f"{self._host}:{self._port}"
        if self._closed:
            raise UpstreamConnectError(f"the connections to {where} were closed")
        loop = asyncio.get_running_loop()
        factory = functools.partial(
            Connection,
            self,
            loop,
            first_byte_timeout_s=self._first_byte_timeout_s,
            idle_timeout_s=self._idle_timeout_s,
        )
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(factory, self._host, self._port, ssl=self._tls)
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"no connection to {where} within {self._connect_timeout_s:g} s") from error
        except OSError as error:
            raise UpstreamConnectError(f"no connection to {where}: {error}") from error
        return connection

    def _sweep(self) -> None:
        """Close the idle connections whose time is over."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        over = [connection for connection in self._idle if connection.expires <= now]
        for connection in over:
            self._idle.remove(connection)
            connection.abort()
        soonest = min((connection.expires for connection in self._idle), default=math.inf)
        self._sweeper = None if soonest == math.inf else loop.call_at(soonest, self._sweep)


def _verifying_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
