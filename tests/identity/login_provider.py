"""A provider's token endpoint at the edge of the HTTP client, and a federation that believes one ID token."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import httpx

from identity.authenticator import InvalidCredentialError
from identity.login import RelyingParty
from identity.principal import Principal
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.sealing import Sealer

NOW = 1_800_000_000
SEALER = Sealer(bytes(32))
PUBLIC_URL = "https://gateway.example.com"


def provider_settings(name: str = "corp", **changes: Any) -> ProviderSettings:
    """Return the settings of a provider that people log in at."""
    issuer = f"https://{name}.example.com"
    fields = {"name": name, "issuer": issuer, "audiences": ["portcullis"], "client_id": "gate way:1"}
    return ProviderSettings.model_validate(fields | changes)


def principal(**changes: Any) -> Principal:
    """Return whom the ID token of these tests stands for."""
    fields: dict[str, Any] = {
        "subject": "user:alice",
        "provider": "corp",
        "issuer": "https://corp.example.com",
        "token_subject": "a-1",
        "username": "alice",
        "groups": ("group:corp:dev",),
        "expires_at": NOW + 300,
        "issued_at": NOW,
        "authenticated_at": NOW,
        "acr": None,
        "amr": (),
        "token_sha256": "0" * 64,
    }
    return Principal(**(fields | changes))


@dataclass
class FakeFederation:
    """Believes the ID token `good` where its nonce is right, and publishes endpoints for every provider."""

    principal: Principal = field(default_factory=principal)
    sends_issuer: bool = True
    authorization_endpoint: str | None = "https://{}.example.com/authorize?tenant=1"
    asked: list[tuple[str, str | None, bytes | None]] = field(default_factory=list)

    async def login(
        self, provider: str, id_token: bytes, *, nonce: str | None, access_token: bytes | None
    ) -> Principal:
        self.asked.append((provider, nonce, access_token))
        if id_token != b"good":
            raise InvalidCredentialError("bad_signature", "the signature does not fit")
        return self.principal

    def metadata(self, provider: str) -> ProviderMetadata:
        endpoint = self.authorization_endpoint
        return ProviderMetadata(
            issuer=f"https://{provider}.example.com",
            authorization_endpoint=endpoint.format(provider) if endpoint is not None else None,
            token_endpoint=f"https://{provider}.example.com/token",
            sends_issuer=self.sends_issuer,
        )


@dataclass
class TokenEndpoint:
    """Answers token requests as `answer` says, and keeps what was asked."""

    answer: Callable[[httpx.Request], httpx.Response] = lambda _: tokens()
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answer(request)
        # As from a network: not read yet.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    @property
    def form(self) -> dict[str, str]:
        """The last request's form, each field once."""
        fields = parse_qs(self.requests[-1].content.decode(), strict_parsing=True)
        assert all(len(values) == 1 for values in fields.values())
        return {name: values[0] for name, values in fields.items()}

    @property
    def basic(self) -> tuple[str, str] | None:
        """The client that the last request signed in as, read as RFC 6749 section 2.3.1 says."""
        header = self.requests[-1].headers.get("authorization")
        if header is None:
            return None
        name, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        return unquote_plus(name), unquote_plus(secret)


def tokens(status: int = 200, **members: object) -> httpx.Response:
    """Return a token response with an ID token that is believed; a member given as None is left out."""
    document = {"access_token": "opaque", "token_type": "Bearer", "id_token": "good", "refresh_token": "again"}
    return httpx.Response(status, json={k: v for k, v in (document | members).items() if v is not None})


def refused(error: object, status: int = 400) -> httpx.Response:
    """Return an error response of a token endpoint."""
    return httpx.Response(status, json={"error": error, "error_description": "<script>"})


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def relying_party(
    *providers: ProviderSettings,
    federation: FakeFederation | None = None,
    endpoint: TokenEndpoint | None = None,
    sealer: Sealer = SEALER,
    clock: Clock | None = None,
    monotonic: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> RelyingParty:
    """Return a gateway's relying party in front of fake providers, at `transport` instead of `endpoint` if given."""
    return RelyingParty(
        providers or (provider_settings(),),
        federation or FakeFederation(),
        sealer,
        public_url=PUBLIC_URL,
        clock=clock or Clock(),
        monotonic=monotonic or Clock(),
        transport=transport or httpx.MockTransport(endpoint or TokenEndpoint()),
    )
