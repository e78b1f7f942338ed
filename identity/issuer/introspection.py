"""What one of the gateway's own tokens stands for, told to a service that it was sent to (RFC 7662), and revocation.

Every introspection client is told about every token of the gateway's; it must look at `aud` itself, and at `cnf`,
whose key's possession is proved to the service and not here. A refresh token, a provider's token and anything
else is `{"active": false}` and nothing more.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from identity.authenticator import Authenticator, InvalidCredentialError
from identity.compact_jws import parse_compact_jws
from identity.issuer.access_tokens import token_type_of
from identity.principal import Principal
from identity.revocation import Revocation
from identity.secret_digest import secret_digest

INACTIVE: Final[Mapping[str, Any]] = {"active": False}
# After its `exp` a token is good for no longer than the largest leeway.
_LEEWAY_S: Final = 300
_TOLD: Final[tuple[str, ...]] = (
    "iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "sid", "auth_time", "acr", "amr", "username",
    "email", "idp", "cnf", "act",
)  # fmt: skip


class IntrospectionClients:
    """Who may ask, by client id; secrets are kept as digests and compared in constant time."""

    def __init__(self, secrets: Mapping[str, SecretStr]) -> None:
        self._digests = {name: secret_digest(secret.get_secret_value()) for name, secret in secrets.items()}

    def knows(self, client_id: str, secret: str) -> bool:
        """Tell whether this is a client and its secret; how long it takes tells nobody which of the two is wrong."""
        known = self._digests.get(client_id)
        is_right = hmac.compare_digest(known if known is not None else bytes(32), secret_digest(secret))
        return known is not None and is_right


async def introspect(token: str, authenticator: Authenticator, issuer: str) -> Mapping[str, Any]:
    """Return what a token stands for now.

    Groups are those of this moment: SCIM may have changed them since the token was made. Raises
    ProviderUnavailableError and StateUnavailableError where that can't be known.
    """
    principal = await own_token(token, authenticator, issuer)
    if principal is None:
        return INACTIVE
    claims = parse_compact_jws(token.encode("ascii")).unverified_claims
    told = {name: claims[name] for name in _TOLD if name in claims}
    return {"active": True, "token_type": token_type_of(principal), **told, "groups": list(principal.groups)}


async def own_token(token: str, authenticator: Authenticator, issuer: str) -> Principal | None:
    """Return whom a token of the gateway's own stands for, None where it is not one, or not good."""
    encoded = token.encode("ascii")
    try:
        principal = await authenticator.authenticate(encoded)
        claims = parse_compact_jws(encoded).unverified_claims
    except InvalidCredentialError:
        return None
    return principal if claims.get("iss") == issuer else None


def token_revocation(principal: Principal, now: int) -> Revocation:
    """Return what revokes the token that a principal was found by, for as long as it could be used."""
    return Revocation("token", principal.token_sha256, now, until=principal.expires_at + _LEEWAY_S)
