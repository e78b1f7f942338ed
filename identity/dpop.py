"""Proofs that a caller holds the key which its token is bound to: DPoP (RFC 9449).

A proof is a small JWT that the client signs for one request. It brings its own key, which is trusted for
nothing: it only has to be the one whose thumbprint stands in the token.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from identity.authenticator import InvalidCredentialError
from identity.base64url import decode_base64url, encode_base64url
from identity.claims import MAX_TIME
from identity.compact_jws import FORBIDDEN_MEMBERS
from identity.normal_url import normal_url
from identity.principal import Confirmation
from identity.proof_memory import ProofMemory
from identity.proof_nonces import ProofNonces
from identity.rejections import REJECTIONS
from identity.signatures import PublicKey, UnusableKeyError, VerificationKey, public_key_from_jwk, verification_key
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

PROOF_ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
PROOF_WINDOW_S: Final = 60
MAX_PROOF_BYTES: Final = 8_192
MAX_PROOF_ID_LENGTH: Final = 256
# The key is the caller's own choice, so it is bounded more closely than a provider's: one check must stay cheap.
MAX_PROOF_RSA_BITS: Final = 4_096
MAX_PROOF_RSA_EXPONENT: Final = 2**32

_MAX_DEPTH: Final = 3
_FORBIDDEN: Final = frozenset(FORBIDDEN_MEMBERS) - {"jwk"}
# RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1.
_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_KEYS_KEPT: Final = 1_024


class InvalidProofError(InvalidCredentialError):
    """A proof is missing something or does not fit.

    `oauth_error` is the error code for OAuth answers (RFC 9449, section 12.2): `invalid_dpop_proof`, or
    `use_dpop_nonce` together with the `nonce` to use.
    """

    def __init__(self, code: str, *, nonce: str = "", **facts: object) -> None:
        super().__init__(code, REJECTIONS[code].format(**facts))
        self.nonce = nonce
        self.oauth_error = "use_dpop_nonce" if nonce else "invalid_dpop_proof"


@dataclass(frozen=True, slots=True)
class _ProofKey:
    verification: VerificationKey
    thumbprint: str


class ProofVerifier:
    """Checks proofs and remembers them, so that none counts twice in this process. Belongs to one event loop."""

    def __init__(self, nonces: ProofNonces, *, nonce_required: bool = False, memory: ProofMemory | None = None) -> None:
        self._nonces = nonces
        self._nonce_required = nonce_required
        self._memory = memory if memory is not None else ProofMemory(PROOF_WINDOW_S)
        self._keys: dict[bytes, _ProofKey] = {}

    def verify(self, proof: bytes, *, method: str, url: str, access_token: bytes | None, now: float) -> Confirmation:
        """Return the key that a proof proves possession of (RFC 9449, section 4.3).

        `url` is the request's own, by the gateway's public name; `access_token` is the token it came with, None where
        the proof asks for one. Raises InvalidProofError.
        """
        if len(proof) > MAX_PROOF_BYTES:
            raise InvalidProofError("malformed_proof", reason=f"it is larger than {MAX_PROOF_BYTES} bytes")
        segments = proof.split(b".")
        if len(segments) != 3:
            raise InvalidProofError("malformed_proof", reason="it has not exactly three parts")
        header, payload, signature = segments
        key = self._key(header)
        claims = _json_segment(payload, "payload")
        made_at = _check_time(claims, now)
        _check_request(claims, method, url)
        if access_token is not None:
            _check_token(claims, access_token)
        self._check_nonce(claims, now)
        proof_id = claims.get("jti")
        if not isinstance(proof_id, str) or not 0 < len(proof_id) <= MAX_PROOF_ID_LENGTH:
            raise InvalidProofError("malformed_proof", reason="its `jti` is not a short text")
        self._memory.forget(now)
        if self._memory.is_full:
            raise InvalidProofError("too_many_proofs")
        if not key.verification.verify(header + b"." + payload, _octets(signature, "signature")):
            raise InvalidProofError("bad_proof_signature")
        if not self._memory.remember(key.thumbprint, proof_id, made_at):
            raise InvalidProofError("proof_replayed")
        return Confirmation("jkt", key.thumbprint)

    def _key(self, header: bytes) -> _ProofKey:
        """Return the key in a header. A client sends the same header each time, so the last ones' keys are kept."""
        key = self._keys.get(header)
        if key is None:
            key = _key_in(_json_segment(header, "header"))
            if len(self._keys) >= _KEYS_KEPT:
                self._keys.clear()
            self._keys[header] = key
        return key

    def _check_nonce(self, claims: JsonObject, now: float) -> None:
        if not self._nonce_required:
            return
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not self._nonces.holds(nonce, now):
            raise InvalidProofError("proof_nonce_required", nonce=self._nonces.issue(now))


def jwk_thumbprint(key: PublicKey) -> str:
    """Return a key's JWK thumbprint (RFC 7638) with SHA-256, in base64url: of the key, not of how somebody wrote it."""
    match key:
        case RSAPublicKey():
            rsa = key.public_numbers()
            members = f'{{"e":"{_integer(rsa.e)}","kty":"RSA","n":"{_integer(rsa.n)}"}}'
        case EllipticCurvePublicKey():
            point, size = key.public_numbers(), (key.curve.key_size + 7) // 8
            x, y = _integer(point.x, size), _integer(point.y, size)
            # The curve's NIST name is P- and its size.
            members = f'{{"crv":"P-{key.curve.key_size}","kty":"EC","x":"{x}","y":"{y}"}}'
        case _:
            # RFC 8037, appendix A.3.
            members = f'{{"crv":"Ed25519","kty":"OKP","x":"{encode_base64url(key.public_bytes_raw())}"}}'
    return encode_base64url(hashlib.sha256(members.encode("ascii")).digest())


def _key_in(header: JsonObject) -> _ProofKey:
    typ, algorithm, jwk = header.get("typ"), header.get("alg"), header.get("jwk")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != "dpop+jwt":
        raise InvalidProofError("malformed_proof", reason="its `typ` is not `dpop+jwt`")
    for member in _FORBIDDEN:
        if member in header:
            raise InvalidProofError("malformed_proof", reason=f"its header has {member!r}")
    if algorithm not in PROOF_ALGORITHMS:
        raise InvalidProofError("proof_algorithm_not_allowed", allowed=", ".join(PROOF_ALGORITHMS))
    if not isinstance(jwk, dict):
        raise InvalidProofError("malformed_proof", reason="its header holds no key (`jwk`)")
    if any(member in jwk for member in _PRIVATE_MEMBERS):
        raise InvalidProofError("proof_key_not_allowed", reason="holds a private or symmetric key: never send that")
    return _bound(algorithm, jwk)


def _bound(algorithm: str, jwk: dict[str, Any]) -> _ProofKey:
    try:
        key = public_key_from_jwk(jwk)
        verification = verification_key(algorithm, key)
    except UnusableKeyError as error:
        raise InvalidProofError("proof_key_not_allowed", reason=str(error)) from None
    if isinstance(key, RSAPublicKey) and (
        key.key_size > MAX_PROOF_RSA_BITS or key.public_numbers().e > MAX_PROOF_RSA_EXPONENT
    ):
        raise InvalidProofError("proof_key_not_allowed", reason=f"is larger than {MAX_PROOF_RSA_BITS} bits")
    return _ProofKey(verification, jwk_thumbprint(key))


def _check_time(claims: JsonObject, now: float) -> int:
    made_at = claims.get("iat")
    # bool is an int to Python, and `true` is not a time.
    if type(made_at) is not int or not 0 <= made_at <= MAX_TIME:
        raise InvalidProofError("malformed_proof", reason="its `iat` is not a time in whole seconds")
    if made_at < now - PROOF_WINDOW_S:
        raise InvalidProofError("proof_too_old", limit=PROOF_WINDOW_S)
    if made_at > now + PROOF_WINDOW_S:
        raise InvalidProofError("proof_too_early")
    return made_at


def _check_request(claims: JsonObject, method: str, url: str) -> None:
    if claims.get("htm") != method:
        raise InvalidProofError("wrong_proof_method")
    address = claims.get("htu")
    proved = normal_url(address) if isinstance(address, str) else None
    if proved is None or proved != normal_url(url):
        raise InvalidProofError("wrong_proof_url")


def _check_token(claims: JsonObject, access_token: bytes) -> None:
    if claims.get("ath") != encode_base64url(hashlib.sha256(access_token).digest()):
        raise InvalidProofError("wrong_proof_token")


def _json_segment(segment: bytes, name: str) -> JsonObject:
    try:
        return parse_json_object(_octets(segment, name), max_depth=_MAX_DEPTH)
    except StrictJsonError as error:
        raise InvalidProofError("malformed_proof", reason=f"in its {name}, {error}") from None


def _octets(segment: bytes, name: str) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError:
        raise InvalidProofError("malformed_proof", reason=f"its {name} is not canonical base64url") from None


def _integer(value: int, length: int | None = None) -> str:
    return encode_base64url(value.to_bytes(length or (value.bit_length() + 7) // 8))
