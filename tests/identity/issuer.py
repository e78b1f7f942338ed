"""An OpenID provider at the edge of the HTTP client, and a forge for every token it would never issue."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.directory import EMPTY_DIRECTORY, Directory
from identity.federation import Federation
from identity.provider_settings import ProviderSettings

NOW = 1_800_000_000
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@cache
def private_key(algorithm: str, name: str = "") -> PrivateKey:
    """Return the key of that name that fits an algorithm, the same one each time."""
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(65537, 2048)
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: PrivateKey, **members: object) -> dict[str, Any]:
    """Return the public JWK of a key; a member given as None is left out."""

    def integer(value: int, length: int | None = None) -> str:
        return b64(value.to_bytes(length or (value.bit_length() + 7) // 8)).decode()

    document: dict[str, Any]
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        document = {"kty": "RSA", "n": integer(numbers.n), "e": integer(numbers.e)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point, size = key.public_key().public_numbers(), (key.curve.key_size + 7) // 8
        crv = _CURVE_NAMES[key.curve.name]
        document = {"kty": "EC", "crv": crv, "x": integer(point.x, size), "y": integer(point.y, size)}
    else:
        document = {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw()).decode()}
    return {name: value for name, value in (document | {"use": "sig"} | members).items() if value is not None}


def sign(algorithm: str, key: PrivateKey | bytes, signed: bytes) -> bytes:
    """Return a JWS signature; a key of bytes makes an HMAC."""
    digest = _HASHES.get(algorithm[2:], hashes.SHA256)()
    if isinstance(key, bytes):
        return hmac.new(key, signed, hashlib.sha256).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm.startswith("PS"):
            return key.sign(signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return key.sign(signed, padding.PKCS1v15(), digest)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
        size = (key.curve.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)
    return key.sign(signed)


def forge(header: object, claims: object, algorithm: str, key: PrivateKey | bytes) -> bytes:
    """Return a compact JWS of any header and claims; bytes are taken as they are."""
    parts = [b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)]
    signed = b".".join(parts)
    return signed + b"." + b64(sign(algorithm, key, signed))


@dataclass
class Issuer:
    """One provider: what it publishes, how often it was asked, and whether it answers at all."""

    name: str = "corp"
    algorithm: str = "RS256"
    kid: str | None = "k1"
    published: list[dict[str, Any]] = field(default_factory=list)
    reachable: bool = True
    key_fetches: int = 0
    gate: asyncio.Event | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = f"https://{self.name}.example.com"
        self.key = private_key(self.algorithm, self.name)
        self.metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        if not self.published:
            self.published = [jwk(self.key, kid=self.kid)]

    def rotate(self, name: str, kid: str, *, keep_old: bool = False) -> None:
        self.key, self.kid = private_key(self.algorithm, name), kid
        self.published = [jwk(self.key, kid=kid), *(self.published if keep_old else [])]

    def settings(self, **changes: Any) -> ProviderSettings:
        return ProviderSettings.model_validate(
            {"name": self.name, "issuer": self.url, "audiences": ["portcullis"], "groups_claim": "groups"} | changes
        )

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good access token; a claim changed to None is left out."""
        claims: dict[str, object] = {
            "iss": self.url,
            "sub": "alice",
            "aud": "portcullis",
            "iat": NOW - 10,
            "exp": NOW + 600,
            "scope": "api",
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def header(self, **changes: object) -> dict[str, object]:
        header = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid} | changes
        return {name: value for name, value in header.items() if value is not None}

    def token(self, header: dict[str, object] | None = None, **changes: object) -> bytes:
        """Return a token signed with the provider's key: a good one but for the changes."""
        return forge(self.header(**(header or {})), self.claims(**changes), self.algorithm, self.key)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if not self.reachable:
            raise httpx.ConnectError("connection refused", request=request)
        if request.url.path == "/.well-known/openid-configuration":
            return json_response(self.metadata)
        self.key_fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        return json_response({"keys": self.published})


def json_response(document: object) -> httpx.Response:
    """Return a response whose body arrives in pieces, as from a network."""

    async def body() -> AsyncIterator[bytes]:
        data = json.dumps(document).encode()
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    return httpx.Response(200, content=body())


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def transport(*issuers: Issuer) -> httpx.MockTransport:
    """Return a network on which only these providers are."""
    by_host = {httpx.URL(issuer.url).host: issuer for issuer in issuers}

    async def answer(request: httpx.Request) -> httpx.Response:
        return await by_host[request.url.host].answer(request)

    return httpx.MockTransport(answer)


class World:
    """A started federation over providers, with clocks to move."""

    def __init__(
        self,
        *issuers: Issuer,
        settings: Sequence[ProviderSettings] | None = None,
        directory: Directory = EMPTY_DIRECTORY,
    ) -> None:
        self.clock, self.monotonic = Clock(), Clock(1000.0)
        self.federation = Federation(
            settings if settings is not None else [issuer.settings() for issuer in issuers],
            directory,
            clock=self.clock,
            monotonic=self.monotonic,
            transport=transport(*issuers),
        )

    async def __aenter__(self) -> "World":
        await self.federation.start()
        await self.federation.first_attempts()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.federation.close()


def in_world(story: Callable[[World], Awaitable[None]], *issuers: Issuer, **options: Any) -> None:
    """Let a story happen in a world of these providers."""

    async def run() -> None:
        async with World(*issuers, **options) as world:
            await story(world)

    asyncio.run(run())


async def code_of(world: World, token: bytes) -> str | None:
    """Return the code a token is refused with, `unavailable` where nobody can tell, None where it is accepted."""
    try:
        await world.federation.authenticate(token)
    except InvalidCredentialError as error:
        return error.code
    except ProviderUnavailableError:
        return "unavailable"
    return None


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait until a condition holds; fails where it never does."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the condition did not come about in time")
        await asyncio.sleep(0.005)
