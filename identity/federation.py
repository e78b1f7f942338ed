"""Tokens of any number of OpenID providers, and of the gateway itself, turned into one kind of principal."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.compact_jws import MAX_TOKEN_BYTES
from identity.dead_links import dead_links
from identity.directory import EMPTY_DIRECTORY, Directory
from identity.introspection import Introspector
from identity.principal import Principal
from identity.provider_client import provider_client
from identity.provider_keys import ProviderKeys, ProviderStatus
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings, provider_conflicts
from identity.provisioning import ProvisioningView
from identity.rejections import rejection
from identity.resolution import Resolver
from identity.revocation import Revocation
from identity.state import StateUnavailableError
from identity.userinfo import GroupOverage
from identity.verification import OwnIssuer, Provider, Route, Verification, Verifier
from identity.verification_cache import CacheEntry, VerificationCache

CACHE_MAX_AGE_S = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a token's resolution: `ok` is False for the one that refused it. `text` holds no part of a token."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a token resolved: to a principal, or to the code of the refusal of its last step."""

    steps: tuple[Step, ...]
    principal: Principal | None
    code: str | None


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
        self._epoch = 0
        self._suspended: str | None = None
        self._resolver = Resolver(EMPTY_DIRECTORY, providers, self._ahead_s)
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._providers = {settings.issuer: self._provider(settings, monotonic, transport) for settings in providers}
        self._verifier = Verifier(self._providers, self._resolver)
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
        await self.provider(name).keys.refresh()

    async def close(self) -> None:
        """Stop all background work and close the connections."""
        for provider in self._providers.values():
            await provider.keys.close()
            if provider.introspector is not None:
                await provider.introspector.close()
        for client in self._clients.values():
            await client.aclose()

    def trust(self, own: OwnIssuer) -> None:
        """Accept the gateway's own tokens as well."""
        self._verifier.trust(own)

    def use_directory(self, directory: Directory) -> None:
        """Resolve people and workloads by this directory from the next request on."""
        self._resolver.directory = directory
        # An account may have become somebody else's: what was verified is resolved anew.
        self._cache.clear()
        for link in dead_links(directory, (provider.settings for provider in self._providers.values())):
            _log.warning("identities.yaml, line %d: %s", link.line, link.message)

    def use_provisioning(self, view: ProvisioningView) -> None:
        """Take accounts and groups from what providers provision; `identity_changed` says when the view has changed."""
        self._resolver.provisioning = view
        self.identity_changed()

    def identity_changed(self) -> None:
        """Look at every caller again before the next request of theirs."""
        self._epoch += 1

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Refuse what the revocations reach, from the next request on."""
        self._resolver.revocations.apply(revocations)
        self._resolver.revocations.forget(self._clock())
        self.identity_changed()

    def suspend(self, reason: str | None) -> None:
        """Let nobody in while it can't be known who was revoked; None: go on."""
        self._suspended = reason

    @property
    def suspended(self) -> str | None:
        """Why nobody is let in now, None where people are."""
        return self._suspended

    def status(self) -> tuple[ProviderStatus, ...]:
        """Return how each provider is doing, in configured order."""
        return tuple(provider.keys.status() for provider in self._providers.values())

    def provider(self, name: str) -> Provider:
        """Return one provider's running parts; raises KeyError for an unknown name."""
        for provider in self._providers.values():
            if provider.settings.name == name:
                return provider
        raise KeyError(name)

    def provider_of(self, issuer: str) -> Provider | None:
        """Return the provider of exactly that issuer, None where none is configured."""
        return self._providers.get(issuer)

    def metadata(self, name: str) -> ProviderMetadata:
        """Return what a provider says about itself.

        Raises KeyError for an unknown name, and ProviderUnavailableError while the provider has not been reached.
        """
        return self.provider(name).keys.metadata

    async def authenticate(self, token: bytes) -> Principal:
        """Return the caller the token stands for.

        Raises InvalidCredentialError for a bad token, ProviderUnavailableError where its keys can't be had, and
        StateUnavailableError while `suspend`ed.
        """
        self._check_not_suspended()
        if len(token) > MAX_TOKEN_BYTES:
            raise rejection("token_too_large", limit=MAX_TOKEN_BYTES)
        digest = hashlib.sha256(token).digest()
        now = self._clock()
        entry = self._cache.get(digest, now)
        if entry is None:
            principal = await self._verify(Verification(token, digest, now))
            # A provider may have been asked, and who was revoked may not be known any more.
            self._check_not_suspended()
            return principal
        if entry.epoch != self._epoch:
            self._renew(digest, entry)
        return entry.principal

    async def login(
        self, provider: str, id_token: bytes, *, nonce: str | None, access_token: bytes | None
    ) -> Principal:
        """Return whom an ID token stands for that a login of the gateway's own client was answered with.

        `nonce` is that of the login, None at a renewal; `access_token` came with the ID token. Raises KeyError,
        InvalidCredentialError and ProviderUnavailableError.
        """
        verification = Verification(id_token, hashlib.sha256(id_token).digest(), self._clock())
        verification.login_nonce, verification.login_access_token = nonce, access_token
        await self._verifier.format(verification)
        chosen = verification.provider
        if verification.jws is None or chosen is None or chosen is not self.provider(provider):
            raise rejection("unknown_issuer")
        verification.route = self._verifier.login
        await _run(verification)
        assert verification.principal is not None
        return verification.principal

    def recheck(self, principal: Principal) -> Principal:
        """Return the same caller as things stand now, with the groups they have now.

        Raises InvalidCredentialError where the token was revoked or the caller is nobody any more, and
        StateUnavailableError while `suspend`ed.
        """
        if self._suspended is not None:
            raise StateUnavailableError(self._suspended)
        return self.resolve_again(principal)

    def resolve_again(self, principal: Principal) -> Principal:
        """Do what `recheck` does, by what is known here, suspended or not: for whoever was let in before."""
        return self._resolver.recheck(principal)

    async def explain(self, token: bytes) -> Explanation:
        """Verify a token and tell each step; nothing is raised for a bad one."""
        verification = Verification(token, hashlib.sha256(token).digest(), self._clock())
        steps: list[Step] = []
        name = "format"
        try:
            steps.append(Step(name, True, await self._verifier.format(verification)))
            assert verification.route is not None
            for name, stage in verification.route.stages:
                steps.append(Step(name, True, await stage(verification)))
        except InvalidCredentialError as error:
            return Explanation((*steps, Step(name, False, error.detail)), None, error.code)
        except ProviderUnavailableError as error:
            return Explanation((*steps, Step(name, False, str(error))), None, "provider_unavailable")
        return Explanation(tuple(steps), verification.principal, None)

    async def _verify(self, verification: Verification) -> Principal:
        await self._verifier.format(verification)
        await _run(verification)
        principal, key, provider = verification.principal, verification.key, verification.provider
        assert principal is not None
        vouched_by = (provider.settings.name, key.fingerprint) if provider is not None and key is not None else None
        valid_until = min(principal.expires_at, verification.valid_until, verification.now + CACHE_MAX_AGE_S)
        entry = CacheEntry(principal, vouched_by, valid_until, self._epoch)
        self._cache.put(verification.digest, entry, verification.now)
        return principal

    def _check_not_suspended(self) -> None:
        if self._suspended is not None:
            raise StateUnavailableError(self._suspended)

    def _ahead_s(self, name: str) -> int:
        for provider in self._providers.values():
            if provider.settings.name == name:
                return provider.keys.ahead_s
        return 0

    def _renew(self, digest: bytes, entry: CacheEntry) -> None:
        try:
            entry.principal = self._resolver.recheck(entry.principal)
        except InvalidCredentialError:
            self._cache.discard(digest)
            raise
        entry.epoch = self._epoch

    def _provider(
        self,
        settings: ProviderSettings,
        monotonic: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None,
    ) -> Provider:
        client = self._clients[settings.name] = provider_client(settings, transport)

        def forget_dropped_keys(good: frozenset[str]) -> None:
            self._cache.drop(
                lambda entry: (
                    entry.vouched_by is not None
                    and entry.vouched_by[0] == settings.name
                    and entry.vouched_by[1] not in good
                )
            )

        keys = ProviderKeys(settings, client, monotonic=monotonic, on_change=forget_dropped_keys)
        introspector = None
        if settings.introspection is not None:
            introspector = Introspector(settings, client, lambda: keys.metadata, clock=self._clock, monotonic=monotonic)
        return Provider(settings, keys, introspector, GroupOverage(settings, client, lambda: keys.metadata))


async def _run(verification: Verification) -> None:
    route: Route | None = verification.route
    assert route is not None
    for _, stage in route.stages:
        await stage(verification)
