"""Header hygiene, in both directions."""

import pytest

from gateway.headers import BadHeadersError, RequestHeaders, response_headers

HOST = (b"Host", b"gateway.example.com")


def forwarded(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return RequestHeaders([HOST, *headers]).forwarded


def test_end_to_end_headers_keep_their_order_and_spelling() -> None:
    headers = ((b"ACCEPT", b"*/*"), (b"x-Custom", b"a  b"), (b"Accept", b"text/plain"))
    assert forwarded(*headers) == list(headers)


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-For", b"X-Forwarded-User", b"X-Forwarded-Host", b"x-forwarded-anything", b"Forwarded",
        b"X-Original-URL", b"X-Rewrite-URL", b"X-Real-IP", b"X-Original-Forwarded-For", b"True-Client-IP",
        b"X-HTTP-Method-Override", b"X-Remote-User", b"Remote-User", b"X-Auth-Request-User", b"X-WEBAUTH-USER",
        b"X-Scope-OrgID", b"Cookie", b"Portcullis-Request-Id",
    ],
)  # fmt: skip
def test_what_a_backend_would_believe_about_the_caller_is_dropped(name: bytes) -> None:
    """SECURITY-CASES 9"""
    assert forwarded((name, b"admin"), (name.upper(), b"admin")) == []


@pytest.mark.parametrize("name", [b"X_Forwarded_User", b"x_custom", b"X.Forwarded.User", b"X-Forwarded_User", b"a!b"])
def test_twins_that_a_backend_would_fold_into_another_name_are_dropped(name: bytes) -> None:
    """SECURITY-CASES 10"""
    assert forwarded((name, b"admin")) == []


def test_hop_by_hop_headers_and_those_that_connection_names_are_dropped() -> None:
    """SECURITY-CASES 11"""
    kept = forwarded(
        (b"Connection", b"close, X-Private"), (b"X-Private", b"1"), (b"x-private", b"2"), (b"X-Public", b"3"),
        (b"Keep-Alive", b"5"), (b"TE", b"trailers"), (b"Trailer", b"x"), (b"Upgrade", b"h2c"),
        (b"Expect", b"100-continue"), (b"Proxy-Authorization", b"Basic eA=="), (b"HTTP2-Settings", b"x"),
    )  # fmt: skip
    assert kept == [(b"X-Public", b"3")]


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, HOST],
        [],
        [(b"Host", b"a, b")],
        [(b"Host", b"user@a")],
        [(b"Host", b"a/b")],
        [(b"Host", b"")],
        [HOST, (b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        [HOST, (b"Content-Length", b"1"), (b"Content-Length", b"1")],
        [HOST, (b"Content-Length", b"1, 1")],
        [HOST, (b"Content-Length", b"+1")],
        [HOST, (b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [HOST, (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [HOST, (b"Transfer-Encoding", b"gzip, chunked")],
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """SECURITY-CASES 8, 12"""
    with pytest.raises(BadHeadersError):
        RequestHeaders(headers)


def test_impersonation_headers_never_pass() -> None:
    """SECURITY-CASES 13"""
    assert forwarded((b"Impersonate-User", b"admin"), (b"impersonate-group", b"system:masters")) == []


def test_a_header_can_be_taken_once_and_only_where_it_stands_once() -> None:
    headers = RequestHeaders([HOST, (b"X-Amz-Security-Token", b"t"), (b"A", b"1")])
    assert headers.take(b"x-amz-security-token") == b"t"
    assert headers.take(b"x-amz-security-token") is None
    assert headers.forwarded == [(b"A", b"1")]
    twice = RequestHeaders([HOST, (b"X-T", b"1"), (b"x-t", b"2")])
    with pytest.raises(BadHeadersError):
        twice.take(b"x-t")


def test_callers_cannot_fill_the_memory_with_header_names() -> None:
    for number in range(5000):
        RequestHeaders([HOST, (b"x-%d" % number, b"")])
    assert len(RequestHeaders._kinds) <= 4096
    assert forwarded((b"X-Forwarded-Never-Seen", b"1")) == []


def test_the_body_length_is_read_once() -> None:
    assert RequestHeaders([HOST]).length == 0
    assert RequestHeaders([HOST, (b"Content-Length", b"12")]).length == 12
    assert RequestHeaders([HOST, (b"Transfer-Encoding", b"chunked")]).length is None


def test_a_backend_cannot_speak_for_the_gateway() -> None:
    received = [
        (b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=b"), (b"Strict-Transport-Security", b"x"),
        (b"Portcullis-Receipt", b"1:00"), (b"Connection", b"X-Hop"), (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3"), (b"ETag", b'"1"'),
    ]  # fmt: skip
    kept = response_headers(received, "logs", "http://logs.internal:3100/base")
    assert kept == [(b"content-type", b"text/plain"), (b"etag", b'"1"')]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"http://logs.internal:3100/base/a?b", b"/logs/a?b"),
        (b"http://logs.internal:3100/base", b"/logs"),
        (b"/base/a", b"/logs/a"),
        (b"/other", b"/logs/other"),
        (b"a/b", b"a/b"),
        (b"//elsewhere.example/x", b"//elsewhere.example/x"),
        (b"https://elsewhere.example/x", b"https://elsewhere.example/x"),
        (b"http://logs.internal:3100.evil.example/x", b"http://logs.internal:3100.evil.example/x"),
    ],
)
def test_redirects_into_the_backend_lead_through_the_gateway(location: bytes, expected: bytes) -> None:
    kept = response_headers([(b"Location", location)], "logs", "http://logs.internal:3100/base")
    assert kept == [(b"location", expected)]
