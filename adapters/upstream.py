"""The seam between the data path and the connections to one backend."""

from collections.abc import AsyncIterator
from typing import Protocol

from adapters.backend import Headers


class UpstreamError(Exception):
    """The backend did not give a usable answer; `code` is stable, the text never holds a credential."""

    code = "upstream_failed"


class UpstreamConnectError(UpstreamError):
    """No connection could be made; nothing was sent."""

    code = "upstream_unreachable"


class UpstreamTimeoutError(UpstreamError):
    """The backend was silent for longer than the connect, first-byte or idle timeout allows."""

    code = "upstream_timeout"


class UpstreamProtocolError(UpstreamError):
    """The backend closed early, reset, or sent something that is not a well-formed HTTP/1.1 response."""

    code = "upstream_protocol"


class RequestBody(Protocol):
    """A request's body, read once.

    `length` is the number of bytes (0: no body, and no Content-Length is sent unless `framed`), or None where it is
    not known and goes out chunked. `framed` says that the client framed the body itself, as in `Content-Length: 0`.
    """

    length: int | None
    framed: bool

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces as they arrive; stops reading from the client while the upstream is not reading."""
        ...


class UpstreamResponse(Protocol):
    """A response whose head has arrived; its body is pulled, which is what holds the backend back."""

    status: int
    reason: bytes
    headers: Headers
    length: int | None
    complete: bool

    async def read(self) -> bytes:
        """Return the next piece of the body, `b""` once at its end.

        Raises UpstreamTimeoutError or UpstreamProtocolError where the body stops short.
        """
        ...

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end. Safe to call twice."""
        ...


class Upstream(Protocol):
    """The connections to one backend."""

    async def send(self, method: str, target: bytes, headers: Headers, body: RequestBody) -> UpstreamResponse:
        """Send one request byte for byte and return when the final response's head is here (1xx are skipped).

        Raises UpstreamConnectError, UpstreamTimeoutError or UpstreamProtocolError.
        """
        ...

    async def close(self) -> None:
        """Close every idle connection; those in use close when their response is closed."""
        ...
