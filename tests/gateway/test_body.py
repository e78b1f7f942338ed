"""A body that has to be read whole comes whole, small enough and in time, or not at all."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.body import BodyTooLargeError, BodyTooSlowError, ClientBody, ClientGoneError


def body_of(*messages: MutableMapping[str, Any], length: int | None = None) -> ClientBody:
    """A body whose client sends these messages, and then nothing."""
    waiting = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return ClientBody(receive, length, framed=True)


def piece(data: bytes, *, more: bool) -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def held(body: ClientBody, *, limit: int = 10, within_s: float = 30.0) -> bytes:
    return asyncio.run(body.held(limit, within_s)).data


def test_its_pieces_are_put_together() -> None:
    assert held(body_of(piece(b"ab", more=True), piece(b"cd", more=False))) == b"abcd"


def test_one_that_stops_coming_is_given_up() -> None:
    with pytest.raises(BodyTooSlowError):
        held(body_of(piece(b"ab", more=True)), within_s=0.01)


def test_one_that_is_too_large_is_not_read_on() -> None:
    with pytest.raises(BodyTooLargeError):
        held(body_of(piece(b"x" * 11, more=True)))
    with pytest.raises(BodyTooLargeError):
        held(body_of(length=11))


def test_one_whose_client_leaves_is_none() -> None:
    with pytest.raises(ClientGoneError):
        held(body_of(piece(b"ab", more=True), {"type": "http.disconnect"}))
