"""Opaque tokens: which answers count, who is asked, and how often a flood makes the gateway ask."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.introspection import (
    MAX_UNKNOWN_PER_S,
    MAX_WAITING,
    REFUSED_FOR_S,
    STRANGERS_AT_ONCE,
    UNKNOWN_BURST,
    Introspector,
    introspecting_provider,
)
from identity.provider_client import provider_client
from identity.provider_keys import ProviderKeys
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from tests.identity.issuer import NOW, Clock, until
from tests.parts.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider

ISSUER = "https://corp.example.com"
ENDPOINT = f"{ISSUER}/introspect"
GOOD: dict[str, object] = {
    "active": True,
    "iss": ISSUER,
    "sub": "alice",
    "aud": "portcullis",
    "exp": NOW + 600,
    "token_type": "Bearer",
}


def _settings(secret: Path, **introspection: Any) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "name": "corp",
            "issuer": ISSUER,
            "audiences": ["portcullis"],
            "introspection": {"client_id": "gate:way", "client_secret_file": secret, **introspection},
        }
    )


class Provider:
    """An introspection endpoint: what it answers, and what it was asked."""

    def __init__(self, secret: Path, **introspection: Any) -> None:
        self.answers: dict[str, dict[str, object]] = {}
        self.status = 200
        self.body: bytes | None = None
        self.asked: list[str] = []
        self.requests: list[httpx.Request] = []
        self.gate: asyncio.Event | None = None
        self.clock, self.monotonic = Clock(), Clock(1000.0)
        settings = _settings(secret, **introspection)
        self.metadata = ProviderMetadata(ISSUER, introspection_endpoint=ENDPOINT)
        self.client = provider_client(settings, httpx.MockTransport(self._answer))
        self.introspector = Introspector(
            settings, self.client, lambda: self.metadata, clock=self.clock, monotonic=self.monotonic
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        token = parse_qs(request.content.decode())["token"][0]
        self.asked.append(token)
        if self.gate is not None:
            await self.gate.wait()
        body = self.body or json.dumps(self.answers.get(token, {"active": False})).encode()
        return httpx.Response(self.status, stream=httpx.ByteStream(body))

    async def verdict(self, token: str) -> str:
        """Return `good`, the code of the refusal, or `unavailable`."""
        try:
            await self.introspector.introspect(token.encode())
        except InvalidCredentialError as error:
            return error.code
        except ProviderUnavailableError:
            return "unavailable"
        return "good"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "introspection.secret"
    path.write_text("s3cret\n")
    return path


def _with(secret: Path, story: Callable[[Provider], Awaitable[None]], **introspection: Any) -> None:
    async def run() -> None:
        provider = Provider(secret, **introspection)
        try:
            await story(provider)
        finally:
            await provider.introspector.close()
            await provider.client.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "good"),
        ({"iss": None}, "good"),
        ({"token_type": None}, "good"),
        ({"token_type": "bearer"}, "good"),
        ({"token_type": "DPoP"}, "good"),
        ({"aud": ["other", "portcullis"]}, "good"),
        ({"active": False}, "token_inactive"),
        ({"active": None}, "unavailable"),
        ({"active": "true"}, "unavailable"),
        ({"active": 1}, "unavailable"),
        ({"iss": "https://evil.example.com"}, "unknown_issuer"),
        ({"iss": f"{ISSUER}/"}, "unknown_issuer"),
        ({"aud": None}, "missing_claim"),
        ({"aud": "portcullis-web"}, "wrong_audience"),
        ({"aud": {"portcullis": 1}}, "malformed_claim"),
        ({"exp": None}, "missing_claim"),
        ({"exp": str(NOW + 600)}, "malformed_claim"),
        ({"exp": True}, "malformed_claim"),
        ({"exp": NOW}, "token_expired"),
        ({"token_type": "refresh_token"}, "wrong_token_type"),
        ({"token_type": 5}, "wrong_token_type"),
        ({"typ": "Bearer"}, "good"),
        ({"typ": "Refresh"}, "wrong_token_type"),
        ({"typ": "ID"}, "id_token_not_accepted"),
        ({"token_use": "id"}, "id_token_not_accepted"),
        ({"nonce": "n"}, "id_token_not_accepted"),
        ({"events": {}}, "wrong_token_type"),
    ],
)
def test_an_answer_counts_only_if_it_says_all_that_it_must(
    secret: Path, changes: dict[str, object], verdict: str
) -> None:
    """SECURITY-CASES 18, 19: the issuer and the audience of an opaque token are checked as those of a JWT."""

    async def story(provider: Provider) -> None:
        provider.answers["token"] = {name: value for name, value in (GOOD | changes).items() if value is not None}
        assert await provider.verdict("token") == verdict

    _with(secret, story)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{"),
        (200, b'{"active":true,"active":false}'),
        (200, b'{"active":NaN}'),
        (200, b"[" * 100_000),
        (200, b'{"active":true,"x":"' + b"x" * 300_000 + b'"}'),
        (401, b'{"error":"invalid_client"}'),
        (403, b""),
        (429, b""),
        (500, b"{}"),
    ],
)
def test_what_is_no_answer_leaves_the_token_neither_good_nor_bad(secret: Path, status: int, body: bytes) -> None:
    """SECURITY-CASES 23: large and deeply nested answers are refused cheaply."""

    async def story(provider: Provider) -> None:
        provider.answers["token"] = GOOD
        provider.status, provider.body = status, body
        assert await provider.verdict("token") == "unavailable"
        provider.status, provider.body = 200, None
        assert await provider.verdict("token") == "good", "and it is asked about again at once"

    _with(secret, story)


@pytest.mark.parametrize(
    ("exp", "cache_s", "valid_for_s"), [(NOW + 600, 60, 60), (NOW + 30, 60, 30), (NOW + 600, 5, 5)]
)
def test_an_answer_counts_until_the_token_ends_or_the_configured_time(
    secret: Path, exp: int, cache_s: int, valid_for_s: int
) -> None:
    """SECURITY-CASES 20."""

    async def story(provider: Provider) -> None:
        provider.answers["token"] = GOOD | {"exp": exp}
        assert (await provider.introspector.introspect(b"token")).valid_until == NOW + valid_for_s

    _with(secret, story, cache_s=cache_s)


def test_the_token_goes_into_the_body_and_the_client_signs_in(secret: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SECURITY-CASES 24: neither token nor secret is in an address, a log or an error."""
    caplog.set_level(logging.DEBUG)
    token = "opaque-token-of-alice"

    async def story(provider: Provider) -> None:
        provider.answers[token] = GOOD
        assert await provider.verdict(token) == "good"
        (request,) = provider.requests
        assert (request.method, str(request.url)) == ("POST", ENDPOINT)
        # The colon of the client's id is encoded: RFC 6749, section 2.3.1.
        assert httpx.BasicAuth("gate%3Away", "s3cret")._auth_header == request.headers["authorization"]
        assert parse_qs(request.content.decode()) == {"token": [token], "token_type_hint": ["access_token"]}
        secret.write_text("renewed\n")
        await provider.verdict("another")
        assert httpx.BasicAuth("gate%3Away", "renewed")._auth_header == provider.requests[1].headers["authorization"]
        provider.status = 401
        with pytest.raises(ProviderUnavailableError, match="that its secret has not expired") as caught:
            await provider.introspector.introspect(b"third")
        assert "third" not in str(caught.value)
        secret.unlink()
        with pytest.raises(ProviderUnavailableError, match="cannot read"):
            await provider.introspector.introspect(b"fourth")
        provider.metadata = ProviderMetadata(ISSUER)
        with pytest.raises(ProviderUnavailableError, match="names no introspection_endpoint"):
            await provider.introspector.introspect(b"fifth")

    _with(secret, story)
    assert "check the client's id, that its secret has not expired" in caplog.text
    for hidden in (token, "s3cret", "renewed", hashlib.sha256(token.encode()).hexdigest()):
        assert hidden not in caplog.text


def test_a_flood_of_one_token_causes_one_call(secret: Path) -> None:
    async def story(provider: Provider) -> None:
        provider.gate = asyncio.Event()
        flood = [asyncio.create_task(provider.verdict("bad")) for _ in range(500)]
        await until(lambda: len(provider.asked) == 1)
        provider.gate.set()
        assert set(await asyncio.gather(*flood)) == {"token_inactive"}
        for _ in range(100):
            assert await provider.verdict("bad") == "token_inactive"
        assert provider.asked == ["bad"]
        provider.monotonic.now += REFUSED_FOR_S
        provider.answers["bad"] = GOOD
        assert await provider.verdict("bad") == "good", "what was bad is not bad for ever"

    _with(secret, story)


def test_a_flood_of_different_tokens_is_bounded_at_once_and_in_the_long_run(secret: Path) -> None:
    """What goes beyond is answered as if the provider could not be reached: 503, never 401."""

    async def story(provider: Provider) -> None:
        provider.gate = asyncio.Event()
        flood = [asyncio.create_task(provider.verdict(f"at-once-{number}")) for number in range(1000)]
        await until(lambda: len(provider.asked) == STRANGERS_AT_ONCE)
        provider.gate.set()
        verdicts = await asyncio.gather(*flood)
        assert len(provider.asked) == STRANGERS_AT_ONCE + MAX_WAITING == verdicts.count("token_inactive")
        assert verdicts.count("unavailable") == 1000 - len(provider.asked)

        provider.monotonic.now += 3600
        provider.asked.clear()
        for number in range(2000):
            provider.monotonic.now += 0.01
            await provider.verdict(f"one-by-one-{number}")
        assert len(provider.asked) <= UNKNOWN_BURST + 2000 * 0.01 * MAX_UNKNOWN_PER_S + 1

    _with(secret, story)


def test_a_flood_does_not_stop_who_was_good_before(secret: Path) -> None:
    async def story(provider: Provider) -> None:
        provider.answers["alice"] = GOOD
        assert await provider.verdict("alice") == "good"
        provider.gate = asyncio.Event()
        flood = [asyncio.create_task(provider.verdict(f"bad-{number}")) for number in range(1000)]
        await until(lambda: len(provider.asked) == 1 + STRANGERS_AT_ONCE)
        again = asyncio.create_task(provider.verdict("alice"))
        await until(lambda: provider.asked.count("alice") == 2)
        provider.gate.set()
        assert await again == "good"
        await asyncio.gather(*flood)

    _with(secret, story)


def test_honest_newcomers_are_not_counted(secret: Path) -> None:
    async def story(provider: Provider) -> None:
        for number in range(3 * UNKNOWN_BURST):
            provider.answers[f"new-{number}"] = GOOD
            assert await provider.verdict(f"new-{number}") == "good"

    _with(secret, story)


def test_who_gives_up_does_not_take_the_answer_from_the_others(secret: Path) -> None:
    async def story(provider: Provider) -> None:
        provider.answers["alice"] = GOOD
        provider.gate = asyncio.Event()
        first, second = (asyncio.create_task(provider.verdict("alice")) for _ in range(2))
        await until(lambda: bool(provider.asked))
        first.cancel()
        provider.gate.set()
        assert await second == "good"
        assert len(provider.asked) == 1

    _with(secret, story)


def _prefixed(name: str, token_prefix: str | None) -> ProviderSettings:
    introspection = {"client_id": "c", "client_secret_env": "S", "token_prefix": token_prefix}
    fields = {"name": name, "issuer": f"https://{name}.example.com", "audiences": ["portcullis"]}
    return ProviderSettings.model_validate(fields | {"introspection": introspection})


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (b"corp_abc", "corp"),
        (b"partner_abc", "partner"),
        (b"corp", None),
        (b"abc", None),
        (b"CORP_abc", None),
        (b"corp_a b", None),
        (b"corp_a\n", None),
        (b"", None),
    ],
)
def test_a_token_is_shown_to_the_one_provider_that_it_can_be_of(token: bytes, expected: str | None) -> None:
    """SECURITY-CASES 20: a provider that is shown another's token could use it."""
    plain = ProviderSettings(name="plain", issuer="https://plain.example.com", audiences=("portcullis",))
    found = introspecting_provider(token, [plain, _prefixed("corp", "corp_"), _prefixed("partner", "partner_")])
    assert (found.name if found else None) == expected


def test_a_jwt_is_never_shown_to_a_provider() -> None:
    only = [_prefixed("corp", None)]
    for jwt in (b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln", b"eyJh.eyJz.", b"eyJh.e.e.e.e"):
        assert introspecting_provider(jwt, only) is None
    for opaque in (b"ya29.a0Af_x.y", b"eyJ", b"2YotnFZFEjr1zCsicMWpAA"):
        assert introspecting_provider(opaque, only) is not None


def _itself(metadata: ProviderMetadata) -> ProviderMetadata:
    return metadata


def test_real_opaque_tokens_end_at_their_provider(tmp_path: Path) -> None:
    """Two certified providers with opaque tokens of their own."""
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)

    async def story(corp: OidcProvider, partner: OidcProvider) -> None:
        introspectors = {}
        for name, provider in (("corp", corp), ("partner", partner)):
            settings = ProviderSettings.model_validate(
                {
                    "name": name,
                    "issuer": provider.issuer,
                    "audiences": ["portcullis"],
                    "client_id": CLIENT_ID,
                    "client_secret_file": secret,
                    "introspection": {"token_prefix": f"{name}_"},
                }
            )
            client = provider_client(settings)
            keys = ProviderKeys(settings, client, monotonic=Clock(), on_change=lambda _: None)
            await keys.refresh()
            assert keys.status().ready
            metadata = keys.metadata
            introspectors[settings] = (Introspector(settings, client, partial(_itself, metadata)), client)

        async def verdict(token: str) -> str:
            settings = introspecting_provider(token.encode(), introspectors)
            if settings is None:
                return "of nobody"
            try:
                answer = await introspectors[settings][0].introspect(token.encode())
            except InvalidCredentialError as error:
                return error.code
            return f"{settings.name}:{answer.claims['sub']}:{','.join(answer.claims['groups'])}"

        tokens = corp.tokens("alice")
        assert tokens.access_token.startswith("corp_")
        assert await verdict(tokens.access_token) == "corp:alice:dev,on-call"
        assert await verdict(partner.tokens("bob").access_token) == "partner:bob:dev"
        assert await verdict(tokens.refresh_token) == "of nobody"
        assert await verdict(tokens.id_token) == "of nobody"
        assert await verdict("partner_" + tokens.access_token) == "token_inactive"
        corp.end_sessions("alice")
        assert await verdict(tokens.access_token) == "token_inactive"
        for introspector, client in introspectors.values():
            await introspector.close()
            await client.aclose()

    with (
        OidcProvider("ES256", opaque_tokens=True, token_prefix="corp_") as corp,
        OidcProvider("EdDSA", opaque_tokens=True, token_prefix="partner_") as partner,
    ):
        asyncio.run(story(corp, partner))
