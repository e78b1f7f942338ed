"""A connection carries another request only where that is safe, and not for ever."""

import asyncio
import threading
import time

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamConnectError, UpstreamProtocolError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.raw_upstream import RawConnection, RawUpstream, answering
from tests.parts.upstream_exchange import OK, get, whole

RESPONSES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nT: u\r\n\r\n",
        True,
    ),
    "interim first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nL: a\r\n\r\n" + OK, True),
    "closing": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    "HTTP/1.0 kept alive": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
    "followed by garbage": (OK + b"garbage", False),
    "followed by another response": (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", False),
}


@pytest.mark.parametrize(("response", "reused"), RESPONSES.values(), ids=RESPONSES.keys())
@on_both_loops
def test_a_connection_is_reused_only_where_the_response_allows_it(
    response: bytes, reused: bool, loop_factory: LoopFactory
) -> None:
    """SECURITY-CASES 8: what follows a response is never read as the answer to another request."""

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        for _ in range(2):
            assert await whole(await get(pool)) == b"ok"
        assert pool.counters().connected == (1 if reused else 2)
        assert pool.counters().reused == (1 if reused else 0)
        assert pool.counters().retried == 0
        await pool.close()

    with RawUpstream(answering(response, response)) as upstream:
        run(main(upstream.url), loop_factory)


def test_concurrent_requests_have_a_connection_each_and_the_last_used_is_taken_first() -> None:
    both_here = threading.Barrier(2)

    def script(connection: RawConnection) -> None:
        connection.read_until(b"\r\n\r\n")
        both_here.wait(10)
        response = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % connection.number
        connection.send(response)
        answering(response, response, response)(connection)

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        first, second = await asyncio.gather(get(pool), get(pool))
        assert {await whole(first), await whole(second)} == {b"0", b"1"}
        assert (pool.counters().open, pool.counters().idle) == (2, 2)
        served = [await whole(await get(pool)) for _ in range(3)]
        assert len(set(served)) == 1
        await pool.close()
        assert (pool.counters().open, pool.counters().idle) == (0, 0)

    with RawUpstream(script) as upstream:
        run(main(upstream.url))


def test_the_number_of_idle_connections_is_bounded_and_the_oldest_goes() -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url, max_idle=2)
        for response in await asyncio.gather(*(get(pool) for _ in range(5))):
            await whole(response)
        assert pool.counters().idle == 2
        await pool.close()
        assert pool.counters().open == 0

    with RawUpstream(answering(OK, OK)) as upstream:
        run(main(upstream.url))


@on_both_loops
def test_an_idle_connection_is_closed_when_its_time_is_over(loop_factory: LoopFactory) -> None:
    closed = threading.Event()

    def script(connection: RawConnection) -> None:
        answering(OK)(connection)
        closed.set()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, keep_alive_s=0.05)
        await whole(await get(pool))
        assert await asyncio.to_thread(closed.wait, 10)
        assert pool.counters().open == 0
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize(("announced", "idle"), [(b"timeout=1", 0), (b"timeout=0", 0), (b"timeout=2", 1)])
def test_a_connection_is_not_kept_as_long_as_the_backend_announces(announced: bytes, idle: int) -> None:
    response = b"HTTP/1.1 200 OK\r\nKeep-Alive: " + announced + b"\r\nContent-Length: 2\r\n\r\nok"

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        await whole(await get(pool))
        assert pool.counters().idle == idle
        await pool.close()

    with RawUpstream(answering(response)) as upstream:
        run(main(upstream.url))


@on_both_loops
def test_a_closed_pool_closes_what_is_idle_and_lets_responses_end(loop_factory: LoopFactory) -> None:
    go_on = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        connection.wait_for(go_on)
        connection.send(b"k")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await get(pool)
        await pool.close()
        assert pool.counters().open == 1
        go_on.set()
        assert await whole(response) == b"ok"
        while pool.counters().open:
            await asyncio.sleep(0)
        with pytest.raises(UpstreamConnectError, match="closed"):
            await get(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_bytes_that_nobody_asked_for_close_the_connection(loop_factory: LoopFactory) -> None:
    """SECURITY-CASES 8: an answer that comes before its request answers nobody."""
    idle = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.wait_for(idle)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, keep_alive_s=60)
        assert await whole(await get(pool)) == b"ok"
        idle.set()
        while pool.counters().open:
            await asyncio.sleep(0)
        assert pool.counters().idle == 0
        assert await whole(await get(pool)) == b"ok"
        await pool.close()

    with RawUpstream(script, answering(OK)) as upstream:
        run(main(upstream.url), loop_factory)


def test_a_banner_is_no_response() -> None:
    """SECURITY-CASES 8: a server that speaks first does not speak HTTP."""

    def script(connection: RawConnection) -> None:
        connection.send(b"220 mail.example.com ESMTP\r\n")
        connection.read_to_end()

    async def main(url: str) -> None:
        with pytest.raises(UpstreamProtocolError, match=r"no request|status line"):
            await get(ConnectionPool(url))

    with RawUpstream(script) as upstream:
        run(main(upstream.url))


def test_a_connection_whose_time_is_over_is_not_used_even_where_nobody_closed_it_yet() -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url, keep_alive_s=0.05)
        await whole(await get(pool))
        time.sleep(0.06)  # holds the event loop, which thus can't close it
        await whole(await get(pool))
        assert (pool.counters().connected, pool.counters().reused) == (2, 0)
        await pool.close()

    with RawUpstream(answering(OK, OK)) as upstream:
        run(main(upstream.url), asyncio.new_event_loop)


@on_both_loops
def test_a_refused_response_closes_the_connection(loop_factory: LoopFactory) -> None:
    """SECURITY-CASES 8: two framings in a response end its connection."""

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(UpstreamProtocolError, match="malformed"):
            await get(pool)
        while pool.counters().open:
            await asyncio.sleep(0)
        await pool.close()

    with RawUpstream(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    ) as upstream:
        run(main(upstream.url), loop_factory)
