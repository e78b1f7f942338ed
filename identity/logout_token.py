"""OpenID Connect Back-Channel Logout 1.0: a provider says that a session, or all of an account's, have ended.

Strangers can send such tokens too. So everything that can be told from the text alone is checked before a key is
looked for, and only verified tokens are remembered.

The header type is `logout+jwt`, or `JWT` or none: providers older than the final standard set no other. What keeps
an ID token from passing then is the claim `events`, which must be there, and `nonce`, which must not (section 2.4).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from identity.authenticator import InvalidCredentialError
from identity.claims import optional_time, printable_text
from identity.compact_jws import CompactJws, parse_compact_jws
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.revocation import Revocation
from identity.signatures import VerificationKey
from identity.strict_json import JsonObject

EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE_S = 300
"""A token issued longer ago, the provider's leeway apart, is refused."""
REMEMBER_S = 7 * 86_400
"""How long a logout counts against the provider's own tokens; the gateway's sessions end for good."""
MAX_REMEMBERED = 10_000
MAX_AUDIENCES = 64

# `iat` may lie the leeway in the future, and as much again is granted at the end.
_WIDEST_LEEWAYS_S = 2 * 300


class KeyFinder(Protocol):
    """A provider's keys; `identity.provider_keys.ProviderKeys` are some."""

    async def find(self, key_id: str | None, algorithm: str) -> VerificationKey:
        """Return the key a header means; raises InvalidCredentialError or ProviderUnavailableError."""
        ...


class KnownProvider(Protocol):
    """One configured provider; `identity.verification.Provider` is one."""

    @property
    def settings(self) -> ProviderSettings:
        """Its configuration."""
        ...

    @property
    def keys(self) -> KeyFinder:
        """Its keys."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderLogout:
    """One logout: of the provider's session `session` or, where that is None, of the account `subject` as a whole.

    `until` is the second up to which the account's logins have ended; those after it are new. Times are whole seconds
    since the Unix epoch; `token_id` is the token's `jti`.
    """

    provider: str
    issuer: str
    subject: str | None
    session: str | None
    until: int
    token_id: str

    def grants(self) -> tuple[dict[str, Any], ...]:
        """Return which grants end, each as `GrantStore.end_grants` takes it."""
        account = (self.provider, self.subject)
        if self.session is None:
            return ({"account": account, "created_until": self.until},)
        named = {"provider_session": (self.provider, self.session)}
        # What does not say of which session it is may be of this one.
        return (named, {"unnamed_session": account, "created_until": self.until}) if self.subject else (named,)

    def revocations(self) -> tuple[Revocation, ...]:
        """Return what ends the tokens that the provider itself has issued."""
        forgotten_at, account = self.until + REMEMBER_S, f"{self.provider}:{self.subject}"
        if self.session is None:
            return (Revocation("account", account, self.until, forgotten_at),)
        session = f"{self.provider}:{self.session}"
        named = Revocation("provider_session", session, self.until, forgotten_at)
        unnamed = Revocation("unnamed_session", account, self.until, forgotten_at)
        return (named, unnamed) if self.subject else (named,)


class LogoutTokens:
    """Verifies logout tokens. Belongs to one event loop. `provider_of` returns the provider that has an issuer.

    A token counts once (`jti`). That is remembered in this process alone, for as long as the token would be accepted:
    at another replica a second use ends nothing but logins of the leeway after the first.
    """

    def __init__(self, provider_of: Callable[[str], KnownProvider | None], clock: Callable[[], float]) -> None:
        self._provider_of = provider_of
        self._clock = clock
        self._used: dict[tuple[str, str], float] = {}

    async def verify(self, token: bytes) -> ProviderLogout:
        """Return what a token says has ended.

        Raises InvalidCredentialError, and ProviderUnavailableError where its key can't be had.
        """
        jws = parse_compact_jws(token)
        issuer = jws.unverified_claims.get("iss")
        provider = self._provider_of(issuer) if isinstance(issuer, str) else None
        if provider is None:
            raise rejection("unknown_issuer")
        logout = _read(jws, provider.settings, self._clock())
        if self._used.get((logout.issuer, logout.token_id), 0.0) > self._clock():
            raise InvalidCredentialError("logout_token_used", "this logout token has been used before")
        key = await provider.keys.find(jws.key_id, jws.algorithm)
        if not key.verify(jws.signing_input, jws.signature):
            raise rejection("bad_signature")
        return logout

    def use(self, logout: ProviderLogout) -> None:
        """Remember that a verified token has taken effect; before that, the provider may send it again."""
        now = self._clock()
        if len(self._used) >= MAX_REMEMBERED:
            self._used = {key: until for key, until in self._used.items() if until > now}
        while len(self._used) >= MAX_REMEMBERED:
            del self._used[next(iter(self._used))]
        self._used[logout.issuer, logout.token_id] = now + MAX_AGE_S + _WIDEST_LEEWAYS_S


def _read(jws: CompactJws, settings: ProviderSettings, now: float) -> ProviderLogout:
    """Hold a token's text to section 2.6 of the standard, all but the signature and whether it was used before."""
    claims = jws.unverified_claims
    if settings.client_id is None or not settings.backchannel_logout:
        detail = f"the provider {settings.name} has no client_id here, or its backchannel_logout is off"
        raise InvalidCredentialError("logout_not_configured", detail)
    if jws.algorithm not in settings.algorithms:
        raise rejection("algorithm_not_allowed", allowed=", ".join(settings.algorithms))
    if jws.typ not in ("logout+jwt", "jwt", None):
        raise _not_a_logout_token("its type is not logout+jwt")
    if "nonce" in claims:
        raise _not_a_logout_token("it has a nonce, as ID tokens do")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise _not_a_logout_token("its `events` tell of no logout")
    _check_audience(claims, settings.client_id)
    issued_at = optional_time(claims, "iat")
    if issued_at is None:
        raise rejection("missing_claim", claim="iat")
    expires_at = optional_time(claims, "exp")
    ends_at = issued_at + MAX_AGE_S if expires_at is None else min(expires_at, issued_at + MAX_AGE_S)
    if now >= ends_at + settings.leeway_s:
        raise rejection("token_expired")
    if issued_at > now + settings.leeway_s:
        raise rejection("token_not_yet_valid")
    token_id = _text(claims, "jti")
    subject, session = _text(claims, "sub"), _text(claims, "sid")
    if token_id is None:
        raise rejection("missing_claim", claim="jti")
    if subject is None and session is None:
        raise rejection("missing_claim", claim="sid")
    # The provider's clock may be behind ours, by which logins are dated: those of the leeway have ended as well, but
    # none that is still to come.
    until = min(int(now), issued_at + settings.leeway_s)
    return ProviderLogout(settings.name, settings.issuer, subject, session, until, token_id)


def _not_a_logout_token(reason: str) -> InvalidCredentialError:
    return InvalidCredentialError("not_a_logout_token", f"this is no logout token: {reason}")


def _check_audience(claims: JsonObject, client_id: str) -> None:
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or len(audiences) > MAX_AUDIENCES or client_id not in audiences:
        raise rejection("wrong_audience", audiences=client_id)


def _text(claims: JsonObject, claim: str) -> str | None:
    if claims.get(claim) is None:
        return None
    text = printable_text(claims, claim)
    if text is None:
        # What can't be compared must not pass for absent: a token for one session would end all of the account's.
        raise rejection("malformed_claim", claim=claim)
    return text
