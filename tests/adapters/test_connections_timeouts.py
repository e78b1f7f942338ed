"""A silent backend is given up in bounded time, and only a silent one."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamTimeoutError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.raw_upstream import RawConnection, RawUpstream, Script
from tests.parts.request_bodies import NO_BODY, Body, chunked, sized

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [(b"Host", b"x")]


async def emptied(pool: ConnectionPool) -> None:
    """Return once no connection is open."""
    while pool.counters().open:
        await asyncio.sleep(0)


def silent(connection: RawConnection) -> None:
    """Take all and say nothing."""
    connection.read_to_end()


def stops_in_the_head(connection: RawConnection) -> None:
    """Begin a head."""
    connection.read_until(b"\r\n\r\n")
    connection.send(b"HTTP/1.1 200 OK\r\n")
    connection.read_to_end()


@pytest.mark.parametrize("script", [silent, stops_in_the_head])
@pytest.mark.parametrize("body", [NO_BODY, sized(b"abc"), chunked(b"abc", b"def")], ids=["none", "sized", "chunked"])
@on_both_loops
def test_a_backend_that_does_not_answer_times_out(script: Script, body: Body, loop_factory: LoopFactory) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url, first_byte_timeout_s=0.1)
        with pytest.raises(UpstreamTimeoutError, match=r"did not answer within 0\.1 s"):
            await pool.send("POST", b"/", HOST, body)
        await emptied(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_backend_that_stops_in_a_body_times_out(loop_factory: LoopFactory) -> None:
    """Chunk framing without a byte of body is no sign of life."""
    seen = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        connection.wait_for(seen)
        connection.send(b"5;a=")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, idle_timeout_s=0.1)
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        assert await response.read() == b"ok"
        seen.set()
        with pytest.raises(UpstreamTimeoutError, match="nothing more of its response"):
            await response.read()
        await emptied(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_backend_that_does_not_read_the_body_times_out(loop_factory: LoopFactory) -> None:
    stop = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        connection.wait_for(stop)

    async def main(url: str) -> None:
        pool = ConnectionPool(url, idle_timeout_s=0.1)
        with pytest.raises(UpstreamTimeoutError, match="took nothing more of the request's body"):
            await pool.send("PUT", b"/", HOST, Body((bytes(65536),) * 1000, 65536 * 1000))
        await emptied(pool)
        stop.set()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize("pieces", [1, 24])
@on_both_loops
def test_an_upload_that_moves_does_not_time_out(pieces: int, loop_factory: LoopFactory) -> None:
    """A slow backend takes several times the timeouts for the whole, but never goes that long without a byte."""
    piece = bytes(256 * 1024)

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        pace = threading.Event()
        for _ in range(24):
            connection.read_exactly(len(piece))
            pace.wait(0.05)
        connection.send(OK)
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, first_byte_timeout_s=0.4, idle_timeout_s=0.4)
        response = await pool.send("PUT", b"/", HOST, sized(*[piece * (24 // pieces)] * pieces))
        assert await response.read() == b"ok"
        await pool.close()

    with RawUpstream(script, receive_buffer=len(piece) // 4) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_slow_client_or_reader_is_not_the_backends_fault(loop_factory: LoopFactory) -> None:
    """No deadline runs while the backend waits for us."""

    class SlowBody:
        length: int | None = None
        framed = True

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(0.2)
            yield b"b"

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        connection.send(b"lf")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, first_byte_timeout_s=0.1, idle_timeout_s=0.1)
        response = await pool.send("PUT", b"/", HOST, SlowBody())
        body = await response.read()
        await asyncio.sleep(0.2)
        while piece := await response.read():
            body += piece
        assert body == b"half"
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_backend_that_accepts_nobody_times_out(loop_factory: LoopFactory) -> None:
    """A TLS handshake that never comes is a connection that could not be made."""

    async def main(url: str) -> None:
        pool = ConnectionPool(url.replace("http:", "https:"), connect_timeout_s=0.1)
        with pytest.raises(UpstreamTimeoutError, match=r"within 0\.1 s"):
            await pool.send("GET", b"/", HOST, NO_BODY)
        await emptied(pool)

    with RawUpstream(silent) as upstream:
        run(main(upstream.url), loop_factory)
