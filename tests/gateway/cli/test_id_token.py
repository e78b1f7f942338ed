"""An ID token counts only if it is for this client, from this issuer, signed by its key, and in time."""

import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwk, jwt

from gateway.cli.id_token import checked_id_token
from gateway.cli.output import CommandError

ISSUER = "https://sso.example.com"
KEY = jwk.ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256", "use": "sig"})
OTHER = jwk.ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256", "use": "sig"})
SHARED = jwk.OctKey.import_key("a-secret-that-is-long-enough-for-hs256", {"kid": "k1"})
KEYS: dict[str, Any] = {"keys": [KEY.as_dict(private=False)]}


def token(key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "aud": "cli", "exp": now + 300, "iat": now, "nonce": "n"} | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": "k1"}, present, key, algorithms=[algorithm])


def check(text: str, keys: dict[str, Any] = KEYS, algorithms: tuple[str, ...] = ("ES256",)) -> Any:
    return checked_id_token(
        text, keys=keys, algorithms=list(algorithms), issuer=ISSUER, client_id="cli", nonce="n", access_token=None
    )


def test_a_good_token_gives_its_claims() -> None:
    assert check(token())["sub"] == "alice"
    assert check(token(aud=["cli", "portcullis"], azp="cli"))["sub"] == "alice"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": None},
        {"aud": ["cli", "another"]},
        {"aud": ["cli", "another"], "azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"nonce": "another"},
        {"nonce": None},
        {"at_hash": 7},
    ],
)
def test_a_token_with_a_wrong_or_missing_claim_is_refused(changes: dict[str, Any]) -> None:
    """SECURITY-CASES 18, 19."""
    if changes == {"at_hash": 7}:
        with pytest.raises(CommandError):
            checked_id_token(
                token(at_hash="AAAA"),
                keys=KEYS,
                algorithms=["ES256"],
                issuer=ISSUER,
                client_id="cli",
                nonce="n",
                access_token="another-access-token",
            )
        return
    with pytest.raises(CommandError, match="is not good"):
        check(token(**changes))


def test_a_signature_by_another_key_or_algorithm_is_refused() -> None:
    """SECURITY-CASES 16: no `none`, and no HMAC even where the provider claims to use it."""
    with pytest.raises(CommandError, match="is not good"):
        check(token(OTHER))
    shared = {"keys": [SHARED.as_dict(private=True)]}
    for announced in (("HS256", "ES256"), ("HS256",), ()):
        with pytest.raises(CommandError, match="is not good"):
            check(token(SHARED, "HS256"), shared, announced)
    _, payload, _ = token().split(".")
    header = urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    unsigned = f"{header}.{payload}."
    for announced in (("none", "ES256"), ("none",)):
        with pytest.raises(CommandError, match="is not good"):
            check(unsigned, algorithms=announced)


@pytest.mark.parametrize("keys", [{}, {"keys": 1}, {"keys": [{}]}, {"keys": []}])
def test_a_key_set_that_can_not_be_read_is_no_traceback(keys: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="is not good"):
        check(token(), keys)


@pytest.mark.parametrize("text", ["", "a.b.c", "..", "é", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"])
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is not good"):
        check(text)
