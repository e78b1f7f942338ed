"""A pool sends requests byte for byte, and reads every kind of response."""

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.connections import ConnectionPool
from tests.adapters.test_http1 import HEADERS, TARGET
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.ports import free_port
from tests.parts.raw_upstream import RawConnection, RawUpstream, answering
from tests.parts.request_bodies import NO_BODY, Body, chunked, sized
from tests.parts.upstream_exchange import HOST, OK, get, whole


@on_both_loops
def test_a_request_arrives_byte_for_byte(loop_factory: LoopFactory) -> None:
    """SECURITY-CASES 1: the bytes that were decided on are the bytes that are sent."""
    target = b"/a%2Fb/..%5c/%C3%A4'\"<>|\\^`{}~;x?q=%20&&\xff#"
    headers = [(b"hOsT", b"x"), (b"X-Two", b"1"), (b"x-two", b" \t2 "), (b"X-Empty", b""), (b"X-High", b"\xe9\xff")]

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        assert await whole(await pool.send("GeT", target, headers, NO_BODY)) == b"ok"
        await pool.close()

    with RawUpstream(answering(OK)) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections[0].received == (
        b"GeT " + target + b" HTTP/1.1\r\n"
        b"hOsT: x\r\nX-Two: 1\r\nx-two:  \t2 \r\nX-Empty: \r\nX-High: \xe9\xff\r\n\r\n"
    )  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(TARGET, HEADERS), min_size=1, max_size=5))
def test_any_requests_arrive_byte_for_byte_one_after_the_other(
    requests: list[tuple[bytes, list[tuple[bytes, bytes]]]],
) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        for target, headers in requests:
            assert await whole(await pool.send("GET", target, headers, NO_BODY)) == b"ok"
        await pool.close()

    def script(connection: RawConnection) -> None:
        for _ in requests:
            connection.read_until(b"\r\n\r\n")
            connection.send(OK)
        connection.read_to_end()

    with RawUpstream(script) as upstream:
        run(main(upstream.url))
    assert upstream.connections[0].received == b"".join(
        b"GET " + target + b" HTTP/1.1\r\n" + b"".join(n + b": " + v + b"\r\n" for n, v in headers) + b"\r\n"
        for target, headers in requests
    )


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (sized(b"abc"), b"Content-Length: 3\r\n\r\nabc"),
        (sized(b"abc", b"de"), b"Content-Length: 5\r\n\r\nabcde"),
        (Body((), 0), b"Content-Length: 0\r\n\r\n"),
        (NO_BODY, b"\r\n"),
        (chunked(b"abc", b"de"), b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        (chunked(), b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
    ids=["one piece", "two pieces", "framed empty", "none", "chunked", "chunked empty"],
)
@on_both_loops
def test_a_body_arrives_in_our_framing_and_the_connection_is_reused(
    body: Body, sent: bytes, loop_factory: LoopFactory
) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        for _ in range(3):
            assert await whole(await pool.send("POST", b"/", HOST, body)) == b"ok"
        assert pool.counters().connected == 1
        await pool.close()

    with RawUpstream(answering(OK, OK, OK)) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections[0].received == 3 * (b"POST / HTTP/1.1\r\nHost: backend.example.com\r\n" + sent)


def test_a_request_that_would_break_out_of_its_frame_sends_nothing() -> None:
    """SECURITY-CASES 8, 14."""

    async def main() -> None:
        pool = ConnectionPool(f"http://127.0.0.1:{free_port()}")
        for target, headers in ((b"/ HTTP/1.1\r\n", HOST), (b"/", [(b"X", b"a\r\nY: b")]), (b"/", [(b"X\0", b"a")])):
            with pytest.raises(ValueError, match=r"control byte|token"):
                await pool.send("GET", target, headers, NO_BODY)
        assert pool.counters().connected == 0

    run(main())


@on_both_loops
def test_responses_without_a_body_end_with_their_head(loop_factory: LoopFactory) -> None:
    responses = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        OK,
    )

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        for method, length in (("HEAD", 1000), ("HEAD", None), ("GET", None), ("GET", 1000)):
            response = await pool.send(method, b"/", HOST, NO_BODY)
            assert response.complete
            assert response.length == length
            assert await whole(response) == b""
        assert await whole(await get(pool)) == b"ok"
        assert pool.counters().connected == 1
        await pool.close()

    with RawUpstream(answering(*responses)) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_the_end_of_the_stream_ends_a_body_without_framing(loop_factory: LoopFactory) -> None:
    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nall ")
        connection.send(b"the rest")

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await get(pool)
        assert response.length is None
        assert await whole(response) == b"all the rest"
        assert pool.counters().idle == 0
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


def test_a_response_that_came_whole_is_read_without_waiting() -> None:
    """`complete` with the head saves the gateway a turn, and the connection serves the next request meanwhile."""

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        first = await get(pool)
        assert first.complete
        assert (first.status, first.reason, first.length) == (200, b"OK", 2)
        assert first.headers == [(b"Content-Length", b"2")]
        second = await get(pool)
        for response in (first, second):
            reading = response.read()
            with pytest.raises(StopIteration) as stopped:
                reading.send(None)
            assert stopped.value.value == b"ok"
        assert pool.counters().connected == 1
        await pool.close()

    with RawUpstream(answering(OK, OK)) as upstream:
        run(main(upstream.url))


@on_both_loops
def test_pieces_are_given_out_as_they_arrive(loop_factory: LoopFactory) -> None:
    go_on = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.wait_for(go_on)
        go_on.clear()
        for piece in (b"1\r\na\r\n", b"1\r\nb\r\n"):
            connection.send(piece)
            connection.wait_for(go_on)
            go_on.clear()
        connection.send(b"0\r\n\r\n")
        connection.read_to_end()

    async def main(url: str) -> None:
        pool = ConnectionPool(url)
        response = await get(pool)
        assert not response.complete
        for piece in (b"a", b"b", b""):
            go_on.set()
            assert await response.read() == piece
        assert response.complete
        assert pool.counters().idle == 1
        await pool.close()

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://127.0.0.1", "http://", "/x"])
def test_a_url_that_names_no_http_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        ConnectionPool(url)
