"""The canonical target: one spelling in, the same bytes out, everything else refused by name."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.target import MAX_TARGET_BYTES, RULES, TargetRefusedError, parse_target

STRICT: dict[str, frozenset[str]] = {}


def rule_of(raw: bytes, relaxed: dict[str, frozenset[str]] = STRICT) -> str:
    with pytest.raises(TargetRefusedError) as refused:
        parse_target(raw, relaxed)
    return refused.value.rule


@pytest.mark.parametrize(
    ("raw", "backend", "path", "segments", "query"),
    [
        (b"/logs/a/b", "logs", b"/a/b", ("a", "b"), None),
        (b"/logs/a/", "logs", b"/a/", ("a", ""), None),
        (b"/logs", "logs", b"/", ("",), None),
        (b"/logs/", "logs", b"/", ("",), None),
        (b"/", "", b"/", ("",), None),
        (b"/logs?", "logs", b"/", ("",), b""),
        (b"/logs/a?b=c&d=/e?f", "logs", b"/a", ("a",), b"b=c&d=/e?f"),
        (b"/logs/a%20b/%E2%82%AC", "logs", b"/a%20b/%E2%82%AC", ("a b", "\u20ac"), None),
        (b"/logs/a;v=1", "logs", b"/a;v=1", ("a;v=1",), None),
        (b"/logs/.well-known/...", "logs", b"/.well-known/...", (".well-known", "..."), None),
        (b"/logs/a:b@c!$&'()*+,=~", "logs", b"/a:b@c!$&'()*+,=~", ("a:b@c!$&'()*+,=~",), None),
        (b'/prom/query?q={job="a"}|[5m]', "prom", b"/query", ("query",), b'q={job="a"}|[5m]'),
    ],
)
def test_a_canonical_target_is_taken_apart_and_its_bytes_are_kept(
    raw: bytes, backend: str, path: bytes, segments: tuple[str, ...], query: bytes | None
) -> None:
    target = parse_target(raw, STRICT)
    assert (target.raw, target.backend, target.path, target.segments, target.query) == (
        raw,
        backend,
        path,
        segments,
        query,
    )


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"/public/../admin", "dot_segment"),
        (b"/public/./admin", "dot_segment"),
        (b"/public/..", "dot_segment"),
        (b"/../admin", "dot_segment"),
        (b"/public/..;/admin", "dot_segment"),
        (b"/public/..;x=1", "dot_segment"),
        (b"/public/..%3B/admin", "dot_segment"),
        (b"/public/%2e%2e/admin", "encoded_dot"),
        (b"/public/.%2E/admin", "encoded_dot"),
        (b"//admin", "empty_segment"),
        (b"/public//admin", "empty_segment"),
        (b"/public/a%2Fadmin", "encoded_slash"),
        (b"/public/a%2fadmin", "encoded_slash"),
        (b"/public/a%5Cadmin", "encoded_backslash"),
        (b"/public/a\\admin", "backslash"),
        (b"/public/a;b/admin", "path_parameter"),
        (b"/public/%252e%252e/admin", "double_escape"),
        (b"/public/%41dmin", "unreserved_escape"),
        (b"/%70ublic/admin", "unreserved_escape"),
        (b"/public/%c3%a9", "lowercase_escape"),
        (b"/public/%C0%AE%C0%AE/admin", "invalid_utf8"),
        (b"/public/%E0%80%AF", "invalid_utf8"),
        (b"/public/%ED%A0%80", "invalid_utf8"),
        (b"/public/%FF", "invalid_utf8"),
        (b"/public/%C2%85", "control_byte"),
        (b"/public/%00", "control_byte"),
        (b"/public/a%0Ab", "control_byte"),
        (b"/public/a\x7fb", "control_byte"),
        (b"/public/%", "bad_escape"),
        (b"/public/%4", "bad_escape"),
        (b"/public/%zz", "bad_escape"),
        (b"/public/a?b=%zz", "bad_escape"),
        (b"/public/a|b", "invalid_byte"),
        (b'/public/a"b', "invalid_byte"),
        (b"/public/\xc3\xa9", "invalid_byte"),
        (b"/public/a?b=\xc3", "invalid_byte"),
    ],
)
def test_spellings_that_two_servers_read_differently_are_refused(raw: bytes, rule: str) -> None:
    """SECURITY-CASES 1"""
    assert rule_of(raw) == rule


@pytest.mark.parametrize("raw", [b"//evil.example/x", b"//evil.example", b"///x"])
def test_a_double_slash_is_never_an_authority(raw: bytes) -> None:
    """SECURITY-CASES 2"""
    assert rule_of(raw) == "empty_segment"


def test_no_relaxation_lets_the_backend_see_a_path_that_begins_with_two_slashes() -> None:
    """SECURITY-CASES 2"""
    relaxed = {"s3": frozenset({"empty_segment"})}
    assert rule_of(b"/s3//evil.example/x", relaxed) == "empty_segment"
    assert parse_target(b"/s3/bucket//key", relaxed).segments == ("bucket", "", "key")


def test_a_query_is_no_part_of_the_path() -> None:
    """SECURITY-CASES 3"""
    target = parse_target(b"/logs/admin?/logs/public/../x", STRICT)
    assert (target.segments, target.query) == (("admin",), b"/logs/public/../x")


@pytest.mark.parametrize("raw", [b"/logs/a#b", b"/logs/a?b#c", b"/logs/#", b"#"])
def test_a_fragment_is_refused_and_an_encoded_one_stays_in_its_segment(raw: bytes) -> None:
    """SECURITY-CASES 4"""
    assert rule_of(raw) in ("fragment", "absolute_form")
    assert parse_target(b"/logs/a%23b/c", STRICT).segments == ("a#b", "c")


def test_an_encoded_question_mark_stays_in_its_segment_and_in_the_bytes() -> None:
    """SECURITY-CASES 5"""
    target = parse_target(b"/logs/a%3Fb=c?d", STRICT)
    assert (target.path, target.segments, target.query) == (b"/a%3Fb=c", ("a?b=c",), b"d")


@pytest.mark.parametrize("raw", [b"http://logs/x", b"logs:443", b"*", b"", b"logs/x", b"\\\\logs\\x"])
def test_only_the_origin_form_is_served(raw: bytes) -> None:
    """SECURITY-CASES 7"""
    assert rule_of(raw) == "absolute_form"


def test_a_relaxation_covers_its_own_backend_and_its_own_rule_only() -> None:
    relaxed = {"git": frozenset({"encoded_slash"})}
    assert parse_target(b"/git/projects/a%2Fb", relaxed).segments == ("projects", "a%2Fb")
    assert rule_of(b"/other/projects/a%2Fb", relaxed) == "encoded_slash"
    assert rule_of(b"/git/projects/a%2F..%2Fb", relaxed) == "dot_segment"
    assert rule_of(b"/git/projects/a%5Cb", relaxed) == "encoded_backslash"


def test_two_relaxations_never_give_one_segment_two_spellings() -> None:
    relaxed = {"git": frozenset({"encoded_slash", "double_escape"})}
    assert rule_of(b"/git/a%252Fb", relaxed) == "double_escape"
    assert parse_target(b"/git/a%2541b", relaxed).segments == ("a%41b",)
    assert rule_of(b"/git/%25%32%65", {"git": frozenset({"unreserved_escape"})}) == "double_escape"


def test_the_length_is_bounded() -> None:
    assert rule_of(b"/" + b"a" * MAX_TARGET_BYTES) == "too_long"
    assert parse_target(b"/" + b"a" * (MAX_TARGET_BYTES - 1), STRICT).path == b"/"


_PIECES = st.sampled_from(
    [
        b"/",
        b"//",
        b".",
        b"..",
        b";",
        b"%2e",
        b"%2F",
        b"%25",
        b"%41",
        b"%E2%82%AC",
        b"%20",
        b"\\",
        b"#",
        b"?",
        b"a",
        b"b-1",
    ]
)


@given(st.lists(_PIECES, max_size=12).map(lambda pieces: b"/" + b"".join(pieces)))
@example(b"/a/..%2F")
def test_whatever_is_accepted_is_one_canonical_spelling(raw: bytes) -> None:
    """What a decoding, normalising server makes of an accepted path has the segments that were decided on."""
    from posixpath import normpath
    from urllib.parse import quote, unquote

    try:
        target = parse_target(raw, STRICT)
    except TargetRefusedError as refused:
        assert refused.rule in RULES
        return
    path, _, query = raw.partition(b"?")
    assert (target.query or b"") == query
    decoded = unquote(path.decode("ascii"), errors="strict")
    normal = normpath(decoded)
    assert normal + ("/" if decoded.endswith("/") and normal != "/" else "") == decoded
    assert decoded.split("/")[2:] == list(target.segments) or target.path == b"/"
    for segment in target.segments:
        assert "/" not in segment and segment not in (".", "..")
    kept = "".join(f"/{quote(segment, safe=':@!$&()*+,;=~' + chr(39))}" for segment in target.segments)
    assert kept == target.path.decode("ascii")
