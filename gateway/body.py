"""A request's body on its way from the client to the backend."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGoneError(Exception):
    """The client closed its connection before its body was complete."""


class BodyTooSlowError(Exception):
    """The body did not come in time."""


class BodyTooLargeError(Exception):
    """The body is longer than may be held in memory."""


class ClientBody:
    """The body as it arrives. Nothing more is read from the client than has been asked for.

    Implements `adapters.upstream.RequestBody`. `received` counts the bytes that have been passed on.
    """

    __slots__ = ("_receive", "framed", "length", "received")

    def __init__(self, receive: Receive, length: int | None, *, framed: bool) -> None:
        self._receive = receive
        self.length = length
        self.framed = framed
        self.received = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces; raises ClientGoneError where they stop before the end."""
        more = self.length != 0
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            more = message.get("more_body", False)
            piece: bytes = message.get("body", b"")
            if piece:
                self.received += len(piece)
                yield piece

    async def held(self, limit: int, within_s: float) -> "HeldBody":
        """Read the whole body into memory.

        Raises BodyTooLargeError beyond `limit` bytes, BodyTooSlowError where it takes longer than `within_s` seconds.
        """
        if self.length is not None and self.length > limit:
            raise BodyTooLargeError
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(within_s):
                async for piece in self:
                    pieces.append(piece)
                    if self.received > limit:
                        raise BodyTooLargeError
        except TimeoutError:
            raise BodyTooSlowError from None
        return HeldBody(b"".join(pieces), framed=self.framed)


class HeldBody:
    """A body that had to be read before the request could be classified; it is sent as the same bytes."""

    __slots__ = ("data", "framed", "length", "received")

    def __init__(self, data: bytes, *, framed: bool) -> None:
        self.data = data
        self.length: int | None = len(data)
        self.framed = framed
        self.received = len(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in one piece."""
        if self.data:
            yield self.data
