"""Bodies stream both ways in bounded memory, and a backend may answer before it has the whole request."""

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamProtocolError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.raw_upstream import RawConnection, RawUpstream, answering
from tests.parts.request_bodies import NO_BODY, Body, StalledBody, sized

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
HOST = [(b"Host", b"x")]
PIECE = bytes(64 * 1024)
PIECES = 1024  # 64 MiB in all
BOUND = 4 * 1024 * 1024


class LargeBody:
    """64 MiB; `given` counts the pieces that were asked for."""

    framed = True

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            self.given += 1
            yield PIECE


@pytest.mark.parametrize("early", [REFUSED, REFUSED.replace(b"2", b"2\r\nConnection: close")], ids=["kept", "closing"])
@pytest.mark.parametrize("length", [100, None], ids=["sized", "chunked"])
@on_both_loops
def test_an_early_answer_is_delivered_and_sending_stops(
    early: bytes, length: int | None, loop_factory: LoopFactory
) -> None:
    """The client may still be sending: nobody reads its body any more, and the connection is not reused."""

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        connection.send(early)
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        body = StalledBody(b"a", b"b", length=length)
        response = await pool.send("PUT", b"/", HOST, body)
        assert body.ended
        assert response.status == 413
        assert await response.read() == b"no"
        response.close()
        assert pool.counters().idle == 0
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_an_answer_to_a_body_that_is_still_on_its_way_spoils_the_connection(loop_factory: LoopFactory) -> None:
    """The rest of the body would be the beginning of the next request to a backend that gave up on it."""

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        connection.send(OK)
        connection.wait_for(answered)
        connection.read_to_end()

    answered = threading.Event()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await pool.send("PUT", b"/", HOST, sized(PIECE * 256))
        assert await response.read() == b"ok"
        assert pool.counters().idle == 0
        answered.set()
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize("length", [PIECES * len(PIECE), None], ids=["sized", "chunked"])
@on_both_loops
def test_an_early_answer_survives_a_backend_that_closes_on_the_rest(
    length: int | None, loop_factory: LoopFactory
) -> None:
    """The unread body makes the backend's close a reset, so our writes fail: the answer counts all the same."""

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        connection.send(REFUSED)
        connection.close()

    async def main(url: str) -> None:
        for _ in range(20):
            pool = ConnectionPool(url)
            body = LargeBody(length)
            response = await pool.send("PUT", b"/", HOST, body)
            assert body.given < PIECES
            assert response.status == 413
            assert await response.read() == b"no"
            response.close()
            await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_an_early_answer_that_never_yields_to_the_loop_is_not_lost(loop_factory: LoopFactory) -> None:
    """The event loop drops what it has not read when a write fails; the kernel still has it."""
    answered = threading.Event()

    class BlindBody:
        length: int | None = 1_000_000
        framed = True

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a" * 1000
            # Holds the event loop until the backend has answered and closed.
            assert answered.wait(10)
            for _ in range(999):
                yield b"a" * 1000

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        connection.send(REFUSED)
        connection.close()
        answered.set()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await pool.send("PUT", b"/", HOST, BlindBody())
        assert response.status == 413
        assert await response.read() == b"no"
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_backend_that_closes_during_the_upload_without_an_answer_is_a_protocol_error(
    loop_factory: LoopFactory,
) -> None:
    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(UpstreamProtocolError):
            await pool.send("PUT", b"/", HOST, LargeBody(None))
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize("pieces", [(b"abcd",), (b"ab", b"cd")], ids=["one piece", "two pieces"])
@on_both_loops
def test_a_client_that_ends_its_body_late_holds_nothing_up(
    pieces: tuple[bytes, ...], loop_factory: LoopFactory
) -> None:
    """Content-Length tells the end, so nobody waits for more, and the body's source is ended at once."""

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        body = StalledBody(*pieces, length=4)
        response = await pool.send("PUT", b"/", HOST, body)
        assert body.ended
        assert not body.stalled.is_set()
        assert await response.read() == b"ok"
        assert pool.counters().idle == 1
        await pool.close()

    with RawUpstream(answering(OK)) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize("first", [True, False], ids=["first piece", "later piece"])
@on_both_loops
def test_a_client_that_breaks_off_ends_the_request_with_its_own_error(first: bool, loop_factory: LoopFactory) -> None:
    """A truncated body never looks whole to the backend: its connection is closed instead."""

    class ClientGoneError(Exception):
        pass

    class BrokenBody:
        length: int | None = None
        framed = True

        async def __aiter__(self) -> AsyncIterator[bytes]:
            if not first:
                yield b"abc"
                await asyncio.sleep(0.01)
            raise ClientGoneError

    def script(connection: RawConnection) -> None:
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(ClientGoneError):
            await pool.send("PUT", b"/", HOST, BrokenBody())
        while pool.counters().open:
            await asyncio.sleep(0)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)
        upstream.wait_for_connections(0 if first else 1)
    received = [connection.received.partition(b"\r\n\r\n")[2] for connection in upstream.connections]
    assert received == ([] if first else [b"3\r\nabc\r\n"])


@pytest.mark.parametrize("pieces", [(b"ab",), (b"abc", b"de"), (b"abcde",)], ids=["short", "long", "long at once"])
def test_a_body_that_breaks_its_length_never_reaches_the_backend_whole(pieces: tuple[bytes, ...]) -> None:
    """SECURITY-CASES 8: bytes beyond Content-Length would be read as the next request."""
    begun = len(pieces[0]) < 4  # a first piece that is too long already is refused before a connection is made

    def script(connection: RawConnection) -> None:
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(ValueError, match="length"):
            await pool.send("PUT", b"/", HOST, Body(pieces, 4))
        while pool.counters().open:
            await asyncio.sleep(0)

    with RawUpstream(script) as upstream:
        run(main(upstream.url))
        upstream.wait_for_connections(1 if begun else 0)
    received = [connection.received.partition(b"\r\n\r\n")[2] for connection in upstream.connections]
    assert received == ([pieces[0]] if begun else [])


@pytest.mark.parametrize("length", [PIECES * len(PIECE), None], ids=["sized", "chunked"])
@on_both_loops
def test_a_large_upload_takes_bounded_memory_and_waits_for_the_backend(
    length: int | None, loop_factory: LoopFactory
) -> None:
    go_on = threading.Event()
    received = 0

    def script(connection: RawConnection) -> None:
        nonlocal received
        head = connection.read_until(b"\r\n\r\n")
        connection.wait_for(go_on)
        while received < PIECES * len(PIECE):
            if length is None:
                size = int(connection.read_until(b"\r\n"), 16)
                received += len(connection.read_exactly(size + 2)) - 2
            else:
                received += len(connection.read_exactly(len(PIECE)))
            connection.received = b""
        if length is None:
            connection.read_until(b"0\r\n\r\n")
        connection.send(OK)
        assert head.startswith(b"PUT")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        body = LargeBody(length)
        tracemalloc.start()
        sending = asyncio.create_task(pool.send("PUT", b"/", HOST, body))
        before = -1
        while before != body.given:
            before = body.given
            await asyncio.sleep(0.05)
        assert body.given < PIECES // 2
        go_on.set()
        response = await sending
        assert body.given == PIECES
        assert await response.read() == b"ok"
        assert tracemalloc.get_traced_memory()[1] < BOUND
        tracemalloc.stop()
        assert pool.counters().idle == 1
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)
    assert received == PIECES * len(PIECE)


FRAMINGS = {
    "sized": (b"Content-Length: %d\r\n" % (PIECES * len(PIECE)), PIECE, b""),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % len(PIECE) + PIECE + b"\r\n", b"0\r\n\r\n"),
    "closed": (b"Connection: close\r\n", PIECE, b""),
}


@pytest.mark.parametrize(("framing", "piece", "end"), FRAMINGS.values(), ids=FRAMINGS.keys())
@on_both_loops
def test_a_large_download_takes_bounded_memory_and_waits_for_the_reader(
    framing: bytes, piece: bytes, end: bytes, loop_factory: LoopFactory
) -> None:
    sent = 0

    def script(connection: RawConnection) -> None:
        nonlocal sent
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
        for _ in range(PIECES):
            connection.send(piece)
            sent += 1
        connection.send(end)

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        tracemalloc.start()
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.05)
        assert sent < PIECES // 2
        size = largest = 0
        while data := await response.read():
            size += len(data)
            largest = max(largest, len(data))
        assert size == PIECES * len(PIECE)
        assert largest <= 512 * 1024
        assert tracemalloc.get_traced_memory()[1] < BOUND
        tracemalloc.stop()
        response.close()
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)
