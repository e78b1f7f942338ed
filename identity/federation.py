"""Tokens of any number of OpenID providers, turned into one kind of principal."""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from identity.accounts import account_subject, group_subjects, linkable_email, username
from identity.claims import (
    check_audience,
    check_kind,
    check_lifetime,
    optional_time,
    printable_text,
    printable_texts,
    subject,
)
from identity.compact_jws import MAX_TOKEN_BYTES, CompactJws, parse_compact_jws
from identity.confirmation import confirmation_of
from identity.directory import EMPTY_DIRECTORY, Directory
from identity.principal import Principal
from identity.provider_keys import ProviderKeys, ProviderStatus
from identity.provider_settings import ProviderSettings, provider_conflicts
from identity.rejections import rejection
from identity.verification_cache import CacheEntry, VerificationCache

CACHE_MAX_AGE_S = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Provider:
    settings: ProviderSettings
    client: httpx.AsyncClient
    keys: ProviderKeys


class Federation:
    """The `Authenticator` for bearer tokens; all its methods belong to one event loop.

    A token's unverified `iss` chooses which provider must vouch for it, and that provider's own keys then have to: no
    key ever vouches for another issuer. `clock` gives seconds since the Unix epoch, `monotonic` seconds that never go
    back; `transport` replaces the network in tests. Raises ValueError where two providers share a name or an issuer.
    """

    def __init__(
        self,
        providers: Sequence[ProviderSettings],
        directory: Directory = EMPTY_DIRECTORY,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        conflicts = provider_conflicts(providers)
        if conflicts:
            raise ValueError("; ".join(message for _, message in conflicts))
        self._clock = clock
        self._cache = VerificationCache()
        self._providers = {settings.issuer: self._provider(settings, monotonic, transport) for settings in providers}
        self._directory = EMPTY_DIRECTORY
        self.use_directory(directory)

    async def start(self) -> None:
        """Begin discovery of every provider in the background; those that can't be reached are tried again."""
        for provider in self._providers.values():
            provider.keys.start()

    async def first_attempts(self) -> None:
        """Wait, once started, until every provider has been tried; at most twice the longest `fetch_timeout_s`."""
        await asyncio.gather(*(provider.keys.first_attempt() for provider in self._providers.values()))

    async def refresh(self, name: str) -> None:
        """Fetch one provider's keys now instead of at the next refresh; raises KeyError for an unknown name."""
        await self._named(name).keys.refresh()

    async def close(self) -> None:
        """Stop all background work and close the connections."""
        for provider in self._providers.values():
            await provider.keys.close()
            await provider.client.aclose()

    def use_directory(self, directory: Directory) -> None:
        """Resolve people by this directory from the next request on."""
        self._directory = directory
        self._cache.clear()
        settings = [provider.settings for provider in self._providers.values()]
        for dead_link in directory.dead_links(
            (provider.name for provider in settings), (provider.name for provider in settings if provider.email_domains)
        ):
            _log.warning("identities: %s", dead_link)

    def status(self) -> tuple[ProviderStatus, ...]:
        """Return how each provider is doing, in configured order."""
        return tuple(provider.keys.status() for provider in self._providers.values())

    async def authenticate(self, token: bytes) -> Principal:
        """Return the caller the token stands for.

        Raises InvalidCredentialError for a bad token and ProviderUnavailableError where its keys can't be had.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise rejection("token_too_large", limit=MAX_TOKEN_BYTES)
        digest = hashlib.sha256(token)
        principal = self._cache.get(digest.digest(), self._clock())
        return principal if principal is not None else await self._verify(token, digest.digest())

    async def _verify(self, token: bytes, digest: bytes) -> Principal:
        jws = parse_compact_jws(token)
        issuer = jws.unverified_claims.get("iss")
        provider = self._providers.get(issuer) if isinstance(issuer, str) else None
        if provider is None:
            raise rejection("unknown_issuer")
        settings = provider.settings
        if jws.algorithm not in settings.algorithms:
            raise rejection("algorithm_not_allowed", allowed=", ".join(settings.algorithms))
        key = await provider.keys.find(jws.key_id, jws.algorithm)
        # From here to the end nothing is awaited: a key that goes away can't leave a token cached behind it.
        if not key.verify(jws.signing_input, jws.signature):
            raise rejection("bad_signature")
        now = self._clock()
        principal = self._principal(jws, settings, digest, now)
        valid_until = min(principal.expires_at, now + CACHE_MAX_AGE_S)
        self._cache.put(digest, CacheEntry(principal, settings.name, key.fingerprint, valid_until), now)
        return principal

    def _principal(self, jws: CompactJws, settings: ProviderSettings, digest: bytes, now: float) -> Principal:
        claims = jws.unverified_claims
        lifetime = check_lifetime(claims, now, settings.leeway_s)
        check_kind(jws.typ, claims, check_audience(claims, settings), settings)
        token_subject, name = subject(claims), username(claims, settings)
        person = self._directory.find(settings.name, token_subject, linkable_email(claims, settings))
        return Principal(
            subject=f"user:{person.id}" if person is not None else account_subject(settings.name, name),
            provider=settings.name,
            issuer=settings.issuer,
            token_subject=token_subject,
            username=name,
            groups=group_subjects(claims, settings),
            expires_at=lifetime.expires_at,
            issued_at=lifetime.issued_at,
            authenticated_at=optional_time(claims, "auth_time"),
            acr=printable_text(claims, "acr"),
            amr=printable_texts(claims, "amr"),
            token_sha256=digest.hex(),
            confirmation=confirmation_of(claims),
        )

    def _provider(
        self,
        settings: ProviderSettings,
        monotonic: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None,
    ) -> _Provider:
        client = _http_client(settings, transport)

        def forget_dropped_keys(good: frozenset[str]) -> None:
            self._cache.drop(lambda entry: entry.provider == settings.name and entry.key_fingerprint not in good)

        keys = ProviderKeys(settings, client, monotonic=monotonic, on_change=forget_dropped_keys)
        return _Provider(settings, client, keys)

    def _named(self, name: str) -> _Provider:
        for provider in self._providers.values():
            if provider.settings.name == name:
                return provider
        raise KeyError(name)


def _http_client(settings: ProviderSettings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    # No redirects and no proxy from the environment: where keys come from is the configuration's word alone.
    return httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file is not None else True,
        timeout=settings.fetch_timeout_s,
        follow_redirects=False,
        trust_env=False,
        transport=transport,
        limits=httpx.Limits(max_connections=4, keepalive_expiry=5),
    )
