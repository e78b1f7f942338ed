"""How one request is answered on its client's connection."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

logger = logging.getLogger("portcullis.server")

_BODILESS = frozenset((204, 304))


class ClientConnection(Protocol):
    """What an answer needs of the connection it goes out on."""

    transport: asyncio.Transport
    flow: FlowControl
    tasks: set[asyncio.Task[None]]
    expect_100_continue: bool

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        ...


class Answer(RequestResponseCycle):
    """One answer on its way to the client: the head goes out together with the first piece of the body.

    An empty piece sends the head alone. Names and values come from the gateway itself or from a parser that
    refuses control bytes. An HTTP/1.0 client, who knows no chunks, is told the end by closing.
    """

    def __init__(self, connection: ClientConnection, scope: HTTPScope, *, keep_alive: bool) -> None:
        # Not the parent's: it makes a dozen things that are not needed here, for every request.
        self.scope = scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.tasks = connection.tasks
        self.task: asyncio.Task[None] | None = None
        self.message_event = asyncio.Event()
        self.on_response = connection.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = connection.expect_100_continue
        self.disconnected = False
        self.body = bytearray()
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = None
        self._head = b""

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application for this request; whatever it leaves undone ends the connection."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            logger.exception("a request failed beyond the reach of its problem document")
        finally:
            if not self.response_complete and not self.disconnected:
                self.disconnected = True
                self.transport.close()
            if self.task is not None:
                self.tasks.discard(self.task)
            # These refer back to this answer: a cycle a request would keep the garbage collector busy.
            self.scope, self.task, self.on_response = {}, None, _nothing  # type: ignore[typeddict-item]

    async def send(self, message: ASGISendEvent) -> None:
        """Send one ASGI event; waits while the client is not reading."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected or self.response_complete or self.transport.is_closing():
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message["headers"])
            return
        assert message["type"] == "http.response.body"
        body, more = message.get("body", b""), message.get("more_body", False)
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            body = b""
        elif self.chunked_encoding:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        if head or body:
            self.transport.write(head + body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next piece of the request's body, or that the client is gone."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            if self.more_body:
                self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def lose_client(self) -> None:
        """Note that nobody is there any more, and wake whoever waits for the body."""
        self.disconnected = not self.response_complete
        self.message_event.set()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        if self.waiting_for_100_continue:
            # The client may send the body that it announced, or may not: what comes next could be either.
            self.waiting_for_100_continue = self.keep_alive = False
        lines = [STATUS_LINE[status]]
        delimited = status in _BODILESS or self.scope["method"] == "HEAD"
        for name, value in headers:
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                delimited = True
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        if delimited:
            self.chunked_encoding = False
        elif self.scope["http_version"] == "1.1":
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.chunked_encoding = self.keep_alive = False
        if not self.keep_alive and (b"connection: close\r\n" not in lines):
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)


def _nothing() -> None:
    return None
