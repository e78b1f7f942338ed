"""A provider's published keys, made ready once: (key id, algorithm) -> verification key (RFC 7517, section 5)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from identity.signatures import UnusableKeyError, VerificationKey, fits, public_key_from_jwk, verification_key
from identity.strict_json import JsonObject

MAX_KEYS = 64
SIGNATURE_USES = frozenset({"sig"})


class KeySetError(Exception):
    """The document is not a JWK set; the last good one stays in force."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one provider.

    A key is found by its exact id and algorithm. A token without a key id is matched only where exactly one key fits
    its algorithm. `ignored` says which published keys are not used, and why.
    """

    by_id: dict[tuple[str | None, str], VerificationKey]
    ignored: tuple[str, ...]

    def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """Return the one key a token's header can mean, None where there is none."""
        if key_id is not None:
            return self.by_id.get((key_id, algorithm))
        candidates = [key for key in self.by_id.values() if key.algorithm == algorithm]
        return candidates[0] if len(candidates) == 1 else None

    def fingerprints(self) -> frozenset[str]:
        """Return what identifies the keys that are good now."""
        return frozenset(key.fingerprint for key in self.by_id.values())


EMPTY_KEY_SET = KeySet({}, ())


def parse_key_set(document: JsonObject, algorithms: Sequence[str], *, uses: Collection[str] = SIGNATURE_USES) -> KeySet:
    """Make a provider's JWK set ready for the algorithms it may use; `uses` are what `use` may say, if anything.

    Keys that are private, symmetric, weak, not for signatures or of a type that no algorithm of the list uses are
    ignored. Where two different keys share an id and an algorithm neither is used: the order of a document must
    not decide which one vouches. Raises KeySetError where the document is not a JWK set.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise KeySetError("the key document is not a JWK set")
    if len(entries) > MAX_KEYS:
        raise KeySetError(f"the key document holds more than {MAX_KEYS} keys")
    keys: dict[tuple[str | None, str], VerificationKey] = {}
    ambiguous: set[tuple[str | None, str]] = set()
    ignored: list[str] = []
    for number, jwk in enumerate(entries, start=1):
        try:
            key_id, usable = _usable_keys(jwk, algorithms, uses)
        except UnusableKeyError as error:
            ignored.append(f"key {number} {error}")
            continue
        for key in usable:
            place = (key_id, key.algorithm)
            if keys.setdefault(place, key).fingerprint != key.fingerprint:
                ambiguous.add(place)
                ignored.append(f"key {number} shares its id and algorithm with another key")
    return KeySet({place: key for place, key in keys.items() if place not in ambiguous}, tuple(ignored))


def _usable_keys(
    jwk: dict[str, Any], algorithms: Sequence[str], uses: Collection[str]
) -> tuple[str | None, list[VerificationKey]]:
    use = jwk.get("use")
    if use is not None and not (isinstance(use, str) and use in uses):
        raise UnusableKeyError("is not for signatures (`use`)")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("is not for verifying (`key_ops`)")
    key_id = jwk.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and key_id):
        raise UnusableKeyError("has a key id that is not a text")
    public_key = public_key_from_jwk(jwk)
    declared = jwk.get("alg")
    usable = [
        verification_key(algorithm, public_key)
        for algorithm in algorithms
        if fits(algorithm, public_key) and declared in (None, algorithm)
    ]
    if not usable:
        raise UnusableKeyError("fits none of the provider's configured algorithms")
    return key_id, usable
