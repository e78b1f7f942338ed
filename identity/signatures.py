"""The fence around signature libraries: the only file that imports python-jose, and it only ever verifies.

RS and ES signatures are checked by python-jose on its `cryptography` backend; PS and EdDSA, which it does not know, by
joserfc. Neither library sees a token, a header or a JWK: both get a public key of a checked type, an
algorithm that fits it, the signed bytes and the signature. HMAC and `none` are in no table here, so no
configuration can let them in.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jose import jwk as jose_jwk
from joserfc.jwa import JWS_ALGORITHMS as JOSERFC_ALGORITHMS
from joserfc.jwk import OKPKey, RSAKey

from identity.base64url import decode_base64url

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

# RFC 7518, section 3.3, asks for 2048 bits; above 8192 one check costs milliseconds.
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

RSA_PKCS1_ALGORITHMS = frozenset({"RS256", "RS384", "RS512"})
RSA_PSS_ALGORITHMS = frozenset({"PS256", "PS384", "PS512"})
# Each ES algorithm names its one curve (RFC 7518, section 3.4); python-jose alone would take any.
CURVE_OF_ALGORITHM: dict[str, type[EllipticCurve]] = {"ES256": SECP256R1, "ES384": SECP384R1, "ES512": SECP521R1}
# `Ed25519` is the fully specified name of RFC 9864 for what `EdDSA` (RFC 8037) means here.
EDDSA_ALGORITHMS = frozenset({"EdDSA", "Ed25519"})

# The orders of their groups (FIPS 186-4, appendix D.1.2).
_ORDER_OF_ALGORITHM: dict[str, int] = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "ES512": int(
        "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
        16,
    ),
}

_CURVES: dict[str, type[EllipticCurve]] = {"P-256": SECP256R1, "P-384": SECP384R1, "P-521": SECP521R1}
_JOSERFC = {model.name: model for model in JOSERFC_ALGORITHMS}


class UnusableKeyError(Exception):
    """A published key can't verify tokens; the text says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key bound to one algorithm, its library objects made once.

    `fingerprint` is the SHA-256, in hex, of the algorithm and the key itself: equal for equal keys, whatever their
    ids. `verify(signed bytes, signature)` tells whether the signature is good.
    """

    algorithm: str
    fingerprint: str
    verify: Callable[[bytes, bytes], bool]


def public_key_from_jwk(jwk: dict[str, Any]) -> PublicKey:
    """Return the public key of a JWK of type RSA, EC or OKP (RFC 7518, section 6; RFC 8037, section 2).

    Raises UnusableKeyError for other types, private keys, weak keys and points that are not on their curve.
    """
    if "d" in jwk or "k" in jwk:
        raise UnusableKeyError("holds a private or symmetric key")
    try:
        match jwk.get("kty"):
            case "RSA":
                return _rsa_key(jwk)
            case "EC":
                curve = _CURVES.get(jwk.get("crv", ""))
                if curve is None:
                    raise UnusableKeyError("is on a curve that no algorithm here uses")
                return EllipticCurvePublicNumbers(_integer(jwk, "x"), _integer(jwk, "y"), curve()).public_key()
            case "OKP" if jwk.get("crv") == "Ed25519":
                return Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))
            case _:
                raise UnusableKeyError("is of a type that no algorithm here uses")
    except (ValueError, TypeError):
        raise UnusableKeyError("is malformed") from None


def fits(algorithm: str, key: PublicKey) -> bool:
    """Tell whether an algorithm is made for keys of this type and curve."""
    match key:
        case RSAPublicKey():
            return algorithm in RSA_PKCS1_ALGORITHMS or algorithm in RSA_PSS_ALGORITHMS
        case EllipticCurvePublicKey():
            curve = CURVE_OF_ALGORITHM.get(algorithm)
            return curve is not None and isinstance(key.curve, curve)
        case _:
            return algorithm in EDDSA_ALGORITHMS


def verification_key(algorithm: str, key: PublicKey) -> VerificationKey:
    """Bind a key to an algorithm that fits it; raises UnusableKeyError where it does not."""
    if not fits(algorithm, key):
        raise UnusableKeyError(f"does not fit {algorithm}")
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = hashlib.sha256(algorithm.encode() + b"\0" + encoded).hexdigest()
    verify = _jose_verifier(algorithm, key) if algorithm in _JOSE_ALGORITHMS else _joserfc_verifier(algorithm, key)
    return VerificationKey(algorithm, fingerprint, verify)


def twin_signature(algorithm: str, signature: bytes) -> bytes | None:
    """Return the other signature that is as good as this good one, None where there is none.

    Of an ECDSA signature (r, s) anybody can make (r, n - s): one token can be written in two ways. RSA and Ed25519
    have no such twins.
    """
    order = _ORDER_OF_ALGORITHM.get(algorithm)
    if order is None:
        return None
    half = len(signature) // 2
    return signature[:half] + (order - int.from_bytes(signature[half:])).to_bytes(half)


_JOSE_ALGORITHMS = RSA_PKCS1_ALGORITHMS | CURVE_OF_ALGORITHM.keys()


def _jose_verifier(algorithm: str, key: PublicKey) -> Callable[[bytes, bytes], bool]:
    jose_key = jose_jwk.construct(key, algorithm)

    def verify(signed: bytes, signature: bytes) -> bool:
        return jose_key.verify(signed, signature) is True

    return verify


def _joserfc_verifier(algorithm: str, key: PublicKey) -> Callable[[bytes, bytes], bool]:
    model = _JOSERFC[algorithm]
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    joserfc_key = RSAKey.import_key(pem) if isinstance(key, RSAPublicKey) else OKPKey.import_key(pem)

    def verify(signed: bytes, signature: bytes) -> bool:
        return model.verify(signed, signature, joserfc_key) is True

    return verify


def _rsa_key(jwk: dict[str, Any]) -> RSAPublicKey:
    modulus, exponent = _integer(jwk, "n"), _integer(jwk, "e")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise UnusableKeyError(f"is an RSA key of less than {MIN_RSA_BITS} or more than {MAX_RSA_BITS} bits")
    return RSAPublicNumbers(exponent, modulus).public_key()


def _integer(jwk: dict[str, Any], member: str) -> int:
    return int.from_bytes(_octets(jwk, member))


def _octets(jwk: dict[str, Any], member: str) -> bytes:
    value = jwk.get(member)
    if not isinstance(value, str):
        raise UnusableKeyError(f"lacks {member!r}")
    return decode_base64url(value.encode("ascii"))
