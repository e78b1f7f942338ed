"""What goes wrong at a backend is a named error in bounded time, and no request that matters is ever sent twice."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamConnectError, UpstreamError, UpstreamProtocolError, UpstreamTimeoutError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.nginx import free_port
from tests.parts.raw_upstream import RawConnection, RawUpstream, Script, answering
from tests.parts.request_bodies import NO_BODY, Body, StalledBody, chunked, sized

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
