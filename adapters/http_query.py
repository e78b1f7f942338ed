"""A query parameter that decides a request: the one value that every server would read, or a refusal.

Servers fold parameter names in their own ways, and many take a parameter from a form in the body as gladly as from the
query. Whatever some server could take for the parameter stands beside it as a second value.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from adapters.backend import BackendRequest, UnclassifiedError

# The parameter by which Rack, Symfony and Laravel take a POST for another method.
_METHOD_OVERRIDE: Final = "_method"
# PHP, https://www.php.net/manual/en/language.variables.external.php
_UNDERSCORES: Final = str.maketrans({"[": "_", ".": "_", " ": "_"})
_BRACKET: Final = re.compile(r"[\[\]]")


class QueryReader:
    """One request's query parameters, read when the first is asked for."""

    __slots__ = ("_by_reading", "_request")

    def __init__(self, request: BackendRequest) -> None:
        self._request = request
        self._by_reading: dict[str, list[tuple[str, str]]] | None = None

    def only(self, name: str) -> str:
        """Return the parameter's only value, `""` where it is absent.

        Raises UnclassifiedError where two readers could take different ones.
        """
        if self._by_reading is None:
            self._by_reading = _by_reading(self._request)
        found = [pair for reading in _readings(name) for pair in self._by_reading.get(reading, ())]
        if not found:
            return ""
        if any(pair is not found[0] for pair in found) or found[0][0] != name:
            raise UnclassifiedError(f"the query parameter {name!r} must be given once and spelled exactly so")
        return found[0][1]


def _by_reading(request: BackendRequest) -> dict[str, list[tuple[str, str]]]:
    _refuse_form(request)
    found: dict[str, list[tuple[str, str]]] = {}
    for pair in _parameters(request.query):
        for reading in _readings(pair[0]):
            found.setdefault(reading, []).append(pair)
    if _METHOD_OVERRIDE in found:
        raise UnclassifiedError("the query decides what this request does: send the method itself, without `_method`")
    return found


def _refuse_form(request: BackendRequest) -> None:
    # Searched for, not parsed: PHP and Rack end the media type at a comma or a space too.
    media_type = (request.header(b"content-type") or b"").lower()
    if b"x-www-form-urlencoded" in media_type or b"multipart/" in media_type:
        raise UnclassifiedError(
            "the query decides what this request does, and a form in the body could override it: send no form"
        )
    if request.method == "POST" and not media_type.strip():
        raise UnclassifiedError(
            "the query decides what this request does, and a POST without Content-Type is a form to some servers: "
            "send a Content-Type that is no form, such as application/json"
        )


def _readings(name: str) -> frozenset[str]:
    """Return the names that servers read this one as, case folded.

    PHP strips leading spaces, ends at NUL and writes `_` for `.`, space and an unclosed `[`. PHP, Rack and qs read
    `name[…]` as a further value of `name`, older Rack `[name]` too. Some servers ignore case.
    """
    text = name.partition("\0")[0].lstrip().casefold()
    outer = _BRACKET.split(text.lstrip("[]"), maxsplit=1)[0]
    return frozenset((text.translate(_UNDERSCORES), outer.translate(_UNDERSCORES)))


def _parameters(query: bytes | None) -> list[tuple[str, str]]:
    """Return the decoded parameters; raises UnclassifiedError where `;` or a broken escape leaves a second reading."""
    if not query:
        return []
    if b";" in query or not query.isascii():
        raise _two_ways()
    pairs = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        try:
            pairs.append((_decoded(name), _decoded(value)))
        except UnicodeDecodeError:
            raise _two_ways() from None
    return pairs


def _two_ways() -> UnclassifiedError:
    return UnclassifiedError("the query can be read in two ways: write `&` between parameters and %XX for the rest")


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode()
