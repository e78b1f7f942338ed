"""uvicorn's HTTP/1.1 protocol, narrowed to what the data path may see and widened by the exact bytes it needs.

Stock uvicorn parses the target into a path and a query, which loses `#`, an empty `?`, absolute forms and the header
names' spelling, appends trailers to the request's headers, and reads endless headers. Each override below closes one
of these.
"""

import asyncio
import math
import socket
import struct
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.answer import Answer
from gateway.problems import Problem

EXTENSION = "portcullis"
MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 128
_TOO_LARGE = Problem("headers_too_large", f"the head is longer than {MAX_HEADER_BYTES} bytes")


class RawRequest:
    """What ASGI leaves out of a scope: the raw target and headers, and whether the client is still there."""

    __slots__ = ("_answer", "_protocol", "headers", "target")

    def __init__(
        self, protocol: "ExactProtocol", answer: Answer, target: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._protocol = protocol
        self._answer = answer
        self.target = target
        self.headers = headers

    @property
    def client_gone(self) -> bool:
        """Whether the client's connection is closed."""
        return self._protocol.gone

    def cancel_when_client_goes(self, wanted: bool) -> None:
        """Have this request's task cancelled when the client's connection closes, or no more."""
        self._protocol.cancels = wanted

    def abort(self) -> None:
        """Close the connection in mid-response, so that the client can't take what it has for the whole."""
        self._answer.disconnected = True
        transport = self._protocol.transport
        # A plain close is the regular end of an answer without length or chunks: a reset can't be taken for one.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class ExactProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.task: asyncio.Task[None] | None = None  # of the request that is being answered
        self.cancels = False
        self.gone = False
        self._unfinished_bytes = 0
        self._idle_since = math.inf
        self._in_headers = False
        self._in_body = False
        self._refusal = Problem("bad_request", "the request is not well-formed HTTP/1.1")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone and cancel what is being done for it."""
        self.gone = True
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self.cancels and self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bound a head that never ends before it is parsed further."""
        self._idle_since = math.inf
        if self._in_headers:
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEADER_BYTES:
                self._refusal = _TOO_LARGE
                self.send_400_response("")
                return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_headers = True
        self._unfinished_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the header as it was spelled; trailers come here too and are dropped."""
        if self._in_headers:
            if len(name) == 6 and name.lower() == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request over with its raw target, and refuse what this server does not speak."""
        self._in_headers = False
        headers, parser = self.headers, self.parser
        version = parser.get_http_version()
        self._check_head(version)
        # The target is a placeholder: routing starts from the raw one, once that was found canonical.
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": "",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
            "extensions": {},
        }
        before = self.cycle
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self.cycle = answer = Answer(self, cast(HTTPScope, scope), keep_alive=keep_alive)
        scope["extensions"][EXTENSION] = RawRequest(self, answer, self.url, headers)
        self._in_body = True
        if before is None or before.response_complete:
            self._start_asgi_task(answer, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((answer, self.app))

    def _check_head(self, version: str) -> None:
        headers = self.headers
        if version not in ("1.1", "1.0"):
            self._refuse(Problem("bad_request", "the HTTP version must be 1.1 or 1.0"))
        if len(headers) > MAX_HEADERS:
            self._refuse(Problem("headers_too_large", f"there are more than {MAX_HEADERS} headers"))
        if len(self.url) + sum([len(name) + len(value) + 4 for name, value in headers]) > MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
        if version == "1.0" and any(name.lower() == b"transfer-encoding" for name, _ in headers):
            self._refuse(Problem("bad_request", "HTTP/1.0 has no Transfer-Encoding"))
        if self.parser.should_upgrade():
            self._refuse(Problem("upgrade_not_served", "neither CONNECT nor an Upgrade header is served"))

    def on_message_complete(self) -> None:
        """Note that what comes next is another request."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that could not be parsed with a problem document and close the connection."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not self._in_body:
            # An earlier, whole request is still being answered: its answer ends the connection.
            self.cycle.keep_alive = False
            self.transport.pause_reading()
            return
        if not answering or not (self.cycle.response_started or self.pipeline):
            self.transport.write(self._refusal_response())
        if answering:
            # The body of the request in hand is broken off: nothing more is sent for it, to either side.
            self.cycle.disconnected = True
        self.transport.close()

    def _refusal_response(self) -> bytes:
        problem = self._refusal
        body = problem.document("")
        head = [b"HTTP/1.1 %d Refused\r\n" % problem.status]
        head += [name + b": " + value + b"\r\n" for name, value in problem.headers("", "")]
        head.append(b"content-length: %d\r\n\r\n" % len(body))
        return b"".join(head) + body

    def on_response_complete(self) -> None:
        """Go on with the next pipelined request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        # One timer a connection, moved only where it fires: most requests never touch it.
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, Answer)
        self.task = cycle.task = task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)

    def _close_if_idle(self) -> None:
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s <= 0:
            self.timeout_keep_alive_task = None
            self.transport.close()
        else:
            left_s = min(left_s, self.timeout_keep_alive)
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self._close_if_idle)

    def _refuse(self, problem: Problem) -> None:
        self._refusal = problem
        # The parser stops at an exception out of a callback, and so no byte after the refused head is looked at.
        raise httptools.HttpParserError(problem.detail)
