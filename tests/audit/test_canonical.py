"""Canonical JSON equals RFC 8785 inside the profile, and refuses what lies outside."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import MAX_BYTES, CanonicalError, encode, quote

TEXTS = st.text(st.characters(codec="utf-8"))
KEYS = st.text(st.characters(max_codepoint=127), max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


@given(DOCUMENTS)
def test_equals_rfc_8785_byte_for_byte(document):  # type: ignore[no-untyped-def]
    assert encode(document) == rfc8785.dumps(document)


@given(DOCUMENTS)
def test_reading_and_writing_again_gives_the_same_bytes(document):  # type: ignore[no-untyped-def]
    body = encode(document)
    assert encode(json.loads(body)) == body


@given(TEXTS)
def test_a_quoted_text_is_what_rfc_8785_writes(text: str) -> None:
    assert quote(text).encode() == rfc8785.dumps(text)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"n": 1.0}, id="float"),
        pytest.param({"n": 2**53}, id="integer that is not exact everywhere"),
        pytest.param({"n": -(2**53)}, id="negative integer that is not exact everywhere"),
        pytest.param({"t": "\ud800"}, id="lone surrogate"),
        pytest.param({"ключ": 1}, id="key that is not ASCII"),
        pytest.param({1: "x"}, id="key that is not text"),
        pytest.param({"b": b"x"}, id="bytes"),
        pytest.param({"t": "x" * MAX_BYTES}, id="too long"),
    ],
)
def test_refuses_what_has_no_canonical_form_here(document) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CanonicalError):
        encode(document)
