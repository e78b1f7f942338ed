"""Taking a token apart: one way to write it, and a cheap refusal of everything else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.authenticator import InvalidCredentialError
from identity.compact_jws import MAX_TOKEN_BYTES, parse_compact_jws
from identity.strict_json import StrictJsonError, parse_json_object
from tests.identity.issuer import b64

HEADER = b64(b'{"alg":"RS256","kid":"k1","typ":"application/AT+JWT"}')
PAYLOAD = b64(b'{"iss":"https://corp.example.com"}')
GOOD = HEADER + b"." + PAYLOAD + b"." + b64(b"signature")


def _token(header: object, payload: object = None) -> bytes:
    parts = [b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload or {})]
    return b".".join([*parts, b64(b"signature")])


def test_a_token_is_taken_apart_into_the_bytes_that_were_signed() -> None:
    jws = parse_compact_jws(GOOD)
    assert (jws.algorithm, jws.key_id, jws.typ) == ("RS256", "k1", "at+jwt")
    assert jws.signing_input == HEADER + b"." + PAYLOAD
    assert jws.signature == b"signature"
    assert jws.unverified_claims == {"iss": "https://corp.example.com"}


MALFORMED = {
    "empty": b"",
    "one part": HEADER,
    "two parts": HEADER + b"." + PAYLOAD,
    "four parts": GOOD + b".",
    "encrypted": b".".join([HEADER] * 5),
    "no signature": HEADER + b"." + PAYLOAD + b".",
    "no header": b"." + PAYLOAD + b"." + b64(b"s"),
    "padding": GOOD + b"=",
    "newline": GOOD + b"\n",
    "blank": b" " + GOOD,
    "standard alphabet": HEADER + b"." + PAYLOAD + b".ab+/",
    "trailing bits": HEADER + b"." + PAYLOAD + b".AB",
    "impossible length": HEADER + b"." + PAYLOAD + b".AAAAA",
    "high bytes": GOOD + b"\xc3\xa9",
    "header is a list": _token([]),
    "header is text": _token(b"alg"),
    "header repeats alg": _token(b'{"alg":"none","alg":"RS256"}'),
    "header repeats by escape": _token(b'{"alg":"none","\\u0061lg":"RS256"}'),
    "header nested": _token({"alg": "RS256", "a": {"b": {"c": {}}}}),
    "header not UTF-8": _token(b'{"alg":"RS256","x":"\xff"}'),
    "no alg": _token({}),
    "alg is a number": _token({"alg": 256}),
    "kid is a number": _token({"alg": "RS256", "kid": 1}),
    "kid is empty": _token({"alg": "RS256", "kid": ""}),
    "kid is long": _token({"alg": "RS256", "kid": "k" * 257}),
    "typ is a list": _token({"alg": "RS256", "typ": ["JWT"]}),
    "payload is a number": _token({"alg": "RS256"}, 7),
    "payload repeats sub": _token({"alg": "RS256"}, b'{"sub":"alice","sub":"bob"}'),
    "payload has NaN": _token({"alg": "RS256"}, b'{"exp":NaN}'),
    "payload has Infinity": _token({"alg": "RS256"}, b'{"exp":Infinity}'),
    "payload has a huge number": _token({"alg": "RS256"}, b'{"exp":' + b"9" * 5000 + b"}"),
    "deep objects": _token({"alg": "RS256"}, b'{"a":' * 40 + b"1" + b"}" * 40),
    "very deep lists": _token({"alg": "RS256"}, b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_a_canonical_signed_jwt_is_malformed(case: str) -> None:
    """SECURITY-CASES 23: deep nesting is refused like any other malformed token, without a traceback."""
    with pytest.raises(InvalidCredentialError) as caught:
        parse_compact_jws(MALFORMED[case])
    assert caught.value.code == "malformed_token"


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"])
def test_a_header_that_brings_a_key_or_an_extension_is_refused(member: str) -> None:
    """SECURITY-CASES 17 and 23: embedded keys, unknown `crit` and compression."""
    values: tuple[object, ...] = (["exp"], "DEF", None, {})
    for value in values:
        with pytest.raises(InvalidCredentialError) as caught:
            parse_compact_jws(_token({"alg": "RS256", "kid": "k1", member: value}))
        assert caught.value.code == "header_not_allowed"


@pytest.mark.parametrize("size", [MAX_TOKEN_BYTES + 1, 1_000_000])
def test_a_large_token_is_refused_before_it_is_read(size: int) -> None:
    """SECURITY-CASES 23: a 1 MB token."""
    with pytest.raises(InvalidCredentialError) as caught:
        parse_compact_jws(b"\xff" * size)
    assert caught.value.code == "token_too_large"


@given(st.binary(max_size=60))
def test_no_bytes_make_the_parser_fail_in_any_other_way(data: bytes) -> None:
    for token in (data, HEADER + b"." + data, b64(data) + b"." + PAYLOAD + b"." + PAYLOAD):
        try:
            parse_compact_jws(token)
        except InvalidCredentialError:
            pass


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_depth_is_what_the_nesting_is(value: object) -> None:
    def depth(item: object) -> int:
        if isinstance(item, dict):
            return 1 + max((depth(child) for child in item.values()), default=0)
        return 1 + max((depth(child) for child in item), default=0) if isinstance(item, list) else 0

    document = {"value": value}
    data = json.dumps(document).encode()
    assert parse_json_object(data, max_depth=depth(document)) == document
    with pytest.raises(StrictJsonError):
        parse_json_object(data, max_depth=depth(document) - 1)
