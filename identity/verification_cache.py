"""Tokens that were found good, so that the next request with the same token costs a hash and a look-up.

Only good tokens enter, so bad ones can't grow it. It holds two generations: when the young one is full it becomes the
old one, and what is not used again is forgotten with it. That bounds it without a write on every read.
"""

from collections.abc import Callable
from dataclasses import dataclass

from identity.principal import Principal

CAPACITY = 50_000


@dataclass(slots=True)
class CacheEntry:
    """A verified token: its principal, what vouched for it, and when it must be verified anew.

    `vouched_by` names the provider and the fingerprint of its key; None where no published key did (introspection, the
    gateway's own tokens). `epoch` counts changes of who may be whom: an entry of an earlier one is looked at again
    before it serves.
    """

    principal: Principal
    vouched_by: tuple[str, str] | None
    valid_until: float
    epoch: int = 0


class VerificationCache:
    """Good tokens by the SHA-256 of their bytes: at most `2 * capacity`, about a kilobyte each.

    The digest covers the whole token, issuer and audience included, so that an entry can serve no other token. It is
    used from one event loop, where nothing comes between verifying a token and keeping the result.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._young: dict[bytes, CacheEntry] = {}
        self._old: dict[bytes, CacheEntry] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, digest: bytes, now: float) -> CacheEntry | None:
        """Return the entry of a token that is known and still good."""
        entry = self._young.get(digest)
        if entry is None:
            entry = self._old.pop(digest, None)
            if entry is None:
                return None
            self._keep(digest, entry)
        return entry if now < entry.valid_until else None

    def put(self, digest: bytes, entry: CacheEntry, now: float) -> None:
        """Keep a token that has just been verified, unless it ends now."""
        if now < entry.valid_until:
            self._keep(digest, entry)

    def discard(self, digest: bytes) -> None:
        """Forget one token."""
        self._young.pop(digest, None)
        self._old.pop(digest, None)

    def drop(self, condition: Callable[[CacheEntry], bool]) -> None:
        """Forget every entry that the condition holds for."""
        self._young = {digest: entry for digest, entry in self._young.items() if not condition(entry)}
        self._old = {digest: entry for digest, entry in self._old.items() if not condition(entry)}

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}

    def _keep(self, digest: bytes, entry: CacheEntry) -> None:
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[digest] = entry
