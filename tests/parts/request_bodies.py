"""Request bodies for tests of the upstream seam."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(slots=True)
class Body:
    """A body of these pieces; `length` is announced as it stands, None makes it chunked."""

    pieces: tuple[bytes, ...]
    length: int | None
    framed: bool = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        for piece in self.pieces:
            yield piece


NO_BODY = Body((), 0, framed=False)


def sized(*pieces: bytes) -> Body:
    """Return a body with Content-Length."""
    return Body(pieces, sum(map(len, pieces)))


def chunked(*pieces: bytes) -> Body:
    """Return a body of unknown length."""
    return Body(pieces, None)


class StalledBody:
    """A client that sends `pieces` and then nothing; `ended` tells that nobody reads it any more."""

    def __init__(self, *pieces: bytes, length: int | None) -> None:
        self.length = length
        self.framed = True
        self.stalled = asyncio.Event()
        self.ended = False
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces, then wait for ever."""
        try:
            for piece in self._pieces:
                yield piece
            self.stalled.set()
            await asyncio.Event().wait()
        finally:
            self.ended = True
