"""The gateway's own signing keys: ES256, shared by its replicas, replaced in time, published before they sign.

A key's life, by the clock: it is published `PUBLISHED_AHEAD_S` before it signs, so that every replica (which learns of
it from the change feed within seconds) and everybody who keeps our key set for a while knows it by its first token. It
signs until the next one does, and stays published until the last token that it can have signed is over. The first key
of all signs at once.

Stored format: PKCS#8 (DER), sealed for the purpose `signing_key`. A key that can't be opened was sealed with another
secret: it is not used, and everybody holds new tokens a moment later.
"""

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from identity.base64url import encode_base64url
from identity.issuer.own_claims import TOKEN_TYPE
from identity.sealing import Sealer, SealError
from identity.signatures import VerificationKey, verification_key
from identity.state import SealedKey, SigningKeyStore, StateUnavailableError
from identity.strict_json import JsonObject

ALGORITHM: Final = "ES256"
PUBLISHED_AHEAD_S: Final = 600
# No token lives longer (`access_token_s`), and none is believed for longer than this after its end.
LONGEST_TOKEN_S: Final = 3600
LEEWAY_S: Final = 300
# So long a rotation may be late (a store that is away, a gateway that is off) before signing has to stop.
LATE_S: Final = 3600
CHECK_EVERY_S: Final = 60.0

_PURPOSE: Final = "signing_key"
_log = logging.getLogger(__name__)


class NoSigningKeyError(Exception):
    """No key can sign now: the store has not been read yet, or holds none that this gateway's secret opens."""


@dataclass(frozen=True, slots=True)
class _Key:
    sealed: SealedKey
    private: EllipticCurvePrivateKey
    verification: VerificationKey

    @property
    def id(self) -> str:
        return self.sealed.key_id


class SigningKeys:
    """The keys as this replica knows them; it is an `OwnIssuer` and a follower of the topic `signing_keys`.

    Belongs to one event loop. `clock` gives seconds since the Unix epoch.
    """

    def __init__(
        self,
        store: SigningKeyStore,
        sealer: Sealer,
        *,
        issuer: str,
        signing_key_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self._store = store
        self._sealer = sealer
        self._signing_key_s = signing_key_s
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._newest_signs_from: int | None = None
        self._unopened: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Read the keys, and make one where one is due; raises StateUnavailableError."""
        await self._read()
        await self.rotate()

    async def follow(self, keys: Sequence[str]) -> None:
        """Read the keys anew: one was added. Raises StateUnavailableError."""
        await self._read()

    def start(self) -> None:
        """Begin to replace keys in time, in the background."""
        self._task = asyncio.create_task(self._run(), name="signing keys")

    async def close(self) -> None:
        """Stop replacing keys."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def rotate(self) -> None:
        """Add the next key where it is time for it; of several replicas one does. Raises StateUnavailableError."""
        now = int(self._clock())
        newest = max(self._keys.values(), key=lambda key: key.sealed.signs_from, default=None)
        if newest is not None and now < newest.sealed.signs_from + self._signing_key_s - PUBLISHED_AHEAD_S:
            return
        ahead_until = now + PUBLISHED_AHEAD_S
        # Where nothing can sign until then, a token that some do not know yet is better than none.
        signs_from = ahead_until if newest is not None and _signs_until(newest) >= ahead_until else now
        key = self._new_key(now, signs_from)
        known = self._newest_signs_from
        # Without any published key, one that another replica is adding at the same time is not older than this.
        newest_before = known + 1 if known is not None else now - LATE_S
        if await asyncio.to_thread(self._store.add_signing_key, key, newest_before=newest_before):
            _log.info(
                "the signing key %s signs from %s on", key.key_id, time.strftime("%FT%TZ", time.gmtime(signs_from))
            )
        await self._read()

    def find(self, key_id: str | None) -> VerificationKey | None:
        """Return the published key of that id, None where there is none.

        The store is not asked: a key is known everywhere long before it signs, and so a flood of invented ids
        costs nothing.
        """
        key = self._keys.get(key_id) if key_id is not None else None
        return key.verification if key is not None and self._clock() < key.sealed.published_until else None

    def jwks(self) -> JsonObject:
        """Return the published keys as a JWK Set (RFC 7517), the next one among them."""
        now = self._clock()
        return {"keys": [_jwk(key) for key in self._keys.values() if now < key.sealed.published_until]}

    def sign(self, claims: JsonObject) -> str:
        """Return an access token with these claims, `exp` among them; raises NoSigningKeyError."""
        now, ends_at = self._clock(), claims["exp"] + LEEWAY_S
        able = [
            key for key in self._keys.values() if key.sealed.signs_from <= now and ends_at <= key.sealed.published_until
        ]
        if not able:
            raise NoSigningKeyError("no signing key: the identity store's log messages say why")
        key = max(able, key=lambda each: each.sealed.signs_from)
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.id}
        signed = f"{encode_base64url(_json(header))}.{encode_base64url(_json(claims))}"
        r, s = decode_dss_signature(key.private.sign(signed.encode("ascii"), ECDSA(SHA256())))
        # RFC 7518, section 3.4: both numbers at full length, one after the other.
        return f"{signed}.{encode_base64url(r.to_bytes(32) + s.to_bytes(32))}"

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await self.rotate()
            except StateUnavailableError as error:
                _log.warning("the next signing key can't be made yet: %s", error)
            except Exception:
                # Were this to end the task, signing would stop with the last key.
                _log.exception("the next signing key can't be made")

    async def _read(self) -> None:
        now = int(self._clock())
        rows = await asyncio.to_thread(self._store.signing_keys, now)
        keys: dict[str, _Key] = {}
        unopened: set[str] = set()
        for row in rows:
            key = self._keys.get(row.key_id) or self._opened(row)
            if key is None:
                unopened.add(row.key_id)
            else:
                keys[row.key_id] = key
        if unopened - self._unopened:
            _log.error(
                "%d signing keys were sealed with another secret: replicas need the same identity.state.secret_file",
                len(unopened),
            )
        self._keys, self._unopened = keys, frozenset(unopened)
        self._newest_signs_from = max((row.signs_from for row in rows), default=None)

    def _opened(self, row: SealedKey) -> _Key | None:
        try:
            private = load_der_private_key(self._sealer.open(_PURPOSE, row.sealed), None)
        except (SealError, ValueError):
            return None
        if not isinstance(private, EllipticCurvePrivateKey):
            return None
        return _Key(row, private, verification_key(ALGORITHM, private.public_key()))

    def _new_key(self, now: int, signs_from: int) -> SealedKey:
        private = generate_private_key(SECP256R1())
        encoded = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return SealedKey(
            key_id=secrets.token_urlsafe(16),
            sealed=self._sealer.seal(_PURPOSE, encoded),
            created_at=now,
            signs_from=signs_from,
            published_until=signs_from + self._signing_key_s + LATE_S + LONGEST_TOKEN_S + LEEWAY_S,
        )


def _signs_until(key: _Key) -> int:
    """Return until when a key can sign a token of the longest life."""
    return key.sealed.published_until - LONGEST_TOKEN_S - LEEWAY_S


def _jwk(key: _Key) -> JsonObject:
    point = key.private.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": encode_base64url(point.x.to_bytes(32)),
        "y": encode_base64url(point.y.to_bytes(32)),
        "use": "sig",
        "alg": ALGORITHM,
        "kid": key.id,
    }


def _json(document: JsonObject) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")
