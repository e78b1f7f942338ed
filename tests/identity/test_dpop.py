"""DPoP proofs (RFC 9449): the published ones, each algorithm, and everything a proof can be wrong in."""

import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from identity.dpop import MAX_PROOF_BYTES, PROOF_WINDOW_S, InvalidProofError, ProofVerifier, jwk_thumbprint
from identity.principal import Confirmation
from identity.proof_memory import ProofMemory
from identity.proof_nonces import NONCE_S, ProofNonces
from identity.sealing import Sealer
from identity.signatures import public_key_from_jwk
from tests.identity.issuer import forge, jwk
from tests.parts.proof_key import ProofKey

URL = "https://gateway.example.com/logs/payments"
TOKEN = "token"

# RFC 9449, sections 4.1 and 7.1: two proofs by one key, whose thumbprint stands in section 6.1.
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
PUBLISHED_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
FOR_A_TOKEN = (
    f"{PUBLISHED_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY2"
    "9tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV3"
    "7xRZT3Lg"
)
WITH_A_TOKEN = (
    f"{PUBLISHED_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9"
    "yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbV"
    "FFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)


def verifier(**options: Any) -> ProofVerifier:
    return ProofVerifier(ProofNonces(Sealer(bytes(32))), **options)


def verify(proof: str | bytes, verifying: ProofVerifier | None = None, **changes: Any) -> Confirmation:
    expected: dict[str, Any] = {"method": "GET", "url": URL, "access_token": TOKEN.encode(), "now": time.time()}
    data = proof.encode() if isinstance(proof, str) else proof
    return (verifying or verifier()).verify(data, **expected | changes)


def code(proof: str | bytes, verifying: ProofVerifier | None = None, **changes: Any) -> str | None:
    try:
        verify(proof, verifying, **changes)
    except InvalidProofError as error:
        assert error.oauth_error == ("use_dpop_nonce" if error.nonce else "invalid_dpop_proof")
        return error.code
    return None


@pytest.fixture(scope="module")
def key() -> ProofKey:
    return ProofKey()


def test_the_published_proofs_prove_the_published_key() -> None:
    server, resource = "https://server.example.com/token", "https://resource.example.org/protectedresource"
    asked = verify(FOR_A_TOKEN, method="POST", url=server, access_token=None, now=1562262616)
    token = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    used = verify(WITH_A_TOKEN, url=resource, access_token=token, now=1562262618)
    assert asked == used == Confirmation("jkt", JKT)


@pytest.mark.parametrize(
    ("document", "thumbprint"),
    [
        (  # RFC 7638, section 3.1
            {
                "kty": "RSA",
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
                "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
                "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
                "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
                "e": "AQAB",
            },
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (  # RFC 8037, appendix A.3
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ],
)
def test_thumbprints_are_the_published_ones(document: dict[str, str], thumbprint: str) -> None:
    assert jwk_thumbprint(public_key_from_jwk(document)) == thumbprint


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519"])
def test_a_proof_of_each_algorithm_proves_its_key(algorithm: str) -> None:
    key = ProofKey(algorithm)
    assert verify(key.proof("GET", URL, TOKEN)) == Confirmation("jkt", key.thumbprint)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, None),
        ({"htu": "HTTPS://Gateway.Example.com:443/logs/p%61yments?x=1"}, None),
        ({"htm": "POST"}, "wrong_proof_method"),
        ({"htm": "get"}, "wrong_proof_method"),
        ({"htm": ["GET"]}, "wrong_proof_method"),
        ({"htm": None}, "wrong_proof_method"),
        ({"htu": None}, "wrong_proof_url"),
        ({"htu": [URL]}, "wrong_proof_url"),
        ({"htu": "/logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/logs"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/logs/payments/"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/logs%2Fpayments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/logs/%2570ayments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/x/../logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com//logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com/logs/Payments"}, "wrong_proof_url"),
        ({"htu": "http://gateway.example.com/logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://gateway.example.com.evil.example/logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://evil.example/https://gateway.example.com/logs/payments"}, "wrong_proof_url"),
        ({"htu": "https://evil.example@gateway.example.com/logs/payments"}, "wrong_proof_url"),
        ({"ath": None}, "wrong_proof_token"),
        ({"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}, "wrong_proof_token"),
        ({"ath": TOKEN}, "wrong_proof_token"),
        ({"jti": None}, "malformed_proof"),
        ({"jti": ""}, "malformed_proof"),
        ({"jti": 7}, "malformed_proof"),
        ({"jti": "x" * 257}, "malformed_proof"),
        ({"iat": None}, "malformed_proof"),
        ({"iat": True}, "malformed_proof"),
        ({"iat": 1.5}, "malformed_proof"),
        ({"iat": -1}, "malformed_proof"),
        ({"iat": 10**400}, "malformed_proof"),
        ({"deep": [[[[]]]]}, "malformed_proof"),
    ],
)
def test_a_proof_is_for_one_request_and_one_token(
    key: ProofKey, claims: dict[str, object], expected: str | None
) -> None:
    """SECURITY-CASES 15 and 18: a proof for another address, method or token counts for nothing."""
    assert code(key.proof("GET", URL, TOKEN, **claims)) == expected


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [(-61, "proof_too_early"), (-59, None), (0, None), (59, None), (61, "proof_too_old")],
)
def test_a_proof_is_for_now(key: ProofKey, late_s: int, expected: str | None) -> None:
    now = 1_800_000_000
    assert code(key.proof("GET", URL, TOKEN, iat=now), now=now + late_s) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"typ": "application/DPoP+JWT"}, None),
        ({"kid": "ignored"}, None),
        ({"typ": None}, "malformed_proof"),
        ({"typ": "JWT"}, "malformed_proof"),
        ({"typ": "at+jwt"}, "malformed_proof"),
        ({"typ": ["dpop+jwt"]}, "malformed_proof"),
        ({"jwk": None}, "malformed_proof"),
        ({"jwk": "key"}, "malformed_proof"),
        ({"jku": "https://evil.example/keys"}, "malformed_proof"),
        ({"x5u": "https://evil.example/chain"}, "malformed_proof"),
        ({"x5c": ["AA"]}, "malformed_proof"),
        ({"crit": ["exp"], "exp": 1}, "malformed_proof"),
        ({"zip": "DEF"}, "malformed_proof"),
    ],
)
def test_a_proofs_header_says_what_it_is_and_holds_its_key(
    key: ProofKey, header: dict[str, object], expected: str | None
) -> None:
    """SECURITY-CASES 17: `jku`, `x5u`, `x5c` are never used, an unknown `crit` fails."""
    assert code(forged(key, header)) == expected


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS256", "ES256K", "", 7, ["ES256"], None])
def test_a_proof_is_signed_with_a_private_key(key: ProofKey, algorithm: object) -> None:
    """SECURITY-CASES 16: `alg: none`, any case, and HMAC with the public key in the header."""
    assert code(forged(key, {"alg": algorithm})) == "proof_algorithm_not_allowed"
    unsigned = forged(key, {"alg": algorithm}).rpartition(b".")[0] + b"."
    assert code(unsigned) == "proof_algorithm_not_allowed"
    public = json.dumps(key.public).encode()
    assert code(forge(*parts(key, {"alg": algorithm}), "HS256", public)) == "proof_algorithm_not_allowed"


@pytest.mark.parametrize(
    "changes",
    [
        {"d": "AA"},
        {"k": "AA"},
        {"kty": "oct", "k": "AA"},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"kty": None},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": ["P-256"]},
        {"x": "AA"},
        {"x": 7},
        {"y": None},
        {"p": "AA"},
        {"qi": "AA"},
    ],
)
def test_a_proofs_key_is_a_public_one_that_fits(key: ProofKey, changes: dict[str, object]) -> None:
    """SECURITY-CASES 17: an embedded key is only ever the one to compare; a private or symmetric one is refused."""
    assert code(forged(key, {"jwk": key.public | changes})) == "proof_key_not_allowed"


def test_a_private_key_in_a_proof_is_refused(key: ProofKey) -> None:
    assert code(forged(key, {"jwk": key.key.as_dict(private=True)})) == "proof_key_not_allowed"


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (4608, 65537)])
def test_an_rsa_key_is_neither_weak_nor_costly(bits: int, exponent: int) -> None:
    weak = rsa.generate_private_key(exponent, bits)
    header, claims = parts(ProofKey("RS256"), {"jwk": jwk(weak)})
    assert code(forge(header, claims, "RS256", weak)) == "proof_key_not_allowed"


def test_an_rsa_key_with_a_huge_exponent_is_refused() -> None:
    key = ProofKey("RS256")
    exponent = base64.urlsafe_b64encode(b"\x01" + bytes(200) + b"\x01").rstrip(b"=").decode()
    assert code(forged(key, {"jwk": key.public | {"e": exponent}})) == "proof_key_not_allowed"


def test_another_keys_signature_is_refused(key: ProofKey) -> None:
    other = ProofKey()
    assert code(forged(other, {"jwk": key.public})) == "bad_proof_signature"
    header, payload, signature = key.proof("GET", URL, TOKEN).split(".")
    assert code(f"{header}.{payload}.{'A' * len(signature)}") == "bad_proof_signature"
    changed = base64.urlsafe_b64encode(json.dumps(parts(key, {})[1] | {"x": 1}).encode()).rstrip(b"=").decode()
    assert code(f"{header}.{changed}.{signature}") == "bad_proof_signature"


@pytest.mark.parametrize(
    "proof",
    [b"", b"a", b"..", b"a.b", b"a.b.c", b"a.b.c.d", b"a.b.c.d.e", b"e30.e30.e30", b"\xff.\xff.\xff", b"bnVsbA.e30.AA"],
)
def test_what_is_no_proof_is_refused(proof: bytes) -> None:
    """SECURITY-CASES 15: a malformed credential is refused, never ignored."""
    assert code(proof) == "malformed_proof"


def test_two_proofs_in_one_header_are_none(key: ProofKey) -> None:
    """SECURITY-CASES 12: comma-joined proofs are refused."""
    proof = key.proof("GET", URL, TOKEN)
    assert code(f"{proof}, {proof}") == code(f"{proof},{proof}") == "malformed_proof"


def test_a_huge_proof_is_refused_before_it_is_read() -> None:
    """SECURITY-CASES 23"""
    assert code(b"A" * (MAX_PROOF_BYTES + 1)) == "malformed_proof"
    assert code(b"A" * 1_000_000) == "malformed_proof"


def test_a_proof_counts_once(key: ProofKey) -> None:
    verifying = verifier()
    proof = key.proof("GET", URL, TOKEN)
    assert code(proof, verifying) is None
    assert code(proof, verifying) == "proof_replayed"
    same_id = key.proof("GET", URL, TOKEN, jti="same"), key.proof("GET", URL + "2", TOKEN, jti="same")
    assert code(same_id[0], verifying) is None
    assert code(same_id[1], verifying, url=URL + "2") == "proof_replayed"


def test_a_refused_proof_uses_nothing_up(key: ProofKey) -> None:
    """Who sees a `jti` can't use it up with a proof that is not good."""
    verifying = verifier()
    assert code(forged(ProofKey(), {"jwk": key.public}, jti="same"), verifying) == "bad_proof_signature"
    assert code(key.proof("GET", URL, TOKEN, jti="same"), verifying) is None


def test_at_the_bound_proofs_are_refused_until_there_is_room(key: ProofKey) -> None:
    verifying = verifier(memory=ProofMemory(PROOF_WINDOW_S, max_remembered=2))
    now = 1_800_000_000
    codes = [code(key.proof("GET", URL, TOKEN, iat=now), verifying, now=now) for _ in range(3)]
    assert codes == [None, None, "too_many_proofs"]
    later = now + 2 * PROOF_WINDOW_S
    assert code(key.proof("GET", URL, TOKEN, iat=later), verifying, now=later) is None


def test_where_a_nonce_is_demanded_the_refusal_gives_it(key: ProofKey) -> None:
    verifying = verifier(nonce_required=True)
    now = 1_800_000_000
    with pytest.raises(InvalidProofError) as caught:
        verify(key.proof("GET", URL, TOKEN, iat=now), verifying, now=now)
    error = caught.value
    assert (error.code, error.oauth_error) == ("proof_nonce_required", "use_dpop_nonce")
    assert code(key.proof("GET", URL, TOKEN, iat=now, nonce=error.nonce), verifying, now=now) is None
    later = now + 2 * NONCE_S
    old = key.proof("GET", URL, TOKEN, iat=later, nonce=error.nonce)
    assert code(old, verifying, now=later) == "proof_nonce_required"
    for wrong in ("", "guess", 7, [error.nonce]):
        proof = key.proof("GET", URL, TOKEN, iat=now, nonce=wrong)
        assert code(proof, verifying, now=now) == "proof_nonce_required"


def test_many_clients_leave_a_bounded_number_of_keys(key: ProofKey) -> None:
    verifying = verifier()
    for number in range(1_100):
        code(forged(key, {"kid": str(number)}, htm="POST"), verifying)
    assert len(verifying._keys) <= 1_024


def parts(key: ProofKey, header: dict[str, object], **claims: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and claims of a good proof with changes; a member changed to None is left out."""
    head = {"typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.public} | header
    _, payload, _ = key.proof("GET", URL, TOKEN, **claims).split(".")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return {name: value for name, value in head.items() if value is not None}, decoded


def forged(key: ProofKey, header: dict[str, object], **claims: object) -> bytes:
    """Return a proof with any header, signed with the key."""
    return forge(*parts(key, header, **claims), key.algorithm, key.key.private_key)
