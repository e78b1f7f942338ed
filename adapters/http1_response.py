"""One HTTP/1.1 response from bytes (RFC 9112): head, framing, body; no sockets here."""

import re

import httptools

from adapters.upstream import UpstreamProtocolError

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
MAX_INTERIM_RESPONSES = 16

_TEXT_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_FRAMING_NAMES = frozenset({b"content-length", b"transfer-encoding", b"keep-alive"})
_KEEP_ALIVE_TIMEOUT = re.compile(rb"(?:^|[,\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_STATUS_LINE_STARTS = (b"HTTP/1.1 ", b"HTTP/1.0 ")


class ResponseParser:
    """One final response, from the bytes that answer one request (RFC 9112 sections 4 to 8).

    `head_complete` says that `status`, `reason`, `headers` (as received), `length` (Content-Length or None),
    `keep_alive` and `keep_alive_timeout_s` are here; `pieces` and `buffered` hold the body received and not yet taken;
    `complete` says that the response's last byte was seen. Trailers are dropped.

    The head and chunked bodies go through llhttp, which is strict but for the points checked here. A parser serves one
    response only, because llhttp can't be told that a response answers HEAD. Bodies that are not chunked are counted
    here, which saves a copy.
    """

    __slots__ = (
        "_answers_head", "_chunked", "_dry", "_fed", "_interim", "_left", "_llhttp", "_start",
        "buffered", "complete", "head_complete", "headers", "keep_alive", "keep_alive_timeout_s", "length", "pieces",
        "reason", "started", "status", "surplus",
    )  # fmt: skip

    def __init__(self, *, answers_head: bool) -> None:
        self._answers_head = answers_head
        self._chunked = False
        self._dry = 0  # bytes since the last byte of body: chunk framing, extensions, trailers
        self._fed = 0
        self._interim = 0
        self._left: int | None = None  # of a counted body, once the head is complete
        self._start = b""
        self.started = False
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.head_complete = False
        self.keep_alive = False
        self.keep_alive_timeout_s: int | None = None
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.complete = False
        self.surplus = False  # bytes came after the end: whatever they are, nobody asked for them
        self._llhttp: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes from the wire. Raises UpstreamProtocolError."""
        llhttp = self._llhttp
        if llhttp is None:
            self._count(data)
        elif self.head_complete:
            self._feed_chunked(llhttp, data)
        else:
            self._feed_head(llhttp, data)

    def feed_eof(self) -> None:
        """Take the end of the stream: the regular end of a close-delimited body, else UpstreamProtocolError."""
        if self.complete:
            return
        if not self.head_complete:
            raise UpstreamProtocolError("the backend closed the connection in the middle of a response's head")
        if self._chunked:
            raise UpstreamProtocolError("the backend closed the connection in the middle of a chunked body")
        if self._left is not None:
            raise UpstreamProtocolError(f"the backend closed the connection {self._left} bytes short of Content-Length")
        self.complete = True

    def take(self) -> bytes:
        """Return the body received since the last call, `b""` where there is none."""
        pieces = self.pieces
        self.buffered = 0
        if len(pieces) == 1:
            return pieces.pop()
        piece = b"".join(pieces)
        pieces.clear()
        return piece

    def stop(self) -> None:
        """Expect no more bytes; breaks the reference cycle with llhttp, which only a garbage collection would end."""
        self._llhttp = None

    def _feed_head(self, llhttp: httptools.HttpResponseParser, data: bytes) -> None:
        if not self.started and data.startswith(_STATUS_LINE_STARTS):
            self.started = True
        elif not self.started or self._start:
            self._check_start(data)
        try:
            llhttp.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
        self._fed += len(data)
        if self._fed > MAX_HEAD_BYTES and (
            # Before that, llhttp holds the unfinished header in memory.
            not self.head_complete or sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES
        ):
            raise UpstreamProtocolError(f"the backend's response head is longer than {MAX_HEAD_BYTES} bytes")
        if not self.head_complete:
            return
        if not self._chunked or self.complete:
            self._llhttp = None
        if not self._chunked and self.length is not None:
            self._left = self.length - self.buffered

    def _feed_chunked(self, llhttp: httptools.HttpResponseParser, data: bytes) -> None:
        before = self.buffered
        try:
            llhttp.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
        self._dry = self._dry + len(data) if self.buffered == before else 0
        if self.complete:
            self._llhttp = None
        elif self._dry > MAX_HEAD_BYTES:
            raise UpstreamProtocolError(f"the backend sent over {MAX_HEAD_BYTES} bytes of chunk extensions or trailers")

    def _count(self, data: bytes) -> None:
        if self.complete:
            self.surplus = True
            return
        size = len(data)
        if self._left is not None:
            if size > self._left:
                data = data[: self._left]
                size = self._left
                self.surplus = True
            self._left -= size
            self.complete = self._left == 0
        self.pieces.append(data)
        self.buffered += size

    def _fail(self, error: httptools.HttpParserError) -> None:
        if self.complete:
            self.surplus = True
            return
        refusal = error.__context__
        if isinstance(refusal, UpstreamProtocolError):
            raise refusal from None
        raise UpstreamProtocolError(f"the backend's response is malformed: {error}") from None

    def _check_start(self, data: bytes) -> None:
        """Refuse what llhttp would let pass: blank lines, RTSP and ICE, HTTP/0.9 and HTTP/2.0 as a version."""
        self.started = True
        start = self._start + data[: 9 - len(self._start)]
        self._start = b"" if len(start) == 9 else start
        if not any(line.startswith(start) for line in _STATUS_LINE_STARTS):
            raise UpstreamProtocolError("the backend's answer does not begin with an HTTP/1.1 or HTTP/1.0 status line")

    # llhttp calls the rest, by name.

    def on_message_begin(self) -> None:
        """Note a second response."""
        if self.complete:
            self.surplus = True

    def on_status(self, reason: bytes) -> None:
        """Take a piece of the reason phrase."""
        if not self.complete:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head; those of the trailer are dropped."""
        if self.head_complete:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise UpstreamProtocolError(f"the backend's response has more than {MAX_HEADERS} headers")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Skip an interim response, decide how a final one ends."""
        llhttp = self._llhttp
        if self.head_complete or llhttp is None:
            return
        status = llhttp.get_status_code()
        if self._interim and llhttp.get_http_version() not in ("1.1", "1.0"):
            raise UpstreamProtocolError("the backend's answer is not HTTP/1.1 or HTTP/1.0")
        if not 100 <= status <= 599 or self.reason.translate(None, _TEXT_BYTES):
            raise UpstreamProtocolError(f"the backend's status line is malformed (status {status})")
        if status == 101:
            raise UpstreamProtocolError("the backend switched protocols (101) without being asked")
        if status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise UpstreamProtocolError(f"the backend sent more than {MAX_INTERIM_RESPONSES} interim responses")
            self.headers.clear()
            self.reason = b""
            return
        self.status = status
        self._read_framing(llhttp)
        self.head_complete = True
        self.complete = self._answers_head or status in (204, 304) or self.length == 0

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.complete:
            self.surplus = True
            return
        self.pieces.append(piece)
        self.buffered += len(piece)

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        if self.head_complete:
            self.complete = True

    def _read_framing(self, llhttp: httptools.HttpResponseParser) -> None:
        codings: list[bytes] = []
        for name, value in self.headers:
            if (key := name.lower()) not in _FRAMING_NAMES:
                continue
            if key == b"content-length":
                self.length = int(value)  # llhttp has checked that it stands once and is a number
            elif key == b"transfer-encoding":
                codings.append(value)
            elif (timeout := _KEEP_ALIVE_TIMEOUT.search(value)) is not None:
                self.keep_alive_timeout_s = int(timeout[1])
        self.keep_alive = llhttp.should_keep_alive()
        if codings:
            # No other coding was offered (no TE is sent), and where two readers see different codings they see
            # different bodies (RFC 9112 section 6.1).
            if len(codings) > 1 or codings[0].rstrip(b" ").lower() != b"chunked":
                raise UpstreamProtocolError("the backend's Transfer-Encoding is not exactly `chunked`")
            if llhttp.get_http_version() != "1.1":
                raise UpstreamProtocolError("the backend sent Transfer-Encoding in an HTTP/1.0 response")
            self._chunked = True
        elif self._answers_head and self.length is None:
            # llhttp would wait for the end of the stream.
            closes = any(name.lower() == b"connection" and b"close" in value.lower() for name, value in self.headers)
            self.keep_alive = not closes and llhttp.get_http_version() == "1.1"
        if self.status == 204 and (codings or self.length):
            # Forbidden there (RFC 9112 section 6.1, RFC 9110 section 8.6); the body it tells of may follow.
            self.keep_alive = False
