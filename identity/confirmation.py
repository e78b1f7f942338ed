"""Which key a token is bound to: its claim `cnf` (RFC 7800)."""

from typing import Final

from identity.base64url import decode_base64url
from identity.principal import Confirmation
from identity.rejections import rejection
from identity.strict_json import JsonObject

# RFC 9449, section 6.1, and RFC 8705, section 3.1. Both are a SHA-256 in base64url.
_METHODS: Final = ("jkt", "x5t#S256")
_THUMBPRINT_BYTES: Final = 32


def confirmation_of(claims: JsonObject) -> Confirmation | None:
    """Return the key that a token's claims bind it to, None where they bind it to none.

    A token that is bound in a way that can't be checked here, or in two ways at once, is refused: read without its
    `cnf` it would serve a thief as well. Raises InvalidCredentialError: malformed_claim or sender_constrained.
    """
    if "cnf" not in claims:
        return None
    members = claims["cnf"]
    if not isinstance(members, dict) or not members:
        raise rejection("malformed_claim", claim="cnf")
    for method in _METHODS:
        if members.keys() == {method}:
            return Confirmation(method, _thumbprint(members[method]))
    raise rejection("sender_constrained")


def _thumbprint(value: object) -> str:
    try:
        if isinstance(value, str) and len(decode_base64url(value.encode("ascii"))) == _THUMBPRINT_BYTES:
            return value
    except ValueError:
        pass
    raise rejection("malformed_claim", claim="cnf")
