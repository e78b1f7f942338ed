"""Requests go out byte for byte, and bytes that would move a boundary do not go out at all."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http1 import OutgoingBody, request_head
from tests.parts.request_bodies import NO_BODY, Body, chunked, sized

TOKEN = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", fullmatch=True)
VALUE = st.lists(st.sampled_from([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)]), max_size=40).map(bytes)
TARGET = st.lists(st.sampled_from([*range(0x21, 0x7F), *range(0x80, 0x100)]), min_size=1, max_size=60).map(bytes)
HEADERS = st.lists(
    st.tuples(TOKEN.filter(lambda name: name.lower() not in (b"content-length", b"transfer-encoding")), VALUE)
)


@given(TARGET, HEADERS)
def test_any_valid_head_is_written_byte_for_byte(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Order, spelling, duplicates and odd but legal bytes stay (SECURITY-CASES 1)."""
    head = request_head("GET", target, headers, NO_BODY)
    assert head == b"GET " + target + b" HTTP/1.1\r\n" + b"".join(n + b": " + v + b"\r\n" for n, v in headers) + b"\r\n"


@pytest.mark.parametrize(
    ("body", "framing"),
    [
        (NO_BODY, b""),
        (Body((), 0), b"Content-Length: 0\r\n"),
        (sized(b"abc"), b"Content-Length: 3\r\n"),
        (Body((b"abc",), 3, framed=False), b"Content-Length: 3\r\n"),
        (chunked(), b"Transfer-Encoding: chunked\r\n"),
    ],
    ids=["no body", "framed empty body", "length", "length of our own", "unknown length"],
)
def test_the_framing_header_is_ours_and_last(body: Body, framing: bytes) -> None:
    head = request_head("POST", b"/", [(b"Host", b"x")], body)
    assert head == b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n"


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\x0b", b"\x1f", b"\x7f"])
def test_a_control_byte_anywhere_refuses_the_request(byte: bytes) -> None:
    """SECURITY-CASES 14: no byte can forge a header, a line or a second request."""
    odd = b"a" + byte + b"b"
    with pytest.raises(ValueError, match="target"):
        request_head("GET", b"/" + odd, [], NO_BODY)
    with pytest.raises(ValueError, match="name"):
        request_head("GET", b"/", [(odd, b"x")], NO_BODY)
    with pytest.raises(ValueError, match="value"):
        request_head("GET", b"/", [(b"x", odd)], NO_BODY)
    with pytest.raises(ValueError, match="method"):
        request_head(odd.decode("latin-1"), b"/", [], NO_BODY)


@pytest.mark.parametrize("target", [b"", b"/a b", b"/a\tb", b"/ HTTP/1.1\r\nX: y"])
def test_a_target_with_white_space_refuses_the_request(target: bytes) -> None:
    """SECURITY-CASES 8: the target can't end early."""
    with pytest.raises(ValueError, match="target"):
        request_head("GET", target, [], NO_BODY)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b" a", b"a\xe9", b"a\t"])
def test_a_header_name_that_is_no_token_refuses_the_request(name: bytes) -> None:
    """SECURITY-CASES 8: `Transfer-Encoding :` and its kind are not passed on."""
    with pytest.raises(ValueError, match="not a token"):
        request_head("GET", b"/", [(name, b"x")], NO_BODY)


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"TRANSFER-ENCODING"])
def test_a_framing_header_of_the_callers_refuses_the_request(name: bytes) -> None:
    """SECURITY-CASES 8: a message has one framing, ours."""
    with pytest.raises(ValueError, match="frames the body"):
        request_head("GET", b"/", [(name, b"1")], NO_BODY)


@pytest.mark.parametrize("method", ["", "GET ", "G\u00e9T", "GE\u0394", "CONNECT"])
def test_a_method_that_is_no_token_or_opens_a_tunnel_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="method"):
        request_head(method, b"/", [], NO_BODY)


def wire(body: Body) -> bytes:
    async def read() -> bytes:
        outgoing = OutgoingBody(body)
        pieces = []
        while not outgoing.done:
            pieces.append(await outgoing.next())
        return b"".join(pieces)

    return asyncio.run(read())


def test_a_body_of_unknown_length_is_chunked_and_an_empty_piece_does_not_end_it() -> None:
    assert wire(chunked(b"abc", b"", b"0123456789abcdef")) == b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    assert wire(chunked()) == b"0\r\n\r\n"


def test_a_body_of_known_length_goes_out_as_it_is() -> None:
    assert wire(sized(b"abc", b"", b"de")) == b"abcde"


def test_a_body_that_breaks_its_length_is_an_error_and_its_surplus_is_not_given_out() -> None:
    """SECURITY-CASES 8: bytes beyond Content-Length would be read as the next request."""
    with pytest.raises(ValueError, match="longer"):
        wire(Body((b"abc", b"de"), 4))
    with pytest.raises(ValueError, match="short"):
        wire(Body((b"abc",), 4))
