"""A bearer token taken apart, before anything in it is believed (RFC 7515, section 3.1; RFC 7519, section 7.2)."""

from dataclasses import dataclass, field

from identity.base64url import decode_base64url
from identity.rejections import rejection
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

MAX_TOKEN_BYTES = 16_384
MAX_HEADER_DEPTH = 3
MAX_CLAIMS_DEPTH = 16
MAX_KEY_ID_LENGTH = 256

# A token that brings its own key or asks for extensions is refused, not read without them: `jwk`, `jku`, `x5u` and
# `x5c` have no honest use here, `crit` and `b64` change what is signed, `zip` and `enc` belong to encryption.
FORBIDDEN_MEMBERS = ("jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc")

# RFC 7515, sections 4.1.1 to 4.1.10: each is a text where it is there at all, and `null` is none.
_TEXT_MEMBERS = ("alg", "kid", "typ", "cty", "x5t", "x5t#S256")


@dataclass(frozen=True, slots=True)
class CompactJws:
    """One compact JWS with a JSON payload; nothing in it has been verified.

    `typ` is the header's media type in lower case without `application/` (RFC 7515, section 4.1.9), None where absent.
    """

    algorithm: str
    key_id: str | None
    typ: str | None
    unverified_claims: JsonObject
    signing_input: bytes
    signature: bytes = field(repr=False)


def parse_compact_jws(token: bytes) -> CompactJws:
    """Take one token apart.

    Raises InvalidCredentialError: token_too_large, malformed_token or header_not_allowed.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise rejection("token_too_large", limit=MAX_TOKEN_BYTES)
    segments = token.split(b".")
    if len(segments) == 5:
        raise rejection("malformed_token", reason="it is encrypted")
    if len(segments) != 3:
        raise rejection("malformed_token", reason="it has not exactly three parts")
    header = _json_segment(segments[0], "header", MAX_HEADER_DEPTH)
    for member in FORBIDDEN_MEMBERS:
        if member in header:
            raise rejection("header_not_allowed", member=member)
    for member in _TEXT_MEMBERS:
        if member in header and not isinstance(header[member], str):
            raise rejection("malformed_token", reason=f"the {member!r} in its header is not a text")
    algorithm, key_id, typ = header.get("alg"), header.get("kid"), header.get("typ")
    if algorithm is None:
        raise rejection("malformed_token", reason="its header names no algorithm")
    if key_id is not None and not 0 < len(key_id) <= MAX_KEY_ID_LENGTH:
        raise rejection("malformed_token", reason="its key id is empty or too long")
    return CompactJws(
        algorithm=algorithm,
        key_id=key_id,
        typ=typ.lower().removeprefix("application/") if typ is not None else None,
        unverified_claims=_json_segment(segments[1], "payload", MAX_CLAIMS_DEPTH),
        signing_input=segments[0] + b"." + segments[1],
        signature=_decode_segment(segments[2], "signature"),
    )


def _decode_segment(segment: bytes, name: str) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError:
        raise rejection("malformed_token", reason=f"its {name} is not canonical base64url") from None


def _json_segment(segment: bytes, name: str, max_depth: int) -> JsonObject:
    data = _decode_segment(segment, name)
    try:
        return parse_json_object(data, max_depth=max_depth)
    except StrictJsonError as error:
        raise rejection("malformed_token", reason=f"in its {name}, {error}") from None
