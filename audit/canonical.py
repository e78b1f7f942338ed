"""Canonical JSON: one text for one document, so that a hash of the text is a hash of the document.

The stored form of every record. Compatibility rule: these bytes are what was hashed, so neither the order of keys,
nor the escapes, nor the limits may change for a kind of record that has been written.

The profile of RFC 8785 (JCS) used here: keys are ASCII, integers lie strictly between -2^53 and 2^53, there are no
floats and no lone surrogates. In this profile `json` with sorted keys and RFC 8785 give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]

MAX_BYTES = 60 * 1024
"""The longest body: C2SP tlog-tiles limits an entry to 65,535 bytes."""

INTEGER_LIMIT = 2**53

quote = encode_basestring
"""One string as its canonical JSON text, quotes included (RFC 8785 section 3.2.2.2)."""

_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


class CanonicalError(ValueError):
    """The document lies outside the profile; the text says which value."""


def encode(document: Json) -> bytes:
    """Return the canonical bytes of `document`; raises CanonicalError outside the profile or above MAX_BYTES."""
    _check(document)
    try:
        body = _encode(document).encode()
    except UnicodeEncodeError:
        raise CanonicalError("a string holds a lone surrogate, which has no UTF-8 form") from None
    if len(body) > MAX_BYTES:
        raise CanonicalError(f"the document is {len(body)} bytes long, the limit is {MAX_BYTES}")
    return body


def quoted(values: Sequence[str]) -> str:
    """Return an array of strings as its canonical JSON text."""
    return f"[{','.join([quote(value) for value in values])}]"


def _check(value: Json) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -INTEGER_LIMIT < value < INTEGER_LIMIT:
            raise CanonicalError(f"the integer {value} is not exact in every JSON reader (RFC 8785 section 3.2.2.3)")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise CanonicalError(f"the key {key!r} is not an ASCII string")
            _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    else:
        raise CanonicalError(f"a {type(value).__name__} has no canonical form here: {value!r}")
