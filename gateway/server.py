"""uvicorn's HTTP/1.1 protocol, narrowed to what the data path may see and widened by the exact bytes it needs.

Stock uvicorn parses the target into a path and a query, which loses `#`, an empty `?`, absolute forms and the header
names' spelling. It appends trailers to the request's headers, reads endless heads and trailers, queues pipelined
requests without a bound, and waits for a first head for ever. The overrides below close these, and spare each
request what it does not need.
"""

import asyncio
import math
import socket
import struct
import time
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from audit.request_id import new_request_id
from gateway.answer import Answer
from gateway.client_certificate import peer_thumbprint
from gateway.problems import Problem

EXTENSION = "portcullis"
MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 128
MAX_PIPELINED = 16
HEAD_WITHIN_S = 30.0
_MALFORMED = Problem("bad_request", "the request is not well-formed HTTP/1.1")
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

    @property
    def client_thumbprint(self) -> str | None:
        """The SHA-256 of the client's certificate on this connection (`x5t#S256`), None where it showed none."""
        return self._protocol.client_thumbprint

    def cancel_when_client_goes(self, wanted: bool) -> None:
        """Have this request's task cancelled when the client's connection closes, or no more."""
        self._protocol.cancels = wanted

    def cancel(self) -> None:
        """Cancel this request's task, wherever it waits."""
        task = self._answer.task
        if task is not None:
            task.cancel()

    @property
    def answer_started(self) -> bool:
        """Whether an answer has begun, whoever gave it."""
        return self._answer.response_started

    def abort(self) -> None:
        """Close the connection in mid-response, so that the client can't take what it has for the whole."""
        self._answer.disconnected = True
        transport = self._protocol.transport
        if self._answer.response_complete or transport.is_closing():
            return
        # A plain close is the regular end of an answer without length or chunks: a reset can't be taken for one.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class ExactProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gone = False
        self.client_thumbprint: str | None = None
        self.running: Answer | None = None
        self.cancels = False
        self._deaf = False
        self._deadline = math.inf
        self._unfinished_bytes = 0  # of a head that has not ended
        self._dry_bytes = 0  # since the last byte of a body: chunk framing, extensions, trailers
        self._in_headers = False
        self._in_body = False
        self._refusal = _MALFORMED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first head, not for ever."""
        super().connection_made(transport)
        # The handshake is over: the certificate is verified, and stays the same while the connection lasts.
        self.client_thumbprint = peer_thumbprint(transport)
        self._deadline = self.loop.time() + HEAD_WITHIN_S
        self.timeout_keep_alive_task = self.loop.call_later(HEAD_WITHIN_S, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone and cancel what is being done for it."""
        self.gone = True
        self.pipeline.clear()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self.running is not None:
            self.running.lose_client()
            if self.cancels and self.running.task is not None:
                self.running.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse, with a bound on heads and trailers that never end."""
        if self._deaf:
            # Still read, so that the client's leaving is noticed while earlier requests are answered.
            return
        if self._in_headers:
            room = MAX_HEADER_BYTES - self._unfinished_bytes
            head, data = data[:room], data[room:]
            self._unfinished_bytes += len(head)
            self._feed(head)
            if self._in_headers and self._unfinished_bytes >= MAX_HEADER_BYTES:
                self._give_up(_TOO_LARGE)
        elif self._in_body:
            self._dry_bytes += len(data)
        if data and not self._deaf:
            self._feed(data)
            if self._dry_bytes > MAX_HEADER_BYTES:
                self._give_up(Problem("bad_request", "chunk extensions and trailers never end"))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up(self._refusal)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._dry_bytes = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_headers = True
        self._unfinished_bytes = 0
        if self.cycle is None or self.cycle.response_complete:
            self._deadline = self.loop.time() + HEAD_WITHIN_S

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
        before: Answer | None = self.cycle  # type: ignore[assignment]
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self.cycle = answer = Answer(self, cast(HTTPScope, scope), keep_alive=keep_alive)
        scope["extensions"][EXTENSION] = RawRequest(self, answer, self.url, headers)
        self._in_body = True
        self._dry_bytes = 0
        self._deadline = math.inf
        if before is None or before.response_complete:
            self._start_asgi_task(answer, self.app)
        else:
            self.pipeline.appendleft((answer, self.app))

    def _check_head(self, version: str) -> None:
        headers = self.headers
        if self.cycle is not None and not self.cycle.response_complete and self._is_too_much_ahead():
            # The earlier requests are answered, then the connection closes: the client sends this one again.
            self._refuse(_MALFORMED)
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

    def _is_too_much_ahead(self) -> bool:
        # A body that waits behind an unanswered request would stop the reading, and with it the sight of the client.
        return len(self.pipeline) >= MAX_PIPELINED or any(
            name.lower() in (b"content-length", b"transfer-encoding") and value != b"0" for name, value in self.headers
        )

    def on_message_complete(self) -> None:
        """Note that what comes next is another request."""
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete:
            self._deadline = self.loop.time() + self.timeout_keep_alive

    def _give_up(self, problem: Problem) -> None:
        """Answer what could not be parsed with a problem document, where it is next in turn, and close."""
        self._refusal = problem
        self._deaf = True
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not self._in_body:
            # Earlier, whole requests are still being answered: the last answer ends the connection.
            self.cycle.keep_alive = False
            return
        if not answering or not (self.cycle.response_started or self.pipeline):
            self.transport.write(self._refusal_response())
        if answering:
            # The body of the request in hand is broken off: nothing more is sent for it, to either side.
            self.cycle.disconnected = True
        self.transport.close()

    def _refusal_response(self) -> bytes:
        problem = self._refusal
        request_id = new_request_id(time.time_ns() // 1000)
        body = problem.document(request_id)
        head = [b"HTTP/1.1 %d Refused\r\n" % problem.status]
        head += [name + b": " + value + b"\r\n" for name, value in problem.headers(request_id, "")]
        head.append(b"content-length: %d\r\n\r\n" % len(body))
        return b"".join(head) + body

    def on_response_complete(self) -> None:
        """Go on with the next pipelined request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        now = self.loop.time()
        # What is left of a request's body, and a head that has begun, must come soon; the next request may take longer.
        self._deadline = now + (HEAD_WITHIN_S if self._in_body or self._in_headers else self.timeout_keep_alive)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, Answer)
        self.running = cycle
        cycle.task = task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)

    def _check_deadline(self) -> None:
        # One timer a connection, moved only where it fires: requests never touch it.
        left_s = self._deadline - self.loop.time()
        if left_s <= 0:
            self.transport.close()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(min(left_s, HEAD_WITHIN_S), self._check_deadline)

    def _refuse(self, problem: Problem) -> None:
        self._refusal = problem
        # The parser stops at an exception out of a callback, and so no byte after the refused head is looked at.
        raise httptools.HttpParserError(problem.detail)
