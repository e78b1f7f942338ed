"""Base64url has one reading and one writing, or one token could be written in many ways."""

from base64 import urlsafe_b64encode
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.base64url import decode_base64url, encode_base64url


@given(st.binary(min_size=1, max_size=80))
def test_what_is_written_is_read_and_no_other_text_is_read_as_the_same(data: bytes) -> None:
    text = encode_base64url(data).encode()
    assert text == urlsafe_b64encode(data).rstrip(b"=")
    assert decode_base64url(text) == data
    for last in f"{ascii_letters}{digits}-_".encode():
        changed = text[:-1] + bytes([last])
        if changed != text:
            try:
                assert decode_base64url(changed) != data
            except ValueError:
                pass


@pytest.mark.parametrize("text", [b"", b"A", b"AAAAA", b"AA==", b"A+", b"A/", b"AA\n", b" AA", b"\xff\xff"])
def test_what_is_no_base64url_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)
