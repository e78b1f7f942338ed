"""JSON bodies that decide a request: read in exactly one way, or refused.

Two JSON readers can take different values from one text (duplicate names, other encodings, non-numbers, names that
differ in case only); what the gateway decides on must be what the backend reads (RFC 8259 sections 4 and 8).
"""

import json
from typing import Any, NoReturn

from adapters.backend import BackendRequest, UnclassifiedError

MAX_DEPTH = 32

_ONE_BRACKET = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def json_object(request: BackendRequest, limit: int, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Return the request's body as the JSON object it is.

    Raises UnclassifiedError where it is missing, longer than `limit` bytes, encoded, not UTF-8, nested deeper than
    `depth`, or not one JSON object with distinct names.
    """
    body = plain_body(request, limit)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UnclassifiedError("the JSON body is not UTF-8") from None
    if _too_deep(body, depth):
        raise UnclassifiedError(f"the JSON body is nested deeper than {depth} levels")
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise UnclassifiedError("the body is not well-formed JSON (RFC 8259)") from None
    if not isinstance(value, dict):
        raise UnclassifiedError("the JSON body must be an object")
    return value


def plain_body(request: BackendRequest, limit: int) -> bytes:
    """Return the body; raises UnclassifiedError where it is missing, too long, or under a content coding."""
    if request.body is None:
        raise UnclassifiedError("the body decides what this request does, and it could not be read")
    if len(request.body) > limit:
        raise UnclassifiedError(f"the body decides what this request does and may be at most {limit} bytes long")
    if request.header(b"content-encoding") not in (None, b"identity"):
        raise UnclassifiedError("the body decides what this request does: send it without Content-Encoding")
    return request.body


def field(value: dict[str, Any], name: str) -> Any:
    """Return the object's member `name`, None where it has none.

    Raises UnclassifiedError where another member's name differs in case only: some readers take either.
    """
    folded = name.casefold()
    if any(key != name and key.casefold() == folded for key in value):
        raise UnclassifiedError(f"the JSON body spells {name!r} in a second way")
    return value.get(name)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise UnclassifiedError("the JSON body gives a name twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _too_deep(body: bytes, limit: int) -> bool:
    # Whole-buffer steps only: a walk over a megabyte would hold up every other request.
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    brackets = outside_strings.translate(_ONE_BRACKET, _NO_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)
