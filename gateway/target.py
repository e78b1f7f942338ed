"""The canonical request target: accepted in exactly one form, or refused by a named rule.

What is decided on must be what the backend reads. Two servers that decode, normalise or split a path differently can
be made to disagree, so every spelling that leaves room for disagreement is refused instead of being repaired. The
accepted bytes are forwarded as they came.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

MAX_TARGET_BYTES: Final = 16_384

# RFC 3986 pchar without `%`, plus `/`.
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_ESCAPED_PATH = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@/%-]*")
# Segments without `.`, `;` or an escape, none of them empty but the last; a query without an escape.
_PLAIN_TARGET = re.compile(rb"/([a-z0-9-]+)((?:/[A-Za-z0-9_~!$&'()*+,=:@-]+)*/?)(?:\?([\x21\x22\x24\x26-\x7e]*))?")
# Queries carry no path meaning here and go on untouched, so tools that leave braces or quotes bare still work.
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")

RULES: Final[Mapping[str, str]] = {
    "absolute_form": "the target must begin with '/': absolute-form, authority-form and '*' are not served",
    "too_long": f"the target is longer than {MAX_TARGET_BYTES} bytes",
    "fragment": "'#' belongs to the client and must not be sent: encode it as %23",
    "backslash": "a backslash is read as '/' by some servers: it is not accepted",
    "control_byte": "a control byte, as itself or as an escape, is not accepted in a path",
    "invalid_byte": "a byte that RFC 3986 does not allow unescaped: percent-encode it",
    "bad_escape": "'%' must be followed by two hexadecimal digits",
    "invalid_utf8": "percent-escapes must spell well-formed UTF-8: over-long and broken sequences are not accepted",
    "encoded_dot": "'%2e' is read as a dot segment by some servers: write '.'",
    "encoded_slash": "'%2F' is read as '/' by some servers",
    "encoded_backslash": "'%5C' is read as '/' by some servers",
    "double_escape": "'%25' before two hexadecimal digits is decoded twice by some servers",
    "unreserved_escape": "letters, digits, '-', '_' and '~' must not be percent-encoded",
    "lowercase_escape": "percent-escapes must use upper-case hexadecimal digits",
    "dot_segment": "'.' and '..' segments are not accepted: resolve them first",
    "empty_segment": "'//' is read as '/' by some servers",
    "path_parameter": "';' before a slash is cut off by some servers: encode or avoid it",
}


class TargetRefusedError(Exception):
    """The target is not in canonical form; `rule` is one of RULES."""

    def __init__(self, rule: str) -> None:
        super().__init__(RULES[rule])
        self.rule = rule


class Target(NamedTuple):
    """An accepted target: `/{backend}{path}?{query}`.

    `backend` is the first segment, `path` the raw rest beginning with `/` (`/` where nothing follows the backend), and
    `segments` that rest's segments, percent-decoded once. `query` is None where the target had no `?`.
    """

    raw: bytes
    backend: str
    path: bytes
    segments: tuple[str, ...]
    query: bytes | None


_NO_RELAXATION: Final[frozenset[str]] = frozenset()


def parse_target(raw: bytes, relaxed: Mapping[str, frozenset[str]]) -> Target:
    """Parse a raw request target (RFC 9112 section 3.2.1, origin-form only).

    `relaxed` names, per backend, the rules that do not apply to it. Raises TargetRefusedError.
    """
    plain = _PLAIN_TARGET.fullmatch(raw)
    if plain is not None and len(raw) <= MAX_TARGET_BYTES:
        # Nothing in it that any rule looks at: most requests end here.
        name = plain[1].decode("ascii")
        path = plain[2] or b"/"
        return Target(raw, name, path, tuple(path[1:].decode("ascii").split("/")), plain[3])
    return _parse_odd_target(raw, relaxed)


def _parse_odd_target(raw: bytes, relaxed: Mapping[str, frozenset[str]]) -> Target:
    if len(raw) > MAX_TARGET_BYTES:
        raise TargetRefusedError("too_long")
    if raw[:1] != b"/":
        raise TargetRefusedError("absolute_form")
    if b"#" in raw:
        raise TargetRefusedError("fragment")
    if raw[:2] == b"//":
        raise TargetRefusedError("empty_segment")
    path, mark, query = raw.partition(b"?")
    if mark and not _QUERY.fullmatch(query):
        raise TargetRefusedError(_byte_rule(query, in_query=True))
    if b"%" in query and _BAD_ESCAPE.search(query):
        raise TargetRefusedError("bad_escape")

    backend, slash, rest = path[1:].partition(b"/")
    name = backend.decode("latin-1")
    below = slash + rest or b"/"
    rules = relaxed.get(name, _NO_RELAXATION)
    if not _PLAIN_PATH.fullmatch(path):
        if not _ESCAPED_PATH.fullmatch(path):
            raise TargetRefusedError(_byte_rule(path, in_query=False))
        if b"%" in backend:
            raise TargetRefusedError("unreserved_escape")
        _check_escapes(below, rules)
    # A path that the backend would receive as `//host/...` could be read as an authority: no relaxation covers it.
    if b"//" in below and ("empty_segment" not in rules or below[:2] == b"//"):
        raise TargetRefusedError("empty_segment")
    if b"%" in below:
        segments = tuple([_decode(piece, rules) for piece in below[1:].split(b"/")])
    else:
        segments = tuple(below[1:].decode("ascii").split("/"))
    if b"." in path or b";" in path or b"%" in below:
        _check_segments((name, *segments), rules)
    return Target(raw, name, below, segments, query if mark else None)


def _byte_rule(part: bytes, *, in_query: bool) -> str:
    for byte in part:
        if byte < 0x20 or byte == 0x7F:
            return "control_byte"
        if byte == 0x5C and not in_query:
            return "backslash"
    return "invalid_byte"


def _check_escapes(path: bytes, relaxed: frozenset[str]) -> None:
    if _BAD_ESCAPE.search(path):
        raise TargetRefusedError("bad_escape")
    for escape in _ESCAPE.finditer(path):
        rule = _escape_rule(escape[1], relaxed)
        if rule is not None:
            raise TargetRefusedError(rule)


def _escape_rule(digits: bytes, relaxed: frozenset[str]) -> str | None:
    byte = int(digits, 16)
    if byte < 0x20 or byte == 0x7F:
        return "control_byte"
    if byte == 0x2E:
        return "encoded_dot"
    if byte == 0x5C:
        return "encoded_backslash"
    if byte == 0x2F and "encoded_slash" not in relaxed:
        return "encoded_slash"
    if byte in _UNRESERVED and "unreserved_escape" not in relaxed:
        return "unreserved_escape"
    if digits != digits.upper() and "lowercase_escape" not in relaxed:
        return "lowercase_escape"
    return None


def _decode(piece: bytes, relaxed: frozenset[str]) -> str:
    if b"%" not in piece:
        return piece.decode("ascii")
    decoded = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), piece)
    again = _ESCAPE.search(decoded)
    if again is not None:
        # `%252F` beside an accepted `%2F` would be two spellings of one segment.
        ambiguous = "encoded_slash" in relaxed and b"%2F" in decoded.upper()
        if "double_escape" not in relaxed or ambiguous:
            raise TargetRefusedError("double_escape")
    # An accepted `%2F` stays an escape, so that a segment never gains a slash.
    data = decoded.replace(b"/", b"%2F")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise TargetRefusedError("invalid_utf8") from None
    if any("\x7f" <= character <= "\x9f" for character in text):
        raise TargetRefusedError("control_byte")
    return text


def _check_segments(segments: tuple[str, ...], relaxed: frozenset[str]) -> None:
    last = len(segments) - 1
    for position, segment in enumerate(segments):
        for part in segment.split("%2F"):
            if part.partition(";")[0] in (".", ".."):
                raise TargetRefusedError("dot_segment")
        if ";" in segment and position != last and "path_parameter" not in relaxed:
            raise TargetRefusedError("path_parameter")
