"""Responses are read as RFC 9112 says, however they are cut into pieces, and ambiguous ones are refused."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http1_response import MAX_HEAD_BYTES, MAX_HEADERS, MAX_INTERIM_RESPONSES, ResponseParser
from adapters.upstream import UpstreamProtocolError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Parsed:
    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    length: int | None
    body: bytes
    keep_alive: bool


def parse(*pieces: bytes, answers_head: bool = False, eof: bool = False) -> Parsed:
    """Feed the pieces; the response must be complete after the last, without surplus, and not before."""
    parser = ResponseParser(answers_head=answers_head)
    body = b""
    for piece in pieces:
        assert not parser.complete
        parser.feed(piece)
        body += parser.take()
    assert parser.complete is not eof
    if eof:
        parser.feed_eof()
    assert parser.complete
    assert not parser.surplus
    return Parsed(parser.status, parser.reason, tuple(parser.headers), parser.length, body, parser.keep_alive)


def refusal(data: bytes) -> str:
    """Return why the response is refused, which must not depend on how it is cut."""
    with pytest.raises(UpstreamProtocolError) as whole:
        ResponseParser(answers_head=False).feed(data)
    parser = ResponseParser(answers_head=False)
    with pytest.raises(UpstreamProtocolError) as bytewise:
        for position in range(len(data)):
            parser.feed(data[position : position + 1])
    assert str(bytewise.value) == str(whole.value)
    return str(whole.value)


WELL_FORMED = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", False),
    "length 0": (OK + b"content-length: 0\r\n\r\n", b"", False),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b"", False),
    "no reason, no space": (b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", b"", False),
    "chunked": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello", False),
    "odd chunks": (CHUNKED + b"1\r\nh\r\n0003\r\nell\r\n1\r\no\r\n000\r\n\r\n", b"hello", False),
    "chunk sizes in any case": (CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, False),
    "extensions": (CHUNKED + b'5;a=b;c="d";e\r\nhello\r\n0;f\r\n\r\n', b"hello", False),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nConnection: x\r\n\r\n", b"hello", False),
    "closed": (OK + b"X: y\r\n\r\nhello", b"hello", True),
    "closed, 1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", False),
    "100 and 103 first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
        b"x",
        False,
    ),
    "bytes beyond ASCII": (OK + b"X: \xe9\xff\r\nContent-Length: 0\r\n\r\n", b"", False),
}  # fmt: skip


@pytest.mark.parametrize(("data", "body", "eof"), WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_a_well_formed_response_is_read_to_its_end(data: bytes, body: bytes, eof: bool) -> None:
    assert parse(data, eof=eof).body == body


@given(st.sampled_from(sorted(WELL_FORMED)), st.lists(st.integers(0, 200), max_size=12))
def test_the_way_the_bytes_are_cut_changes_nothing(name: str, cuts: list[int]) -> None:
    data, _, eof = WELL_FORMED[name]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert parse(*pieces, eof=eof) == parse(data, eof=eof)
    assert parse(*(bytes([byte]) for byte in data), eof=eof) == parse(data, eof=eof)


def test_headers_keep_their_spelling_order_and_duplicates() -> None:
    data = (
        b"HTTP/1.1 418 I'm a teapot\r\nX-a: 1\r\nSET-cookie: b\r\nx-A:2\r\nSet-Cookie: c\r\nContent-Length: 0\r\n\r\n"
    )
    parsed = parse(data)
    assert (parsed.status, parsed.reason) == (418, b"I'm a teapot")
    assert parsed.headers == (
        (b"X-a", b"1"), (b"SET-cookie", b"b"), (b"x-A", b"2"), (b"Set-Cookie", b"c"), (b"Content-Length", b"0"),
    )  # fmt: skip


def test_the_headers_and_reasons_of_interim_responses_are_not_the_final_ones() -> None:
    parsed = parse(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n"
    )
    assert (parsed.status, parsed.reason, parsed.headers) == (200, b"Fine", ((b"Content-Length", b"0"),))


def test_trailers_are_dropped() -> None:
    assert parse(CHUNKED + b"0\r\nX-Admin: yes\r\n\r\n").headers == ((b"Transfer-Encoding", b"chunked"),)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b""]
)
def test_an_answer_to_head_has_no_body_whatever_it_announces(framing: bytes) -> None:
    parsed = parse(OK + framing + b"\r\n", answers_head=True)
    assert parsed.body == b""
    assert parsed.keep_alive
    assert parsed.length == (int(framing[16:]) if framing.startswith(b"Content") else None)


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 204 OK\r\n", True),
    ],
)
@pytest.mark.parametrize("answers_head", [False, True])
def test_the_connection_outlives_the_response_only_as_announced(
    head: bytes, keep_alive: bool, answers_head: bool
) -> None:
    length = b"" if b" 204 " in head else b"Content-Length: 0\r\n"
    assert parse(head + length + b"\r\n", answers_head=answers_head).keep_alive is keep_alive


def test_an_answer_to_head_without_framing_closes_where_it_says_so_or_is_http_1_0() -> None:
    assert not parse(OK + b"Connection: close\r\n\r\n", answers_head=True).keep_alive
    assert not parse(b"HTTP/1.0 200 OK\r\n\r\n", answers_head=True).keep_alive


@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_204_that_announces_a_body_spoils_the_connection(framing: bytes) -> None:
    """A body that follows a 204 would be read as the next response."""
    assert not parse(b"HTTP/1.1 204 No Content\r\n" + framing + b"\r\n").keep_alive


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"timeout=5", 5), (b"max=100, Timeout = 30", 30), (b'timeout="7"', 7), (b"max=3", None), (b"xtimeout=9", None)],
)
def test_keep_alive_timeout_is_read(value: bytes, seconds: int | None) -> None:
    parser = ResponseParser(answers_head=False)
    parser.feed(OK + b"Keep-Alive: " + value + b"\r\nContent-Length: 0\r\n\r\n")
    assert parser.keep_alive_timeout_s == seconds


AMBIGUOUS = {
    "both framings": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "both framings, turned": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "two equal lengths": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": OK + b"Content-Length: 3, 3\r\n\r\n",
    "a signed length": OK + b"Content-Length: +3\r\n\r\n",
    "a negative length": OK + b"Content-Length: -3\r\n\r\n",
    "a hexadecimal length": OK + b"Content-Length: 0x3\r\n\r\n",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a length beyond 64 bits": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "a coding before chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a coding after chunked": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked and a tab": OK + b"Transfer-Encoding: chunked\t\r\n\r\n",
    "xchunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n",
    "a space before the colon": OK + b"Transfer-Encoding : chunked\r\n\r\n",
    "a vertical tab": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a folded header": OK + b"X: a\r\n b\r\n\r\n",
    "a bare LF after a header": OK + b"X: a\nContent-Length: 0\r\n\r\n",
    "a bare LF after the status line": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": OK + b"X: a\rb\r\n\r\n",
    "a NUL in a value": OK + b"X: a\0b\r\n\r\n",
    "a line without a colon": OK + b"Xabc\r\n\r\n",
    "a header without a name": OK + b": abc\r\n\r\n",
    "a NUL in the reason": b"HTTP/1.1 200 A\0B\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 A\r\n\r\n",
    "status 000": b"HTTP/1.1 000 A\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 A\r\nContent-Length: 0\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 A\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 A\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 after an interim response": b"HTTP/1.1 103 E\r\n\r\nHTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a blank line first": b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "garbage after an interim response": b"HTTP/1.1 100 Continue\r\n\r\ngarbage",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "a bad chunk size": CHUNKED + b"0x3\r\n",
    "a chunk size with a space": CHUNKED + b"3 \r\n",
    "an empty chunk size": CHUNKED + b"\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"ffffffffffffffffff\r\n",
    "a bare LF after a chunk size": CHUNKED + b"3\nabc",
    "a chunk that is longer than its size": CHUNKED + b"3\r\nabcd\r\n",
    "a length in the trailers": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_or_malformed_response_is_refused(data: bytes) -> None:
    """SECURITY-CASES 8: what two readers could read in two ways is not passed on."""
    assert refusal(data).startswith("the backend")


def test_endless_heads_are_refused_with_bounded_memory() -> None:
    """SECURITY-CASES 23: a head of any length, as many headers, one header or many interim responses, stops early."""
    many = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS + 2))
    assert "more than" in refusal(OK + many)
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1)
    assert "interim" in refusal(interim)
    parser = ResponseParser(answers_head=False)
    fed = 0
    with pytest.raises(UpstreamProtocolError, match="longer than"):
        for piece in (OK, b"X: ", *[b"y" * 1000] * 1000):
            parser.feed(piece)
            fed += len(piece)
    assert fed <= MAX_HEAD_BYTES + 1000
    with pytest.raises(UpstreamProtocolError, match="longer than"):
        ResponseParser(answers_head=False).feed(OK + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n")


@pytest.mark.parametrize("start", [b"5;a=", b"0\r\nX: ", b"5\r\nhello\r\n0\r\nX: "])
def test_endless_chunk_extensions_and_trailers_are_refused(start: bytes) -> None:
    parser = ResponseParser(answers_head=False)
    parser.feed(CHUNKED + start)
    with pytest.raises(UpstreamProtocolError, match="extensions or trailers"):
        for _ in range(100):
            parser.feed(b"y" * 1000)


@pytest.mark.parametrize(
    ("data", "answers_head"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", False),
        (OK + b"Content-Length: 0\r\n\r\n", False),
        (CHUNKED + b"0\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", False),
        (OK + b"Content-Length: 3\r\n\r\n", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", True),
        (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_bytes_after_the_end_are_noticed_and_belong_to_no_response(
    data: bytes, answers_head: bool, surplus: bytes
) -> None:
    """SECURITY-CASES 8: a second response smuggled behind the first is not kept for the next request."""
    at_once = ResponseParser(answers_head=answers_head)
    at_once.feed(data + surplus)
    apart = ResponseParser(answers_head=answers_head)
    for byte in data + surplus:
        apart.feed(bytes([byte]))
    for parser in (at_once, apart):
        assert parser.complete
        assert parser.surplus
        assert parser.status in (200, 304)
        assert parser.take() == (b"abc" if data.endswith(b"abc") else b"")


@pytest.mark.parametrize("cut", ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le"])
def test_an_end_inside_the_head_is_an_error(cut: str) -> None:
    parser = ResponseParser(answers_head=False)
    parser.feed(cut.encode())
    with pytest.raises(UpstreamProtocolError, match="head"):
        parser.feed_eof()


@pytest.mark.parametrize(
    "data", [OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n", CHUNKED + b"5\r\nhello\r\n0\r\n"]
)
def test_a_body_that_stops_short_is_an_error(data: bytes) -> None:
    parser = ResponseParser(answers_head=False)
    parser.feed(data)
    with pytest.raises(UpstreamProtocolError, match=r"short|chunked"):
        parser.feed_eof()
