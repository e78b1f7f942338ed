"""What breaks at a backend, and a caller that goes away, is a named error, and leaves no connection behind."""

import asyncio
import threading

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamConnectError, UpstreamError, UpstreamProtocolError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.ports import free_port
from tests.parts.raw_upstream import RawConnection, RawUpstream, answering
from tests.parts.request_bodies import NO_BODY, StalledBody

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [(b"Host", b"x")]


async def emptied(pool: ConnectionPool) -> None:
    """Return once no connection is open."""
    while pool.counters().open:
        await asyncio.sleep(0)


@on_both_loops
def test_nobody_listening_is_a_connect_error(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        pool = ConnectionPool(f"http://127.0.0.1:{free_port()}")
        for _ in range(2):
            with pytest.raises(UpstreamConnectError, match=r"no connection to 127\.0\.0\.1"):
                await pool.send("GET", b"/", HOST, NO_BODY)
        assert pool.counters().open == 0

    run(main(), loop_factory)


@on_both_loops
def test_an_unknown_host_is_a_connect_error(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamConnectError, match=r"backend\.invalid:80"):
            await ConnectionPool("http://backend.invalid").send("GET", b"/", HOST, NO_BODY)

    run(main(), loop_factory)


TRUNCATED = {
    "in the head": b"HTTP/1.1 200 OK\r\nConte",
    "in a counted body": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    "in a chunked body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "after an interim response": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("data", TRUNCATED.values(), ids=TRUNCATED.keys())
@on_both_loops
def test_a_response_that_stops_short_is_a_protocol_error(data: bytes, reset: bool, loop_factory: LoopFactory) -> None:
    seen = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(data)
        if reset:
            if b"ok" in data:
                connection.wait_for(seen)
            connection.reset()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        with pytest.raises(UpstreamProtocolError):
            response = await pool.send("GET", b"/", HOST, NO_BODY)
            assert await response.read() == b"ok"
            seen.set()
            await response.read()
        await emptied(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_reset_does_not_pass_for_the_end_of_a_body_without_framing(loop_factory: LoopFactory) -> None:
    seen = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        connection.wait_for(seen)
        connection.reset()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        assert await response.read() == b"half"
        seen.set()
        with pytest.raises(UpstreamProtocolError, match="broke"):
            await response.read()
        with pytest.raises(UpstreamProtocolError, match="broke"):
            await response.read()
        await emptied(pool)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


def silent(connection: RawConnection) -> None:
    """Take all and say nothing."""
    connection.read_to_end()


@pytest.mark.parametrize("where", ["head", "body", "upload"])
@on_both_loops
def test_a_caller_that_goes_away_closes_the_connection_at_once(where: str, loop_factory: LoopFactory) -> None:
    closed = threading.Event()

    def script(connection: RawConnection) -> None:
        if where == "body":
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
        connection.read_to_end()
        closed.set()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        body = StalledBody(b"ab", length=5)

        async def request() -> None:
            if where == "upload":
                await pool.send("PUT", b"/", HOST, body)
            response = await pool.send("GET", b"/", HOST, NO_BODY)
            assert await response.read() == b"ab"
            await response.read()

        task = asyncio.create_task(request())
        if where == "upload":
            await body.stalled.wait()
        else:
            await asyncio.to_thread(upstream.wait_for_connections, 1)
        for _ in range(3):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(closed.wait, 10)
        await emptied(pool)
        assert body.ended is (where == "upload")

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_cancelled_connect_leaves_no_connection(loop_factory: LoopFactory) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url.replace("http:", "https:"))
        task = asyncio.create_task(pool.send("GET", b"/", HOST, NO_BODY))
        await asyncio.to_thread(upstream.wait_for_connections, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await emptied(pool)

    with RawUpstream(silent) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_response_that_is_closed_early_closes_its_connection(loop_factory: LoopFactory) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        response.close()
        response.close()
        with pytest.raises(UpstreamError, match="closed before its end"):
            await response.read()
        await emptied(pool)

    with RawUpstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_closing_a_response_late_does_not_touch_the_request_that_has_its_connection_now(
    loop_factory: LoopFactory,
) -> None:
    go_on = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.read_request()
        connection.wait_for(go_on)
        connection.send(OK)
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        first = await pool.send("GET", b"/", HOST, NO_BODY)
        second = asyncio.create_task(pool.send("GET", b"/", HOST, NO_BODY))
        await asyncio.sleep(0.01)
        first.close()
        go_on.set()
        assert await (await second).read() == b"ok"
        assert pool.counters().connected == 1
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


def test_a_caller_that_goes_away_late_does_not_touch_the_request_that_has_its_connection_now() -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        first = asyncio.create_task(pool.send("GET", b"/", HOST, NO_BODY))
        while not pool.counters().idle:
            await asyncio.sleep(0)
        # The answer is here, but its task has not run yet.
        assert not first.done()
        first.cancel()
        response = await pool.send("POST", b"/", HOST, NO_BODY)
        assert await response.read() == b"ok"
        assert first.cancelled()
        assert pool.counters().connected == 1
        await pool.close()

    with RawUpstream(answering(OK, OK)) as upstream:
        run(main(upstream.url), asyncio.new_event_loop)
