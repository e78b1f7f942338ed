"""The caller, once a credential has been checked."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["user", "workload"]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The key that a token is bound to (`cnf`, RFC 7800): only who proves to hold it may use the token.

    `method` is the member's name: `jkt`, a JWK thumbprint proved by DPoP (RFC 9449), or `x5t#S256`, a client
    certificate's SHA-256 proved by mutual TLS (RFC 8705). `thumbprint` is base64url without padding.
    """

    method: Literal["jkt", "x5t#S256"]
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a narrowed token is good for. None: no limit of that kind.

    `backends` are backend names; `actions` are names or trailing-`*` prefixes, as in policy rows.
    """

    backends: tuple[str, ...] | None = None
    actions: tuple[str, ...] | None = None

    def allow(self, backend: str, action: str) -> bool:
        """Tell whether one access lies within the limits."""
        if self.backends is not None and backend not in self.backends:
            return False
        return self.actions is None or any(
            action.startswith(pattern[:-1]) if pattern.endswith("*") else action == pattern for pattern in self.actions
        )


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True)
class Delegate:
    """Who acts for the principal: an agent or an automation (RFC 8693, section 4.1, `act`).

    The fields are the delegate's own, as in a `Principal`.
    """

    subject: str
    provider: str
    token_subject: str
    groups: tuple[str, ...]
    provisioned_as: str | None = None
    session: str | None = None
    provider_session: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """One authenticated caller, the same person whichever provider vouched.

    `subject` and `groups` are policy subjects (`user:alice`, `workload:github:deploy`, `group:corp:dev`); the rest
    is evidence for conditions and for the audit record. Times are whole seconds since the Unix epoch. `provider`,
    `issuer` and `token_subject` name the account at the provider that vouched, also where the gateway's own
    token was shown.

    - `token_twin_sha256`: the SHA-256 of the token's other spelling, where its signature is ECDSA's: a revocation of
      either ends both.
    - `email`: the account's verified address, only where its provider is believed for it.
    - `provisioned_as`: what the account is called in its provider's SCIM feed, None where that has none.
    - `session`: the id of the gateway's session (`sid` of its tokens), None for a provider's own token.
    - `provider_session`: the provider's session (`sid`), where its token says.
    - `delegates`: who acts for the principal, the one that holds the token first; each must be allowed too.
    - `made_from`: the SHA-256 in hex, of both spellings where there are two, of every token that this one was made from
      by exchanges: a revocation of any of them reaches it. Empty for a provider's token and for a login's.
    """

    subject: str
    provider: str
    issuer: str
    token_subject: str
    username: str
    groups: tuple[str, ...]
    expires_at: int
    issued_at: int
    authenticated_at: int | None
    acr: str | None
    amr: tuple[str, ...]
    token_sha256: str
    kind: Kind = "user"
    email: str | None = None
    provisioned_as: str | None = None
    session: str | None = None
    provider_session: str | None = None
    confirmation: Confirmation | None = None
    limits: Limits = UNLIMITED
    delegates: tuple[Delegate, ...] = ()
    made_from: tuple[str, ...] = ()
    token_twin_sha256: str | None = field(default=None, compare=False)
