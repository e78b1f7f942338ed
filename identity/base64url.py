"""Base64url without padding, which JOSE, PKCE and the gateway's cookies are written in (RFC 7515, section 2)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_ALPHABET = re.compile(rb"[A-Za-z0-9_-]+")
# The last character of a text of 4n+2 or 4n+3 characters has bits that carry nothing. They must be zero, or
# one token could be written in many ways.
_LAST_OF_2 = frozenset(b"AQgw")
_LAST_OF_3 = frozenset(b"AEIMQUYcgkosw048")


def encode_base64url(data: bytes) -> str:
    """Return the one text that stands for `data`."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: bytes) -> bytes:
    """Return what a text of at least one character stands for.

    Raises ValueError where the same bytes would be written differently.
    """
    rest = len(text) % 4
    if _ALPHABET.fullmatch(text) is None or rest == 1:
        raise ValueError("not base64url without padding")
    if (rest == 2 and text[-1] not in _LAST_OF_2) or (rest == 3 and text[-1] not in _LAST_OF_3):
        raise ValueError("not canonical base64url")
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
