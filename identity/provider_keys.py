"""One provider's keys over time: found at the start, refreshed, rotated, and kept while the provider is away."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from identity.authenticator import ProviderUnavailableError
from identity.discovery import DiscoveryError, discover, fetch_keys
from identity.key_set import EMPTY_KEY_SET, KeySet
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.signatures import VerificationKey

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
ABSENT_KEY_TTL_S = 30.0
MAX_ABSENT_KEYS = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """How one provider is doing: `ready` means its tokens can be verified now; `keys` counts the usable keys."""

    name: str
    issuer: str
    ready: bool
    detail: str
    keys: int


class ProviderKeys:
    """The keys that vouch for one provider's tokens now.

    A background task discovers the provider, retries with growing pauses while it can't be reached, and refreshes what
    it publishes. A key id that is not known makes it look again, but never more often than `jwks_min_interval_s`, with
    one fetch under way at most, and not again within ABSENT_KEY_TTL_S for an id that was not there. A failed refresh
    changes nothing until the keys are older than `jwks_max_stale_s`; then they are no longer believed. Keys in a file
    are read anew every `jwks_min_interval_s`.

    `on_change` gets the fingerprints of the keys that are good from now on, whenever they change. `monotonic` is
    a clock in seconds that never goes back, `clock` gives seconds since the Unix epoch.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        client: httpx.AsyncClient,
        *,
        monotonic: Callable[[], float],
        on_change: Callable[[frozenset[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._monotonic = monotonic
        self._clock = clock
        self._on_change = on_change
        self._keys = EMPTY_KEY_SET
        self._metadata: ProviderMetadata | None = None
        self._ahead_s = 0.0
        self._discovered_at = 0.0
        self._keys_at: float | None = None
        self._tried_at: float | None = None
        self._problem: str | None = "discovery has not finished yet"
        self._absent: dict[tuple[str | None, str], float] = {}
        self._fetch: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    def start(self) -> None:
        """Begin discovery and the refreshes, in the background."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name=f"keys of {self._settings.name}")

    async def close(self) -> None:
        """Stop all background work."""
        for task in (self._loop, self._fetch):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._loop = self._fetch = None

    def status(self) -> ProviderStatus:
        """Return how the provider is doing, for the readiness page."""
        usable = len(self._keys.fingerprints())
        # Opaque tokens need no keys.
        ready = self._keys_at is not None and (usable > 0 or self._settings.introspection is not None)
        notes = [*self._clock_notes(), *self._keys.ignored]
        if self._problem is not None:
            notes.insert(0, f"serving with the last known keys: {self._problem}" if ready else self._problem)
        elif not usable and self._settings.needs_keys:
            notes.insert(0, "it publishes no usable signing key")
        return ProviderStatus(self._settings.name, self._settings.issuer, ready, "; ".join(notes) or "ok", usable)

    @property
    def ahead_s(self) -> int:
        """By how many whole seconds the provider's clock may be ahead of this machine's, as last seen; never below 0.

        It is known to the second only, so that a second is added; what looks like none may be part of one.
        """
        return math.ceil(self._ahead_s) + 1 if self._ahead_s > 0 else 0

    @property
    def metadata(self) -> ProviderMetadata:
        """What the provider says of itself, as last seen; raises ProviderUnavailableError where it never was."""
        if self._metadata is None:
            raise ProviderUnavailableError(self._settings.name, self._problem or "it has not been reached yet")
        return self._metadata

    async def find(self, key_id: str | None, algorithm: str) -> VerificationKey:
        """Return the key that a token's header means, looking again at the provider where it is not known.

        Raises InvalidCredentialError (unknown_key), or ProviderUnavailableError where only the provider could tell.
        """
        if self._keys_at is None:
            raise ProviderUnavailableError(self._settings.name, self._problem or "its keys are not known")
        key = self._keys.find(key_id, algorithm)
        if key is not None:
            return key
        place = (key_id, algorithm)
        if self._fetch is not None or (self._may_fetch() and not self._is_known_absent(place)):
            await self.refresh()
            key = self._keys.find(key_id, algorithm)
            if key is not None:
                return key
            self._note_absent(place)
        if self._problem is not None:
            raise ProviderUnavailableError(self._settings.name, self._problem)
        raise rejection("unknown_key", provider=self._settings.name)

    async def first_attempt(self) -> None:
        """Wait, once started, until the provider has been tried, with whatever result."""
        await self._tried.wait()

    async def refresh(self) -> None:
        """Fetch the keys now, or wait for the fetch that is under way; a failure shows in `status` only."""
        if self._fetch is None:
            self._fetch = asyncio.create_task(self._fetch_once())
            self._fetch.add_done_callback(self._fetch_done)
        # The fetch goes on for the others where one caller gives up.
        await asyncio.shield(self._fetch)

    def _fetch_done(self, _: asyncio.Task[None]) -> None:
        self._fetch = None

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self.refresh()
            if self._problem is None:
                retry_s, pause_s = FIRST_RETRY_S, self._refresh_s()
            else:
                pause_s, retry_s = retry_s, min(2 * retry_s, LAST_RETRY_S)
            await asyncio.sleep(pause_s)

    async def _fetch_once(self) -> None:
        now = self._monotonic()
        try:
            metadata = await self._current_metadata(now)
            published = await fetch_keys(self._client, self._settings, metadata, self._clock)
        except DiscoveryError as error:
            self._failed(now, str(error))
        except Exception as error:
            # Were this to end the background task, keys would never again be refreshed, nor expire.
            _log.exception("provider %s: its keys can't be fetched", self._settings.name)
            self._failed(now, f"its keys can't be fetched: {type(error).__name__}")
        else:
            if self._problem is not None:
                _log.info("provider %s: ready", self._settings.name)
            self._problem = None
            self._keys_at = now
            self._ahead_s = published.ahead_s
            self._use(published.keys)
        # Counted from the end, so that a provider that answers slowly is not asked without a pause.
        self._tried_at = self._monotonic()
        self._tried.set()

    async def _current_metadata(self, now: float) -> ProviderMetadata:
        known = self._metadata
        if known is not None and now - self._discovered_at < self._settings.discovery_refresh_s:
            return known
        try:
            self._metadata = await discover(self._client, self._settings)
        except DiscoveryError as error:
            if known is None:
                raise
            _log.warning("provider %s: its keys are fetched from where they were: %s", self._settings.name, error)
            return known
        self._discovered_at = now
        return self._metadata

    def _refresh_s(self) -> float:
        settings = self._settings
        return settings.jwks_refresh_s if settings.jwks_file is None else settings.jwks_min_interval_s

    def _clock_notes(self) -> list[str]:
        if abs(self._ahead_s) <= self._settings.leeway_s:
            return []
        where = "ahead of" if self._ahead_s > 0 else "behind"
        return [
            f"its clock is {abs(self._ahead_s):.0f} s {where} this machine's, more than leeway_s: its tokens may be "
            "refused as expired or not yet valid"
        ]

    def _failed(self, now: float, problem: str) -> None:
        if self._problem != problem:
            _log.warning("provider %s: %s", self._settings.name, problem)
        self._problem = problem
        # The provider may have moved its keys: next time discovery comes first.
        self._discovered_at = now - self._settings.discovery_refresh_s
        if self._keys_at is not None and now - self._keys_at > self._settings.jwks_max_stale_s:
            self._keys_at = None
            self._use(EMPTY_KEY_SET)

    def _use(self, keys: KeySet) -> None:
        if keys.by_id.keys() != self._keys.by_id.keys():
            self._absent.clear()
        before, after = self._keys.fingerprints(), keys.fingerprints()
        self._keys = keys
        if before != after:
            self._on_change(after)

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._monotonic() - self._tried_at >= self._settings.jwks_min_interval_s

    def _is_known_absent(self, place: tuple[str | None, str]) -> bool:
        noted_at = self._absent.get(place)
        return noted_at is not None and self._monotonic() - noted_at < ABSENT_KEY_TTL_S

    def _note_absent(self, place: tuple[str | None, str]) -> None:
        if self._is_known_absent(place):
            return
        if len(self._absent) >= MAX_ABSENT_KEYS:
            self._absent.clear()
        self._absent[place] = self._monotonic()
