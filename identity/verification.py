"""One credential on its way from bytes to principal: the stages, in order, each of which may refuse it.

Where a token comes from decides its stages: a provider's JWT, a provider's opaque token, or the gateway's own. The
unverified `iss` chooses which issuer must vouch, and that issuer's own keys then have to.
"""

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from identity.accounts import account_subject, group_subjects, linkable_email, username
from identity.base64url import encode_base64url
from identity.claims import (
    Lifetime,
    check_audience,
    check_kind,
    check_lifetime,
    check_token_id,
    optional_time,
    printable_text,
    printable_texts,
    subject,
)
from identity.compact_jws import MAX_TOKEN_BYTES, CompactJws, parse_compact_jws
from identity.confirmation import confirmation_of
from identity.group_claim import find_groups, is_overage
from identity.introspection import Introspector, introspecting_provider
from identity.issuer.own_claims import principal_of
from identity.login_token import check_access_token_hash, check_login
from identity.principal import Principal
from identity.provider_keys import ProviderKeys
from identity.provider_settings import ProviderSettings
from identity.provisioning import pushed_as
from identity.rejections import rejection
from identity.resolution import Resolver
from identity.signatures import VerificationKey, twin_signature
from identity.strict_json import JsonObject
from identity.userinfo import GroupOverage

OWN_ALGORITHM = "ES256"
OWN_REFRESH_TOKEN = b"prt_"
OWN_LEEWAY_S = 5

_Value = TypeVar("_Value")


class OwnIssuer(Protocol):
    """The gateway as the issuer of tokens: `issuer` is its public URL."""

    issuer: str

    def find(self, key_id: str | None) -> VerificationKey | None:
        """Return the own key of that id, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's running parts; `introspector` is None where it gives out JWTs only."""

    settings: ProviderSettings
    keys: ProviderKeys
    introspector: Introspector | None
    overage: GroupOverage


@dataclass(slots=True)
class Verification:
    """What is known of one token so far. `claims` are believed once the signature stage has passed, not before."""

    token: bytes = field(repr=False)
    digest: bytes
    now: float
    route: "Route | None" = None
    jws: CompactJws | None = None
    provider: Provider | None = None
    key: VerificationKey | None = None
    claims: JsonObject = field(default_factory=dict)
    audiences: tuple[str, ...] = ()
    lifetime: Lifetime | None = None
    provisioned_as: str | None = None
    told_groups: tuple[str, ...] = ()
    principal: Principal | None = None
    twin_sha256: str | None = None
    valid_until: float = math.inf
    login_nonce: str | None = field(default=None, repr=False)
    login_access_token: bytes | None = field(default=None, repr=False)


Stage = Callable[[Verification], Awaitable[str]]
"""Does one step and says in words what it found, without any part of the token; raises to refuse."""


@dataclass(frozen=True, slots=True)
class Route:
    """The stages for one kind of token, by name, in order."""

    stages: Sequence[tuple[str, Stage]]


class Verifier:
    """Knows every issuer that may vouch. `providers` are by issuer."""

    def __init__(self, providers: Mapping[str, Provider], resolver: Resolver) -> None:
        self._providers = providers
        self._names = frozenset(each.settings.name for each in providers.values())
        self._opaque = [each.settings for each in providers.values() if each.introspector is not None]
        self._resolver = resolver
        self._own: OwnIssuer | None = None
        self._jwt = Route(
            (
                ("signature", self._signature),
                ("audience", self._audience),
                ("kind", self._kind),
                ("times", self._times),
                ("groups", self._groups),
                ("account", self._account),
                ("standing", self._standing),
            )
        )
        self._introspected = Route(
            (
                ("introspection", self._introspection),
                ("times", self._times),
                ("groups", self._groups),
                ("account", self._account),
                ("standing", self._standing),
            )
        )
        self._own_token = Route(
            (("signature", self._own_signature), ("times", self._own_times), ("standing", self._standing))
        )
        self.login = Route(
            (
                ("signature", self._signature),
                ("login", self._login),
                ("times", self._times),
                ("groups", self._groups),
                ("account", self._account),
                ("standing", self._standing),
            )
        )

    def trust(self, own: OwnIssuer) -> None:
        """Accept the gateway's own tokens."""
        self._own = own

    async def format(self, verification: Verification) -> str:
        """Take the token apart and choose who must vouch for it."""
        token = verification.token
        if len(token) > MAX_TOKEN_BYTES:
            raise rejection("token_too_large", limit=MAX_TOKEN_BYTES)
        if token.startswith(OWN_REFRESH_TOKEN):
            # Sent to the wrong place by its owner; it must not go on to a provider that introspects.
            raise rejection("wrong_token_type")
        provider = self._opaque_provider(token)
        if provider is not None:
            verification.provider, verification.route = provider, self._introspected
            return f"an opaque token of the provider {provider.settings.name}"
        jws = verification.jws = parse_compact_jws(token)
        issuer = jws.unverified_claims.get("iss")
        told = f"a JWT, algorithm {printable(jws.algorithm)}, key id {printable(jws.key_id)}, type {printable(jws.typ)}"
        if self._own is not None and issuer == self._own.issuer:
            verification.route = self._own_token
            return f"{told}; issued by this gateway"
        provider = self._providers.get(_vouching_issuer(jws.unverified_claims))
        if provider is None:
            raise rejection("unknown_issuer")
        verification.provider, verification.route = provider, self._jwt
        return f"{told}; the provider {provider.settings.name} must vouch for it"

    def _opaque_provider(self, token: bytes) -> Provider | None:
        settings = introspecting_provider(token, self._opaque)
        return self._providers[settings.issuer] if settings is not None else None

    async def _signature(self, verification: Verification) -> str:
        provider, jws = _given(verification.provider), _given(verification.jws)
        settings = provider.settings
        if jws.algorithm not in settings.algorithms:
            raise rejection("algorithm_not_allowed", allowed=", ".join(settings.algorithms))
        key = await provider.keys.find(jws.key_id, jws.algorithm)
        if not key.verify(jws.signing_input, jws.signature):
            raise rejection("bad_signature")
        verification.key, verification.claims = key, jws.unverified_claims
        verification.twin_sha256 = _twin_sha256(jws)
        return f"good, by a key that {settings.issuer} publishes"

    async def _introspection(self, verification: Verification) -> str:
        provider = _given(verification.provider)
        answer = await _given(provider.introspector).introspect(verification.token)
        verification.claims, verification.valid_until = answer.claims, answer.valid_until
        return "active, says the provider"

    async def _audience(self, verification: Verification) -> str:
        settings = _given(verification.provider).settings
        verification.audiences = check_audience(verification.claims, settings)
        return f"for {' or '.join(settings.audiences)}"

    async def _kind(self, verification: Verification) -> str:
        settings = _given(verification.provider).settings
        check_kind(_given(verification.jws).typ, verification.claims, verification.audiences, settings)
        return "a kind of token that may be sent to an API"

    async def _login(self, verification: Verification) -> str:
        settings, claims = _given(verification.provider).settings, verification.claims
        check_login(claims, settings, verification.login_nonce)
        check_access_token_hash(claims, _given(verification.jws).algorithm, verification.login_access_token)
        return "the ID token of the login that was begun here"

    async def _times(self, verification: Verification) -> str:
        settings = _given(verification.provider).settings
        # RFC 7662 and SPIFFE JWT-SVID ask for no `iat`.
        needs_issued_at = settings.trust_domain is None and verification.jws is not None
        lifetime = verification.lifetime = check_lifetime(
            verification.claims, verification.now, settings.leeway_s, needs_issued_at=needs_issued_at
        )
        return _told_times(lifetime, verification.now)

    async def _groups(self, verification: Verification) -> str:
        provider, claims = _given(verification.provider), verification.claims
        settings = provider.settings
        if settings.scim is not None:
            key = verification.provisioned_as = pushed_as(claims, settings.scim)
            if self._resolver.provisioning.find(settings.name, key) is not None:
                return "those that the provider has pushed, whatever the token says"
        path = settings.groups_claim
        if path is None:
            return "none: no claim of the provider's is configured to hold groups"
        found, asked = find_groups(claims, path), ""
        if is_overage(claims, path):
            login = verification.route is self.login
            found = await provider.overage.groups(
                claims, verification.login_access_token if login else verification.token
            )
            await self._still_signed(verification)
            asked = ", asked of userinfo because the token has no room for them"
        verification.told_groups = group_subjects(found, settings)
        return told_groups(found, verification.told_groups) + asked

    async def _still_signed(self, verification: Verification) -> None:
        # Asking took time: a key that has gone meanwhile must not leave a verified token behind it.
        provider, jws, key = _given(verification.provider), verification.jws, verification.key
        if jws is not None and key is not None:
            now = await provider.keys.find(jws.key_id, jws.algorithm)
            if now.fingerprint != key.fingerprint:
                raise rejection("unknown_key", provider=provider.settings.name)

    # From here to the end of a route nothing is awaited that can wait: what is checked is still so when it is kept.

    async def _account(self, verification: Verification) -> str:
        settings, claims = _given(verification.provider).settings, verification.claims
        check_token_id(claims)
        lifetime, token_subject = _given(verification.lifetime), subject(claims)
        groups = verification.told_groups
        email: str | None = None
        if settings.tokens == "workloads":
            own, *groups_of_entries = self._resolver.workload_subjects(settings.name, claims)
            name, groups = token_subject, tuple(groups_of_entries)
        else:
            name, email = username(claims, settings), linkable_email(claims, settings)
            own = self._resolver.person_subject(settings.name, token_subject, name, email)
            groups = self._resolver.groups(settings.name, verification.provisioned_as, groups)
        verification.principal = Principal(
            subject=own,
            provider=settings.name,
            issuer=settings.issuer,
            token_subject=token_subject,
            username=name,
            groups=groups,
            expires_at=lifetime.expires_at,
            issued_at=lifetime.issued_at,
            authenticated_at=optional_time(claims, "auth_time"),
            acr=printable_text(claims, "acr"),
            amr=printable_texts(claims, "amr"),
            token_sha256=verification.digest.hex(),
            token_twin_sha256=verification.twin_sha256,
            kind="workload" if settings.tokens == "workloads" else "user",
            email=email,
            provisioned_as=verification.provisioned_as,
            provider_session=printable_text(claims, "sid"),
            confirmation=confirmation_of(claims),
        )
        linked = own != account_subject(settings.name, name)
        believed = f"; verified address {email}" if email else ""
        return f"{own} ({'listed in' if linked else 'nobody is linked to the account in'} identities.yaml{believed})"

    async def _standing(self, verification: Verification) -> str:
        principal = verification.principal = self._resolver.recheck(_given(verification.principal))
        acting = "".join(f", through {delegate.subject}" for delegate in principal.delegates)
        return f"in force: {principal.subject}{acting}, {counted_groups(len(principal.groups))}"

    async def _own_signature(self, verification: Verification) -> str:
        jws = _given(verification.jws)
        if jws.typ != "at+jwt":
            raise rejection("wrong_token_type")
        if jws.algorithm != OWN_ALGORITHM:
            raise rejection("algorithm_not_allowed", allowed=OWN_ALGORITHM)
        key = self._own.find(jws.key_id) if self._own is not None else None
        if key is None:
            raise rejection("unknown_key", provider="this gateway")
        if not key.verify(jws.signing_input, jws.signature):
            raise rejection("bad_signature")
        verification.claims = jws.unverified_claims
        verification.twin_sha256 = _twin_sha256(jws)
        return "good, by this gateway's own key"

    async def _own_times(self, verification: Verification) -> str:
        claims = verification.claims
        lifetime = verification.lifetime = check_lifetime(claims, verification.now, OWN_LEEWAY_S)
        principal = principal_of(claims, verification.digest.hex())
        vouched = (principal.provider, *(delegate.provider for delegate in principal.delegates))
        at_issuer = self._providers.get(principal.issuer)
        if at_issuer is None or at_issuer.settings.name != principal.provider or not self._names.issuperset(vouched):
            # A provider was taken out of the configuration, or is another one now: what it vouched for ends with it.
            raise rejection("unknown_issuer")
        verification.principal = replace(principal, token_twin_sha256=verification.twin_sha256)
        return _told_times(lifetime, verification.now)


def told_groups(claim: object, groups: Sequence[str]) -> str:
    """Say which groups count, and how many of the claim's don't because no rule can name them."""
    given = len(claim) if isinstance(claim, list) else int(claim is not None)
    dropped = given - len(groups)
    text = f"{counted_groups(len(groups))}: {', '.join(groups)}" if groups else "no groups"
    return f"{text}; {dropped} more that no rule can name, or twice the same" if dropped > 0 else text


def counted_groups(count: int) -> str:
    """Return a number of groups in words."""
    return "1 group" if count == 1 else f"{count} groups"


def printable(text: object) -> str:
    """Return a header's text for people: bounded, and without what could forge a line."""
    if not isinstance(text, str):
        return "none"
    return text if text.isascii() and text.isprintable() and len(text) <= 64 else "(odd)"


def _vouching_issuer(claims: JsonObject) -> str:
    issuer = claims.get("iss")
    if issuer is None:
        # A JWT-SVID need not have an issuer: the trust domain of its subject is one (SPIFFE JWT-SVID, section 3).
        scheme, _, rest = str(claims.get("sub")).partition("://")
        return f"spiffe://{rest.partition('/')[0]}" if scheme == "spiffe" else ""
    return issuer if isinstance(issuer, str) else ""


def _twin_sha256(jws: CompactJws) -> str | None:
    """Return the SHA-256 of the other spelling of a token whose signature was found good, None where it has none."""
    twin = twin_signature(jws.algorithm, jws.signature)
    if twin is None:
        return None
    return hashlib.sha256(jws.signing_input + b"." + encode_base64url(twin).encode("ascii")).hexdigest()


def _told_times(lifetime: Lifetime, now: float) -> str:
    until = datetime.fromtimestamp(lifetime.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"good until {until}, {int(lifetime.expires_at - now)} s from now"


def _given(value: _Value | None) -> _Value:
    """Narrow what an earlier stage has filled in."""
    assert value is not None
    return value
