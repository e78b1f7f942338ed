"""One connection to a backend: an HTTP/1.1 exchange at a time, with flow control both ways and deadlines."""

import asyncio
import math
import select
from typing import Protocol, cast

from adapters.backend import Headers
from adapters.deadline import Deadline
from adapters.http1 import OutgoingBody
from adapters.http1_response import ResponseParser
from adapters.sockets import descriptor, is_cut, unread_pieces, unsent_bytes
from adapters.upstream import UpstreamProtocolError, UpstreamTimeoutError

MAX_BUFFERED_BYTES = 128 * 1024


class NoAnswerError(UpstreamProtocolError):
    """The connection ended before the first byte of an answer: the backend may or may not have acted on the request."""


class Owner(Protocol):
    """Who keeps the connections."""

    def opened(self, connection: "Connection") -> None:
        """The connection was made."""

    def freed(self, connection: "Connection") -> None:
        """A response was received to its end and the connection can carry another request."""

    def lost(self, connection: "Connection") -> None:
        """The connection is gone; called once for each `opened`."""


class Response:
    """See `adapters.upstream.UpstreamResponse`. Once `complete`, it no longer needs its connection."""

    __slots__ = ("_connection", "_parser", "complete", "headers", "length", "reason", "status")

    def __init__(self, connection: "Connection", parser: ResponseParser) -> None:
        self.status = parser.status
        self.reason = parser.reason
        self.headers: Headers = parser.headers
        self.length = parser.length
        self.complete = parser.complete
        self._connection = connection
        self._parser = parser

    async def read(self) -> bytes:
        """Return the body received so far, waiting where there is none; `b""` at the end."""
        parser = self._parser
        if not parser.pieces:
            if parser.complete:
                return b""
            await self._connection.receive(parser)
        piece = parser.take()
        if not parser.complete:
            self._connection.resume_receiving()
        return piece

    def close(self) -> None:
        """Forget the rest of the body, and close the connection where that rest is still on its way."""
        if not self._parser.complete:
            self._connection.abort(UpstreamProtocolError("the response was closed before its end"))
        if self._parser.pieces:
            self._parser.take()


class Connection(asyncio.Protocol):
    """A TCP or TLS connection of a pool, driven by its event loop.

    A deadline runs only while the backend is waited for, never while a client or the gateway is.
    """

    __slots__ = (
        "_deadline", "_drained", "_error", "_first_byte_timeout_s", "_idle_timeout_s", "_owner", "_parser",
        "_patience_s", "_paused", "_poll", "_response", "_sent", "_transport", "_unsent", "_waiter",
        "expires", "gone", "keep_alive_timeout_s", "loop",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        *,
        first_byte_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self._owner = owner
        self.loop = loop
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self._parser: ResponseParser | None = None  # of the exchange in progress
        self._response: Response | None = None
        self._sent = False
        self._paused = False
        self._error: Exception | None = None  # why the connection was closed; None while it is open
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._deadline = Deadline(loop, self._deadline_passed)
        self._patience_s = 0.0
        self._unsent = 0
        self.gone: asyncio.Future[None] = loop.create_future()
        self.expires = math.inf  # when an idle connection must no longer be used, in the loop's time
        self.keep_alive_timeout_s: int | None = None

    async def exchange(self, head: bytes, body: OutgoingBody | None, *, answers_head: bool) -> Response:
        """Send `head`, then what is left of `body`, and return once the final response's head is here.

        The body is sent by a task of its own, so that an answer to its beginning is seen; sending stops there, and the
        connection is not used again. Once this returns or raises, the body is no longer read. Raises what the body's
        source raises, NoAnswerError, UpstreamProtocolError or UpstreamTimeoutError; the connection is closed then.
        """
        if self._error is not None:
            raise self._error
        parser = self._parser = ResponseParser(answers_head=answers_head)
        waiter = self._waiter = self.loop.create_future()
        self._transport.write(head)
        self._sent = body is None
        try:
            if body is None:
                # Only what exceeds the buffers can still be on its way when the deadline passes.
                self._expect_within(self._first_byte_timeout_s, len(head) if len(head) > MAX_BUFFERED_BYTES else 0)
                await waiter
            else:
                sender = self.loop.create_task(self._send(body, parser))
                try:
                    await waiter
                except asyncio.CancelledError:
                    self._abandon(parser)
                    raise
                finally:
                    sender.cancel()
                    await asyncio.wait((sender,))
                    await body.close()
        except BaseException:
            self._abandon(parser)
            raise
        if not parser.head_complete:
            raise self._reason()
        response = Response(self, parser)
        if not parser.complete:
            self._response = response
        return response

    async def receive(self, parser: ResponseParser) -> None:
        """Wait for the next piece of the body or its end; raises UpstreamProtocolError or UpstreamTimeoutError."""
        if self._error is None:
            self._expect_within(self._idle_timeout_s)
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            except asyncio.CancelledError:
                self._abandon(parser)
                raise
        if not parser.pieces and not parser.complete:
            raise self._reason()

    def resume_receiving(self) -> None:
        """Read from the backend again where its bytes had piled up."""
        if self._paused and self._error is None:
            self._paused = False
            self._transport.resume_reading()

    def is_usable(self) -> bool:
        """Tell whether an idle connection can carry a request.

        The event loop may not have seen yet that the backend closed it or sent something unasked, so the kernel is.
        """
        return self._error is None and self.loop.time() < self.expires and not self._poll.poll(0)

    def abort(self, error: Exception | None = None) -> None:
        """Close the connection at once; `error` is what those who wait on it will get."""
        if self._error is not None:
            return
        self._error = error or UpstreamProtocolError("the connection was closed")
        if self._parser is not None:
            self._parser.stop()
            self._parser = None
        self._response = None
        self._deadline.stop()
        self._wake()
        self.resume_writing()
        self._transport.abort()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_BUFFERED_BYTES)
        self._poll.register(descriptor(transport), select.POLLIN)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the backend."""
        parser = self._parser
        if parser is None:
            # Taken as the answer to the next request, they would hand one caller's answer to another.
            self.abort(UpstreamProtocolError("the backend sent bytes that answer no request"))
            return
        try:
            parser.feed(data)
        except UpstreamProtocolError as error:
            self.abort(error)
            return
        if parser.complete:
            self._complete(parser)
        elif parser.head_complete:
            if parser.buffered >= MAX_BUFFERED_BYTES and not self._paused and not self._transport.is_closing():
                self._paused = True
                self._transport.pause_reading()
            if parser.pieces or self._response is None:
                self._wake()

    def eof_received(self) -> None:
        """Take the end of the stream; the transport then closes itself."""
        parser = self._parser
        if parser is None:
            self.abort(UpstreamProtocolError("the backend closed the connection before a request was sent"))
        elif not parser.started:
            self.abort(NoAnswerError("the backend closed the connection before it answered"))
        elif is_cut(self._transport):
            self.abort(UpstreamProtocolError("the backend's TLS stream was cut"))
        else:
            try:
                parser.feed_eof()
            except UpstreamProtocolError as error:
                self.abort(error)
            else:
                self._complete(parser)

    def connection_lost(self, error: Exception | None) -> None:
        """End, with all that the backend had sent."""
        if self._error is None and self._parser is not None:
            self._read_rest()
        if self._error is None:
            cause = f"the connection to the backend broke: {error}"
            answered = self._parser is not None and self._parser.started
            self.abort(UpstreamProtocolError(cause) if answered else NoAnswerError(cause))
        self.gone.set_result(None)
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """Hold the request's body back until the backend reads."""
        self._drained = self.loop.create_future()

    def resume_writing(self) -> None:
        """Let the request's body go on."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The exchange.

    async def _send(self, body: OutgoingBody, parser: ResponseParser) -> None:
        """Send the rest of a body at the backend's pace; a failure of its source ends the exchange."""
        try:
            while True:
                data = await body.next()
                if self._error is not None or parser.head_complete or self._transport.is_closing():
                    return
                if data:
                    self._transport.write(data)
                if body.done:
                    break
                if self._drained is not None:
                    self._expect_within(self._idle_timeout_s, unsent_bytes(self._transport))
                    await self._drained
                    self._deadline.clear()
            self._sent = True
            self._expect_within(self._first_byte_timeout_s, unsent_bytes(self._transport))
        except Exception as error:
            self.abort(error)

    def _wake(self) -> None:
        """Tell whoever waits of a head, a piece of body, an end or an error."""
        self._deadline.clear()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _complete(self, parser: ResponseParser) -> None:
        """Part with the exchange as soon as its last byte is here, whether or not anyone has read it yet."""
        if self._response is not None:
            self._response.complete = True
        self._parser = self._response = None
        self._wake()
        if (
            self._sent
            and parser.keep_alive
            and not parser.surplus
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        ):
            if self._paused:
                self.resume_receiving()
            self.keep_alive_timeout_s = parser.keep_alive_timeout_s
            self._owner.freed(self)
        else:
            self.abort()

    def _abandon(self, parser: ResponseParser) -> None:
        """Abort, unless the connection has gone on to another exchange already."""
        if self._parser is parser:
            self.abort()

    def _reason(self) -> Exception:
        return self._error or UpstreamProtocolError("the connection was closed")

    def _read_rest(self) -> None:
        """Take what the kernel still holds after a write failed.

        A backend that answers early (413) and closes makes our next write fail, and the event loop then drops the
        answer unread. Only a plain socket can be read here: over TLS such an answer may be lost.
        """
        for data in unread_pieces(self._transport):
            self.data_received(data)
            if self._parser is None:
                return

    # Deadlines.

    def _expect_within(self, seconds: float, unsent: int = 0) -> None:
        self._patience_s = seconds
        self._unsent = unsent
        self._deadline.set(seconds)

    def _deadline_passed(self) -> None:
        unsent = unsent_bytes(self._transport)
        if unsent < self._unsent:
            # The backend is slow, but it reads.
            self._expect_within(self._patience_s, unsent)
        elif self._response is not None:
            self._time_out("the backend sent nothing more of its response for")
        elif not self._sent:
            self._time_out("the backend took nothing more of the request's body for")
        else:
            self._time_out("the backend did not answer within")

    def _time_out(self, what: str) -> None:
        self.abort(UpstreamTimeoutError(f"{what} {self._patience_s:g} s"))
