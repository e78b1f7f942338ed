"""What remembering 100,000 good tokens costs, and that as many bad ones cost nothing."""

import asyncio
import contextlib
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwk, jwt

from identity.authenticator import InvalidCredentialError
from identity.federation import Federation
from identity.provider_settings import ProviderSettings
from tests.bench.credentials import AUDIENCE, GROUPS
from tests.bench.rules import PROVIDER
from tests.bench.setting import Findings

TOKENS = 100_000
_ISSUER = "https://sso.example.com"
_LIFETIME_S = 3600


def token_memory() -> Findings:
    """Verify TOKENS bad tokens, then as many good ones of as many people; the figures are MB (10^6 bytes) grown by."""
    return asyncio.run(_measure())


async def _measure() -> Findings:
    # Ed25519, since signing as many with RSA would take minutes; what is remembered is the same.
    key = jwk.OKPKey.import_key(Ed25519PrivateKey.generate(), {"kid": "bench", "use": "sig", "alg": "Ed25519"})
    settings = ProviderSettings(
        name=PROVIDER,
        issuer=_ISSUER,
        audiences=(AUDIENCE,),
        algorithms=("Ed25519",),
        username_claim="email",
        groups_claim="groups",
    )
    federation = Federation((settings,), transport=httpx.MockTransport(_provider(key)))
    await federation.start()
    try:
        await federation.first_attempts()
        # What is made once, by whichever token comes first, is no cost of remembering.
        await _verify_all(federation, _tokens(key, "first", 1000))
        bad_mb = await _grown_mb(federation, _damaged(_tokens(key, "bad", TOKENS)))
        good_mb = await _grown_mb(federation, _tokens(key, "good", TOKENS))
    finally:
        await federation.close()
    return Findings({"token_bad_100k_mb": bad_mb, "token_cache_100k_mb": good_mb})


def _provider(key: jwk.OKPKey) -> Callable[[httpx.Request], httpx.Response]:
    documents = {
        "/.well-known/openid-configuration": {"issuer": _ISSUER, "jwks_uri": f"{_ISSUER}/jwks"},
        "/jwks": {"keys": [key.as_dict(private=False)]},
    }
    # A stream that has not been read yet, as from a network.
    return lambda request: httpx.Response(
        200, stream=httpx.ByteStream(json.dumps(documents[request.url.path]).encode())
    )


def _tokens(key: jwk.OKPKey, kind: str, count: int) -> Iterator[bytes]:
    now = int(time.time())
    header = {"alg": "Ed25519", "typ": "at+jwt", "kid": "bench"}
    for number in range(count):
        claims = {
            "iss": _ISSUER,
            "aud": AUDIENCE,
            "sub": f"00u{kind}{number:08d}",
            "client_id": "bench",
            "email": f"{kind}-{number}@example.com",
            "email_verified": True,
            "groups": list(GROUPS),
            "iat": now,
            "exp": now + _LIFETIME_S,
            "jti": f"{kind}-{number}",
        }
        yield jwt.encode(header, claims, key, algorithms=["Ed25519"]).encode()


def _damaged(tokens: Iterator[bytes]) -> Iterator[bytes]:
    for token in tokens:
        head, _, signature = token.rpartition(b".")
        yield head + b"." + signature[:10][::-1] + signature[10:]


async def _grown_mb(federation: Federation, tokens: Iterator[bytes]) -> float:
    before = _resident()
    await _verify_all(federation, tokens)
    return max(0.0, (_resident() - before) / 1e6)


async def _verify_all(federation: Federation, tokens: Iterator[bytes]) -> None:
    for token in tokens:
        with contextlib.suppress(InvalidCredentialError):
            await federation.authenticate(token)


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
