"""Access tokens: made from a principal, signed, and given out in an answer (RFC 6749, section 5.1)."""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from identity.compact_jws import MAX_TOKEN_BYTES
from identity.issuer.narrowing import scope_of
from identity.issuer.oauth_error import OAuthError, unavailable
from identity.issuer.own_claims import claims_of
from identity.issuer.signing_keys import NoSigningKeyError, SigningKeys
from identity.principal import Principal

ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a type's name

Record = Callable[[Principal, str], Awaitable[None]]
"""Records that a token is given to a principal, and why; a token is given out only after this has returned."""


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A signed token, and the principal that it will be found to stand for."""

    text: str = field(repr=False)
    principal: Principal
    issued_at: int


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token request is answered with. `issued_token_type` goes with an exchange only (RFC 8693)."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in: int
    scope: str | None
    refresh_token: str | None = field(default=None, repr=False)
    issued_token_type: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        members = {
            "access_token": self.access_token,
            "issued_token_type": self.issued_token_type,
            "token_type": self.token_type,
            "expires_in": self.expires_in,
            "refresh_token": self.refresh_token,
            "scope": self.scope,
        }
        return {name: value for name, value in members.items() if value is not None}


class AccessTokens:
    """Makes access tokens. `clock` gives seconds since the Unix epoch."""

    def __init__(self, keys: SigningKeys, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    @property
    def issuer(self) -> str:
        """The `iss` of every token."""
        return self._keys.issuer

    def mint(self, principal: Principal, client_id: str) -> MintedToken:
        """Return a token for `principal` until its `expires_at`.

        Raises OAuthError: temporarily_unavailable where nothing can sign now, invalid_request where the token would be
        larger than any that is accepted.
        """
        issued_at = int(self._clock())
        token_id = secrets.token_urlsafe(16)
        claims = claims_of(principal, issuer=self.issuer, client_id=client_id, token_id=token_id, issued_at=issued_at)
        try:
            token = self._keys.sign(claims)
        except NoSigningKeyError:
            raise unavailable("no token can be signed now: try again later") from None
        if len(token) > MAX_TOKEN_BYTES:
            detail = f"the token would be larger than {MAX_TOKEN_BYTES} bytes: have the provider send fewer groups"
            raise OAuthError("invalid_request", detail)
        digest = hashlib.sha256(token.encode("ascii")).hexdigest()
        made_at = min(issued_at, principal.issued_at)
        minted = replace(principal, token_sha256=digest, token_twin_sha256=None, issued_at=made_at)
        return MintedToken(token, minted, issued_at)

    def answer(
        self, minted: MintedToken, *, refresh_token: str | None = None, issued_token_type: str | None = None
    ) -> TokenAnswer:
        """Return the answer that gives a token out."""
        return TokenAnswer(
            access_token=minted.text,
            token_type=token_type_of(minted.principal),
            expires_in=minted.principal.expires_at - minted.issued_at,
            scope=scope_of(minted.principal.limits),
            refresh_token=refresh_token,
            issued_token_type=issued_token_type,
        )


def token_type_of(principal: Principal) -> str:
    """Return how a token of this principal's is sent: bound to a DPoP key (RFC 9449, section 5), or as a bearer token.

    A token that is bound to a client certificate is a bearer token to everybody but its verifier (RFC 8705, section 3).
    """
    confirmation = principal.confirmation
    return "DPoP" if confirmation is not None and confirmation.method == "jkt" else "Bearer"
