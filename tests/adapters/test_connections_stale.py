"""A connection that the backend gave up in secret costs no request that matters a second sending."""

import asyncio
import threading

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamProtocolError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.raw_upstream import RawConnection, RawUpstream, Script, answering
from tests.parts.request_bodies import NO_BODY, Body, chunked, sized

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [(b"Host", b"x")]


def closing(connection: RawConnection) -> None:
    """Answer one request, then close when the next has come, without a byte."""
    connection.read_request()
    connection.send(OK)
    connection.read_request()
    connection.close()


def resetting(connection: RawConnection) -> None:
    """Answer one request, then reset when the next has come."""
    connection.read_request()
    connection.send(OK)
    connection.read_request()
    connection.reset()


async def used(pool: ConnectionPool) -> None:
    """Leave one used, idle connection in the pool."""
    response = await pool.send("GET", b"/first", HOST, NO_BODY)
    assert await response.read() == b"ok"
    response.close()
    assert pool.counters().idle == 1


async def emptied(pool: ConnectionPool) -> None:
    """Return once no connection is open."""
    while pool.counters().open:
        await asyncio.sleep(0)


@pytest.mark.parametrize("stale", [closing, resetting])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@on_both_loops
def test_a_safe_request_on_a_stale_connection_is_sent_once_more(
    stale: Script, method: str, loop_factory: LoopFactory
) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await used(pool)
        assert (await pool.send(method, b"/second", HOST, NO_BODY)).status == 200
        assert pool.counters().retried == 1
        await pool.close()

    with RawUpstream(stale, answering(OK)) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections[1].received == method.encode() + b" /second HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_safe_request_is_not_sent_a_third_time() -> None:
    def never(connection: RawConnection) -> None:
        connection.read_request()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await used(pool)
        with pytest.raises(UpstreamProtocolError, match="before it answered"):
            await pool.send("GET", b"/", HOST, NO_BODY)
        await emptied(pool)

    with RawUpstream(closing, never) as upstream:
        run(main(upstream.url))
    assert len(upstream.connections) == 2


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST", NO_BODY),
        ("DELETE", NO_BODY),
        ("PUT", sized(b"abc")),
        ("GET", sized(b"abc")),
        ("GET", chunked(b"abc")),
        ("get", NO_BODY),
    ],
)
@pytest.mark.parametrize("stale", [closing, resetting])
@on_both_loops
def test_a_request_that_may_have_had_an_effect_is_never_sent_twice(
    method: str, body: Body, stale: Script, loop_factory: LoopFactory
) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await used(pool)
        with pytest.raises(UpstreamProtocolError):
            await pool.send(method, b"/second", HOST, body)
        assert pool.counters().retried == 0
        await emptied(pool)

    with RawUpstream(stale) as upstream:
        run(main(upstream.url), loop_factory)
    assert len(upstream.connections) == 1


def test_a_request_on_a_new_connection_is_not_sent_twice() -> None:
    def never(connection: RawConnection) -> None:
        connection.read_request()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(UpstreamProtocolError):
            await pool.send("GET", b"/", HOST, NO_BODY)
        await emptied(pool)

    with RawUpstream(never) as upstream:
        run(main(upstream.url))
    assert len(upstream.connections) == 1


def test_a_request_that_was_answered_by_a_byte_is_not_sent_twice() -> None:
    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.read_request()
        connection.send(b"H")

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await used(pool)
        with pytest.raises(UpstreamProtocolError, match="head"):
            await pool.send("GET", b"/", HOST, NO_BODY)
        await emptied(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url))
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
@on_both_loops
def test_a_connection_that_the_loop_does_not_yet_know_to_be_closed_is_not_used(
    last_words: bytes, loop_factory: LoopFactory
) -> None:
    """The kernel is asked, so that even a POST survives a backend that gave its idle connection up."""
    close, closed = threading.Event(), threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.wait_for(close)
        connection.send(last_words)
        connection.close()
        closed.set()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await used(pool)
        close.set()
        # Holds the event loop, which thus can't see the end before the next request.
        assert closed.wait(10)
        response = await pool.send("POST", b"/", HOST, sized(b"abc"))
        assert await response.read() == b"ok"
        assert (pool.counters().connected, pool.counters().reused, pool.counters().retried) == (2, 0, 0)
        await pool.close()

    with RawUpstream(script, answering(OK)) as upstream:
        run(main(upstream.url), loop_factory)
