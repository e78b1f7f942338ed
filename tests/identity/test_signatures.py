"""Signatures and published keys: the vectors of the RFCs, and every key that must not verify anything."""

import ast
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from identity.base64url import decode_base64url
from identity.key_set import MAX_KEYS, KeySetError, parse_key_set
from identity.signatures import UnusableKeyError, public_key_from_jwk, verification_key
from tests.identity.issuer import b64, jwk, private_key, sign

ROOT = Path(__file__).parents[2]
EVERY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")

# RFC 7515, appendices A.2 and A.3; RFC 8037, appendix A.4.
RFC_VECTORS = {
    "RS256": (
        {
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT"
            "-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
            "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD"
            "TW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
        "lfQ",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1"
        "dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jz"
        "DwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQG"
        "e77Rw",
    ),
    "ES256": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
        "lfQ",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    "EdDSA": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
}


@pytest.mark.parametrize("algorithm", RFC_VECTORS)
def test_the_vectors_of_the_rfcs_verify_and_one_flipped_bit_does_not(algorithm: str) -> None:
    document, signed, signature = RFC_VECTORS[algorithm]
    key = verification_key(algorithm, public_key_from_jwk(document))
    good = decode_base64url(signature.encode())
    assert key.verify(signed.encode(), good)
    assert not key.verify(signed.encode(), good[:-1] + bytes([good[-1] ^ 1]))
    assert not key.verify(signed.encode() + b"x", good)


@pytest.mark.parametrize("algorithm", EVERY)
def test_every_permitted_algorithm_verifies_its_own_signatures_only(algorithm: str) -> None:
    private = private_key(algorithm)
    key = verification_key(algorithm, public_key_from_jwk(jwk(private)))
    assert key.verify(b"signed", sign(algorithm, private, b"signed"))
    assert not key.verify(b"signed", sign(algorithm, private_key(algorithm, "another"), b"signed"))
    assert not key.verify(b"signed", b"")
    assert not key.verify(b"signed", b"\0" * len(sign(algorithm, private, b"signed")))


@pytest.mark.parametrize(
    ("algorithm", "made_for"),
    [
        ("RS256", "ES256"),
        ("ES256", "RS256"),
        ("ES256", "ES384"),
        ("ES512", "ES256"),
        ("EdDSA", "RS256"),
        ("HS256", "RS256"),
    ],
)
def test_an_algorithm_never_meets_a_key_of_another_type_or_curve(algorithm: str, made_for: str) -> None:
    with pytest.raises(UnusableKeyError):
        verification_key(algorithm, public_key_from_jwk(jwk(private_key(made_for))))


def test_hmac_and_none_are_not_known_to_the_fence() -> None:
    """SECURITY-CASES 16: an RSA public key is no HMAC secret."""
    for algorithm in ("HS256", "HS384", "HS512", "none", "None", "NONE", ""):
        with pytest.raises(UnusableKeyError):
            verification_key(algorithm, public_key_from_jwk(jwk(private_key("RS256"))))


def _small_rsa() -> dict[str, Any]:
    return jwk(rsa.generate_private_key(65537, 1024), kid="small")  # noqa: S505


UNUSABLE: dict[str, Any] = {
    "a private key": lambda: jwk(private_key("RS256"), d="AQAB"),
    "a symmetric key": lambda: {"kty": "oct", "k": "c2VjcmV0"},
    "a small RSA key": _small_rsa,
    "an unknown curve": lambda: jwk(private_key("ES256"), crv="secp256k1"),
    "a point off its curve": lambda: jwk(private_key("ES256"), x=b64(b"\1" * 32).decode()),
    "padded numbers": lambda: jwk(private_key("RS256"), e="AQAB=="),
    "no modulus": lambda: jwk(private_key("RS256"), n=None),
    "a number for a text": lambda: jwk(private_key("EdDSA"), x=7),
    "a list for a curve": lambda: jwk(private_key("ES256"), crv=["P-256"]),
    "an encryption key": lambda: jwk(private_key("RS256"), use="enc"),
    "another operation": lambda: jwk(private_key("RS256"), key_ops=["encrypt"]),
    "another algorithm": lambda: jwk(private_key("RS256"), alg="RS512"),
    "an algorithm that is not configured": lambda: jwk(private_key("ES384")),
    "a key id that is no text": lambda: jwk(private_key("RS256"), kid=7),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_key_that_is_not_a_fitting_public_signing_key_is_ignored_and_named(case: str) -> None:
    good = jwk(private_key("RS256", "good"), kid="good", alg="RS256")
    keys = parse_key_set({"keys": [UNUSABLE[case](), good]}, ("RS256", "ES256", "EdDSA"))
    assert set(keys.by_id) == {("good", "RS256")}
    assert len(keys.ignored) == 1
    assert keys.ignored[0].startswith("key 1 ")


def test_two_keys_with_one_id_and_algorithm_vouch_for_nothing() -> None:
    keys = [jwk(private_key("RS256", name), kid="k1") for name in ("a", "b")]
    key_set = parse_key_set({"keys": keys}, ("RS256",))
    assert key_set.find("k1", "RS256") is None
    assert key_set.ignored


def test_the_same_key_published_twice_is_one_key() -> None:
    key_set = parse_key_set({"keys": [jwk(private_key("RS256"), kid="k1")] * 2}, ("RS256",))
    assert key_set.find("k1", "RS256") is not None
    assert not key_set.ignored


def test_one_id_can_name_a_key_of_each_type() -> None:
    keys = [jwk(private_key(algorithm), kid="k1") for algorithm in ("RS256", "ES256")]
    key_set = parse_key_set({"keys": keys}, ("RS256", "ES256"))
    rsa_key, ec_key = key_set.find("k1", "RS256"), key_set.find("k1", "ES256")
    assert rsa_key is not None
    assert ec_key is not None
    assert rsa_key.algorithm == "RS256"
    assert ec_key.algorithm == "ES256"


def test_a_token_without_a_key_id_is_matched_only_where_one_key_fits() -> None:
    one = parse_key_set({"keys": [jwk(private_key("RS256"), kid="k1"), jwk(private_key("ES256"))]}, ("RS256", "ES256"))
    two = parse_key_set({"keys": [jwk(private_key("RS256", name), kid=name) for name in ("a", "b")]}, ("RS256",))
    assert one.find(None, "RS256") is one.find("k1", "RS256") is not None
    assert one.find("", "RS256") is None
    assert two.find(None, "RS256") is None


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": [1]}, {"keys": [{}] * (MAX_KEYS + 1)}])
def test_a_document_that_is_no_key_set_is_refused_as_a_whole(document: dict[str, Any]) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(document, ("RS256",))


def test_python_jose_is_imported_in_one_file_only_and_on_its_cryptography_backend() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for package in ("gateway", "identity", "audit", "adapters")
        for path in (ROOT / package).rglob("*.py")
        if any(name.partition(".")[0] == "jose" for name in _imports(path))
    }
    assert importers == {"identity/signatures.py"}
    from jose.backends import ECKey, RSAKey

    assert {RSAKey.__module__, ECKey.__module__} == {"jose.backends.cryptography_backend"}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_a_p521_key_and_its_long_signature_fit() -> None:
    private = ec.generate_private_key(ec.SECP521R1())
    key = verification_key("ES512", public_key_from_jwk(jwk(private)))
    assert key.verify(b"x", sign("ES512", private, b"x"))
