"""HTTP/1.1 as bytes (RFC 9112): a request's head and body on their way out, a response on its way in; no sockets."""

import functools
import re
from collections.abc import AsyncIterator
from typing import NoReturn

from adapters.backend import Headers
from adapters.upstream import RequestBody

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_TARGET_BYTES = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
_FRAMING_NAMES = frozenset({b"content-length", b"transfer-encoding"})


def request_head(method: str, target: bytes, headers: Headers, body: RequestBody) -> bytes:
    """Return the request's head exactly as given, `body`'s framing header at its end (RFC 9112 sections 3 to 6).

    Raises ValueError where a byte would move a boundary: a method or name that is no token, a target with a space or
    control byte, a value with a control byte, or a framing header among `headers`. CONNECT is refused as well: a
    2xx answer would turn the connection into a tunnel.
    """
    if not target or target.translate(None, _TARGET_BYTES):
        raise ValueError("the request target is empty or holds a space or a control byte")
    lines = b""
    if headers:
        names, values = zip(*headers, strict=True)
        # Together they are checked several times faster than one by one.
        if (
            b"" in names
            or b"".join(names).translate(None, _TOKEN_BYTES)
            or b"".join(values).translate(None, _VALUE_BYTES)
            or not _FRAMING_NAMES.isdisjoint(map(bytes.lower, names))
        ):
            _refuse(headers)
        lines = b"\r\n".join(map(b": ".join, headers)) + b"\r\n"
    if body.length is None:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif body.length > 0 or body.framed:
        framing = b"Content-Length: %d\r\n" % body.length
    else:
        framing = b""
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (_method(method), target, lines, framing)


@functools.lru_cache(maxsize=32)
def _method(method: str) -> bytes:
    method_bytes = method.encode("latin-1", "replace")
    if _TOKEN.fullmatch(method_bytes) is None or method_bytes == b"CONNECT":
        raise ValueError(f"the method {method!r} can't be forwarded")
    return method_bytes


def _refuse(headers: Headers) -> NoReturn:
    for name, value in headers:
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"the header name {name!r} is not a token")
        if value.translate(None, _VALUE_BYTES):
            raise ValueError(f"the value of header {name!r} holds a control byte")
        if name.lower() in _FRAMING_NAMES:
            raise ValueError(f"the header {name!r} frames the body, which is left to the connection")
    raise AssertionError("a header was refused that is good")


class OutgoingBody:
    """A request's body as it goes on the wire, piece by piece; `done` once the last byte was given out.

    The source is never asked for more than its length, so that a source that ends late holds nothing up.
    """

    __slots__ = ("_left", "_source", "done")

    def __init__(self, body: RequestBody) -> None:
        self._left = body.length
        self._source: AsyncIterator[bytes] = aiter(body)
        self.done = False

    async def next(self) -> bytes:
        """Return the next bytes for the wire, chunk framing included; empty only where the source gave an empty piece.

        Raises ValueError where the source holds more or less than the length that was announced, and whatever
        the source raises.
        """
        piece = await anext(self._source, None)
        if self._left is None:
            if piece is None:
                self.done = True
                return b"0\r\n\r\n"
            # An empty chunk would end the body.
            return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        if piece is None:
            raise ValueError(f"the request's body ended {self._left} bytes short of its length")
        self._left -= len(piece)
        if self._left <= 0:
            self.done = True
            await self.close()
        if self._left < 0:
            raise ValueError(f"the request's body is at least {-self._left} bytes longer than its length")
        return piece

    async def close(self) -> None:
        """End the source here where it is a generator, or the garbage collector would do it in a task of its own."""
        end = getattr(self._source, "aclose", None)
        if end is not None:
            await end()
