"""What the gateway itself must remember about identities, and the seams to where it is kept.

Every method may block and is called in a worker thread, never on the event loop. What a method has written is durable
on return. Several replicas may share one store: `changes` is how each learns of what the others wrote. All raise
StateUnavailableError where the store can't be reached; nothing is decided on a guess then.

Times are whole seconds since the Unix epoch. Secrets come as SHA-256 digests or sealed (`identity.sealing`): whoever
reads the store can use none of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from identity.principal import Confirmation, Kind, Limits
from identity.revocation import Revocation

EndReason = Literal[
    "logged_out", "provider_logout", "revoked", "refresh_reused", "provider_refused", "deprovisioned", "expired"
]
DeviceStatus = Literal["pending", "allowed", "denied"]
Topic = Literal["revocation", "provisioning", "signing_keys"]


class StateUnavailableError(Exception):
    """The store can't be used now; the text says what to mend and holds no secret."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One login at the gateway: a session of a person, in a browser, a command line or a device.

    `id` is random and is the `sid` of every token made from it. `client` is `console` or an OAuth client id.
    `sealed_refresh_token` is the provider's own, with which a renewal asks the provider again. `source` is where
    the login came from (an address). `login_used_at` is when `use_login` used its login up. `ended_at` is None while it
    lives.
    """

    id: str
    client: str
    subject: str
    kind: Kind
    provider: str
    issuer: str
    token_subject: str
    username: str
    groups: tuple[str, ...]
    email: str | None
    provisioned_as: str | None
    provider_session: str | None
    authenticated_at: int | None
    acr: str | None
    amr: tuple[str, ...]
    limits: Limits
    confirmation: Confirmation | None
    source: str
    created_at: int
    renewed_at: int
    expires_at: int
    sealed_refresh_token: bytes | None = None
    login_used_at: int | None = None
    ended_at: int | None = None
    end_reason: EndReason | None = None


class UsedLogin(NamedTuple):
    """What `use_login` took: the provider's refresh token as the grant held it, None where the provider gave none."""

    sealed_refresh_token: bytes | None


class Claimed(NamedTuple):
    """What `claim` found: the grant's id, and whether the token had been used before (then nothing was claimed)."""

    grant_id: str
    reused: bool


class Change(NamedTuple):
    """Something changed, by whichever replica: its topic, and the key of what changed (its meaning is the topic's).

    revocation: `kind:key`; provisioning: the provider's name; signing_keys: the key id. `written_us` is when, in
    microseconds since the Unix epoch, by the clock of the replica that wrote it.
    """

    number: int
    topic: Topic
    key: str
    written_us: int


class GrantStore(Protocol):
    """Grants, and the refresh tokens that renew them."""

    def add_grant(self, grant: Grant) -> None:
        """Keep a new grant."""
        ...

    def grant(self, grant_id: str) -> Grant | None:
        """Return a grant, ended or not."""
        ...

    def update_grant(self, grant: Grant) -> bool:
        """Replace a living grant's facts; False where it has ended meanwhile (nothing is written then).

        How it ended, and whether its login is used up, are not among them.
        """
        ...

    def use_login(self, grant_id: str, now: int) -> UsedLogin | None:
        """Use up, atomically, the login that a grant began with; the provider's token leaves the grant with it.

        None where another call was first, or there is no such grant that lives: nothing may come of the login then.
        """
        ...

    def end_grants(
        self,
        *,
        now: int,
        reason: EndReason,
        grant_id: str | None = None,
        subject: str | None = None,
        account: tuple[str, str] | None = None,
        provider_session: tuple[str, str] | None = None,
        unnamed_session: tuple[str, str] | None = None,
        provisioned: tuple[str, str] | None = None,
        created_until: int | None = None,
    ) -> tuple[str, ...]:
        """End every living grant that all given terms fit (at least one of the first six); returns the ids.

        `account` is (provider, sub), `unnamed_session` the same where the grant names no session of the provider,
        `provider_session` (provider, sid), `provisioned` (provider, `provisioned_as`). In the same transaction a
        `session` revocation of each is written.
        """
        ...

    def living_grants(self, subject: str, now: int) -> Sequence[Grant]:
        """Return a subject's grants that have neither ended nor expired, newest first."""
        ...


class RefreshTokenStore(Protocol):
    """Refresh tokens by SHA-256 digest, each used once (RFC 9700, section 4.14.2)."""

    def add_refresh_token(self, digest: bytes, grant_id: str, expires_at: int) -> None:
        """Keep a token that has just been made."""
        ...

    def claim_refresh_token(self, digest: bytes, now: int) -> Claimed | None:
        """Use a token up, atomically; None where it is unknown or expired."""
        ...

    def release_refresh_token(self, digest: bytes) -> None:
        """Make a claimed token usable again: the renewal failed for no fault of its holder."""
        ...


class CodeStore(Protocol):
    """One-time codes by SHA-256 digest, with a JSON payload: authorization codes (RFC 6749, section 4.1)."""

    def add_code(self, digest: bytes, payload: dict[str, Any], expires_at: int) -> None:
        """Keep a code."""
        ...

    def take_code(self, digest: bytes, now: int) -> tuple[dict[str, Any], bool] | None:
        """Use a code up, atomically: its payload, and whether it had been used before; None: unknown or expired."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """One device authorization (RFC 8628). `user_code` is kept without hyphens, in upper case.

    `payload` is what the client asked for (scope, limits, confirmation ...), as JSON.
    """

    device_digest: bytes
    user_code: str
    client: str
    source: str
    payload: dict[str, Any]
    created_at: int
    expires_at: int
    interval_s: int
    status: DeviceStatus = "pending"
    grant_id: str | None = None


class Poll(NamedTuple):
    """What a device's poll found. `too_soon`: it came before the interval was over (the interval grows by 5 s)."""

    request: DeviceRequest
    too_soon: bool


class DeviceStore(Protocol):
    """Device authorizations under way."""

    def add_device(self, request: DeviceRequest) -> bool:
        """Keep a request; False where its user code is taken."""
        ...

    def device_by_user_code(self, user_code: str, now: int) -> DeviceRequest | None:
        """Return the pending request with that code."""
        ...

    def decide_device(self, user_code: str, now: int, grant_id: str | None) -> bool:
        """Allow (with a grant) or deny a pending request; False where there is none any more."""
        ...

    def poll_device(self, digest: bytes, now: float) -> Poll | None:
        """Note a poll; a decided request is given once and then forgotten. None: unknown or expired."""
        ...


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A signing key of the gateway's own: it signs from `signs_from` on and is published until `published_until`."""

    key_id: str
    sealed: bytes
    created_at: int
    signs_from: int
    published_until: int


class SigningKeyStore(Protocol):
    """The gateway's signing keys, shared by its replicas."""

    def signing_keys(self, now: int) -> Sequence[SealedKey]:
        """Return the keys that are still published, oldest first."""
        ...

    def add_signing_key(self, key: SealedKey, *, newest_before: int) -> bool:
        """Add a key unless one with `signs_from` >= `newest_before` is there: only one of several replicas rotates."""
        ...


class RevocationStore(Protocol):
    """Revocations, shared by the replicas."""

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Write revocations; of two with the same kind and key the later one stays."""
        ...

    def revocations(self, now: int, keys: Iterable[str] | None = None) -> Sequence[Revocation]:
        """Return those in force: all, or those whose `kind:key` is among `keys`."""
        ...


class ChangeFeed(Protocol):
    """Tells each replica what any of them wrote, in the order in which it became durable."""

    def newest_change(self) -> int:
        """Return the number of the newest change, 0 before the first."""
        ...

    def changes(self, after: int) -> Sequence[Change] | None:
        """Return the changes after that number, in order; None where some are forgotten: load everything anew."""
        ...
