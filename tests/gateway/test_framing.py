"""Framing at the front door: what two servers could split differently is refused and the connection closed."""

import socket

import pytest

from tests.parts.front import Front, close_after, ok
from tests.parts.raw_client import RawClient, exchange
from tests.parts.raw_upstream import RawConnection

SMUGGLED = b"GET /raw/admin/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def head(front: Front, *lines: bytes, version: bytes = b"HTTP/1.1", target: bytes = b"/raw/open/x") -> bytes:
    fixed = (b"Host: gateway.example.com", b"Authorization: Bearer " + front.token.encode())
    return b"\r\n".join((b"POST " + target + b" " + version, *fixed, *lines)) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 6", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 6"),
        (b"Content-Length: 0", b"Content-Length: 44"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: +5",),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x5",),
        (b"Content-Length : 5",),
        (b"Content-Length: 5 ; x",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: identity, chunked",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding:\x0bchunked",),
        (b"Transfer-Encoding: chunked\x00",),
        (b"X: a\n\nTransfer-Encoding: chunked",),
        (b"X: a\r\n Transfer-Encoding: chunked",),
        (b"X: a\r\n\tfolded",),
        (b" Leading: space",),
        (b"X\x00Y: a",),
        (b"no colon",),
        (b": no name",),
    ],
)
def test_ambiguous_framing_is_refused_and_nothing_after_it_is_served(front: Front, lines: tuple[bytes, ...]) -> None:
    """SECURITY-CASES 8, 12"""
    count = len(front.upstream.connections)
    answer = exchange(front.gateway.port, head(front, *lines) + b"0\r\n\r\n" + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 4")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()
    assert len(front.upstream.connections) == count


@pytest.mark.parametrize(
    "body",
    [
        b"3;ext=1\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabcX\r\n0\r\n\r\n",
        b"3\r\nabcX0\r\n\r\n",
        b"-1\r\n\r\n",
        b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
    ],
)
def test_a_broken_chunk_ends_the_request_at_both_ends(front: Front, body: bytes) -> None:
    """SECURITY-CASES 8"""
    seen = bytearray()

    def script(connection: RawConnection) -> None:
        seen.extend(connection.read_to_end())

    front.script = script
    answer = exchange(front.gateway.port, head(front, b"Transfer-Encoding: chunked") + body + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer.startswith(b"HTTP/1.1 2")
    assert b"smuggled" not in seen
    assert not seen.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /raw/open/x\r\n\r\n",
        b"GET /raw/open/x HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /raw/open/x HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET /raw/open/x HTTP/1.1\nHost: a\n\n",
        b"get /raw/open/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
        b"GET /raw/open/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
        + SMUGGLED,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http_1_1_is_refused(front: Front, data: bytes) -> None:
    """SECURITY-CASES 7, 8"""
    answer = exchange(front.gateway.port, data)
    assert answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("lines", [(b"Host: second",), (b"Authorization: Bearer second",)])
def test_a_second_host_or_authorization_is_refused(front: Front, lines: tuple[bytes, ...]) -> None:
    """SECURITY-CASES 12"""
    assert front.send(head(front, *lines)).status in (400, 401)


def test_an_http_1_0_client_is_told_the_end_by_closing(front: Front) -> None:
    front.script = close_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    answer = exchange(front.gateway.port, head(front, version=b"HTTP/1.0"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nabcde")
    assert b"transfer-encoding" not in answer
    assert exchange(front.gateway.port, b"GET /-/livez HTTP/1.0\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_an_http_1_0_client_does_not_take_a_cut_answer_for_whole(front: Front) -> None:
    front.script = close_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
    with socket.create_connection(("127.0.0.1", front.gateway.port), 10) as connection:
        connection.sendall(head(front, version=b"HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass


def test_chunks_from_an_http_1_0_client_are_refused(front: Front) -> None:
    """SECURITY-CASES 8"""
    data = head(front, b"Transfer-Encoding: chunked", version=b"HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED
    assert exchange(front.gateway.port, data).startswith(b"HTTP/1.1 400 ")


def test_pipelined_requests_are_answered_in_order(front: Front) -> None:
    def script(connection: RawConnection) -> None:
        line = connection.read_request().split(b" ")[1]
        connection.send(ok(line))

    front.script = script
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/1") + front.request("/raw/admin/2") + front.request("/raw/open/3"))
        assert client.read_response().body == b"/base/open/1"
        assert client.read_response().status == 403
        assert client.read_response().body == b"/base/open/3"


def test_a_bad_pipelined_request_does_not_answer_for_the_one_before_it(front: Front) -> None:
    """SECURITY-CASES 8"""
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/1") + b"BAD\x00\r\n\r\n")
        assert client.read_response().status == 200
        assert client.is_closed() or client.read_to_close().startswith(b"HTTP/1.1 400 ")


def test_a_connection_serves_request_after_request(front: Front) -> None:
    with RawClient(front.gateway.port) as client:
        for target, status in (
            ("/raw/open/1", 200),
            ("/raw/admin/1", 403),
            ("/raw/open//1", 400),
            ("/raw/open/2", 200),
        ):
            client.send(front.request(target))
            assert client.read_response().status == status


def test_an_unread_body_is_not_taken_for_the_next_request(front: Front) -> None:
    """SECURITY-CASES 8"""
    with RawClient(front.gateway.port) as client:
        refused = front.request("/raw/admin/x", f"Content-Length: {len(SMUGGLED)}", method="POST", body=SMUGGLED)
        client.send(refused + front.request("/raw/open/after"))
        assert client.read_response().status == 403
        assert client.read_response().status == 200
    assert b"/base/open/after" in front.last_seen()


def test_floods_in_the_head_are_refused_cheaply(front: Front) -> None:
    """SECURITY-CASES 23"""
    many = [f"X-{number}: a" for number in range(10_000)]
    assert front.send(front.request("/raw/open/x", *many)).status == 431
    assert front.send(front.request("/raw/open/x", "X-Long: " + "a" * 100_000)).status == 431
    with RawClient(front.gateway.port) as client:
        client.send(b"GET /raw/open/x HTTP/1.1\r\nX-Endless: ")
        try:
            for _ in range(100):
                client.send(b"a" * 10_000)
        except OSError:
            return
        assert client.read_to_close().startswith(b"HTTP/1.1 431 ")


def test_a_token_of_any_size_or_shape_is_refused_cheaply(front: Front) -> None:
    """SECURITY-CASES 23, 24"""
    for token in ("a" * 60_000, "." * 1000, "e30.e30.e30", "=" * 10):
        response = front.send(front.request("/raw/open/x", token=token))
        assert response.status in (401, 431)
        assert token[:50].encode() not in response.raw
    front.script = close_after(ok())
    assert front.send(front.request("/raw/open/x")).status == 200
