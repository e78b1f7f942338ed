"""Where a provider's metadata and keys come from, and what of them is believed."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.discovery import DiscoveryError, discover, oauth_url, openid_url
from identity.provider_client import provider_client
from identity.provider_keys import ProviderKeys
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from tests.identity.issuer import Clock, Issuer, jwk, private_key

INTROSPECTION = {"client_id": "ci", "client_secret_env": "SECRET"}


def _settings(**changes: Any) -> ProviderSettings:
    fields = {"name": "corp", "issuer": "https://corp.example.com/realms/dev", "audiences": ["portcullis"]}
    return ProviderSettings.model_validate(fields | changes)


def _discover(settings: ProviderSettings, answers: Mapping[str, tuple[int, object]]) -> ProviderMetadata:
    """Discover a provider that answers these URLs, and 404 for any other."""

    def answer(request: httpx.Request) -> httpx.Response:
        status, document = answers.get(str(request.url), (404, {}))
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(document).encode()))

    async def story() -> ProviderMetadata:
        async with provider_client(settings, httpx.MockTransport(answer)) as client:
            return await discover(client, settings)

    return asyncio.run(story())


def _document(settings: ProviderSettings, **members: object) -> dict[str, object]:
    return {"issuer": settings.issuer, "jwks_uri": "https://keys.example.com/jwks", **members}


def test_oauth_metadata_are_before_the_path_and_openid_metadata_after_it() -> None:
    """RFC 8414, section 3.1, has both examples."""
    assert openid_url("https://example.com/issuer1") == "https://example.com/issuer1/.well-known/openid-configuration"
    assert (
        oauth_url("https://example.com/issuer1") == "https://example.com/.well-known/oauth-authorization-server/issuer1"
    )
    assert oauth_url("https://example.com:8443/") == "https://example.com:8443/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410])
def test_where_there_is_no_openid_document_the_oauth_metadata_are_read(status: int) -> None:
    settings = _settings()
    metadata = _discover(
        settings,
        {
            openid_url(settings.issuer): (status, {}),
            oauth_url(settings.issuer): (200, _document(settings, token_endpoint="https://corp.example.com/t")),
        },
    )
    assert metadata.token_endpoint == "https://corp.example.com/t"


@pytest.mark.parametrize(
    ("openid", "oauth", "reason"),
    [
        ((500, {}), (200, {}), "openid-configuration: answered 500"),
        ((429, {}), (200, {}), "openid-configuration: answered 429"),
        ((200, {"issuer": "https://evil.example.com"}), (200, {}), "but 'https://evil.example.com'"),
        ((404, {}), (404, {}), "answered 404, and https://corp.example.com/.well-known/oauth-authorization-server/re"),
        ((404, {}), (200, {"issuer": "https://corp.example.com"}), "oauth-authorization-server/realms/dev: its issuer"),
    ],
)
def test_a_document_that_is_there_and_can_not_be_believed_is_not_looked_for_elsewhere(
    openid: tuple[int, object], oauth: tuple[int, object], reason: str
) -> None:
    settings = _settings()
    if oauth == (200, {}):
        oauth = (200, _document(settings))
    with pytest.raises(DiscoveryError, match=re.escape(reason)):
        _discover(settings, {openid_url(settings.issuer): openid, oauth_url(settings.issuer): oauth})


@pytest.mark.parametrize(
    "endpoint",
    [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "introspection_endpoint",
    ],
)
@pytest.mark.parametrize(
    "url", ["http://corp.example.com/x", "http://127.0.0.1/x", "https://a:b@corp.example.com/x", "/x", "file:///x", 5]
)
def test_every_endpoint_that_is_used_is_held_to_the_same_rules_as_the_issuer(endpoint: str, url: object) -> None:
    settings = _settings()
    with pytest.raises(DiscoveryError, match=f"its {endpoint} "):
        _discover(settings, {openid_url(settings.issuer): (200, _document(settings, **{endpoint: url}))})


def test_what_a_provider_says_of_itself_is_known() -> None:
    settings = _settings()
    document = _document(
        settings,
        userinfo_endpoint="https://corp.example.com/userinfo",
        authorization_response_iss_parameter_supported=True,
        backchannel_logout_supported="yes",
        id_token_signing_alg_values_supported=["RS256", 5, "ES256"],
        claims_supported=["sub", "groups", "x" * 300],
        scopes_supported="openid",
    )
    metadata = _discover(settings, {openid_url(settings.issuer): (200, document)})
    assert metadata.userinfo_endpoint == "https://corp.example.com/userinfo"
    assert metadata.introspection_endpoint is None
    assert metadata.sends_issuer
    assert not metadata.backchannel_logout_supported, "only true is true"
    assert metadata.id_token_algorithms == ("RS256", "ES256")
    assert metadata.claims_supported == ("sub", "groups")
    assert metadata.scopes_supported is None


def test_configured_keys_are_all_that_is_asked_for(tmp_path: Path) -> None:
    settings = _settings(jwks_uri="https://keys.example.com/jwks")
    assert _discover(settings, {}) == ProviderMetadata(settings.issuer, jwks_uri="https://keys.example.com/jwks")
    assert _discover(_settings(jwks_file=tmp_path / "keys.json"), {}).jwks_uri is None


def test_only_a_provider_whose_tokens_are_introspected_may_have_no_keys() -> None:
    settings = _settings(introspection=INTROSPECTION)
    document = {"issuer": settings.issuer, "introspection_endpoint": "https://corp.example.com/i"}
    answers = {openid_url(settings.issuer): (200, document)}
    assert _discover(settings, answers).jwks_uri is None
    with pytest.raises(DiscoveryError, match="it has no jwks_uri"):
        _discover(_settings(), answers)


class Keys:
    """The running keys of a provider, on clocks to move."""

    def __init__(self, settings: ProviderSettings, answer: Callable[[httpx.Request], httpx.Response] | None) -> None:
        self.monotonic, self.clock = Clock(1000.0), Clock()
        self.client = provider_client(settings, httpx.MockTransport(answer or (lambda _: httpx.Response(404))))
        self.keys = ProviderKeys(
            settings, self.client, monotonic=self.monotonic, clock=self.clock, on_change=lambda _: None
        )

    async def close(self) -> None:
        await self.keys.close()
        await self.client.aclose()


def _write(path: Path, *keys: dict[str, Any]) -> None:
    path.write_text(json.dumps({"keys": list(keys), "spiffe_sequence": 1, "spiffe_refresh_hint": 300}))


def test_keys_in_a_file_are_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    """SECURITY-CASES 22: rotation works without a restart."""
    path = tmp_path / "keys.json"
    first, second = (jwk(private_key("ES256", name), kid=name) for name in ("one", "two"))
    _write(path, first)

    async def story() -> None:
        parts = Keys(_settings(jwks_file=path, jwks_min_interval_s=1), None)
        parts.keys.start()
        await parts.keys.first_attempt()
        assert parts.keys.status().detail == "ok"
        await parts.keys.find("one", "ES256")
        _write(path, second)
        async with asyncio.timeout(10):
            while True:
                try:
                    await parts.keys.find("two", "ES256")
                    break
                except InvalidCredentialError:
                    await asyncio.sleep(0.01)
        with pytest.raises(InvalidCredentialError, match="unknown_key"):
            await parts.keys.find("one", "ES256")
        path.write_text("{")
        await parts.keys.refresh()
        await parts.keys.find("two", "ES256")
        assert f"last known keys: {path}: it is not JSON" in parts.keys.status().detail
        parts.monotonic.now += 86_401
        path.unlink()
        await parts.keys.refresh()
        with pytest.raises(ProviderUnavailableError, match="No such file"):
            await parts.keys.find("two", "ES256")
        await parts.close()

    asyncio.run(story())


@pytest.mark.parametrize(("use", "is_good"), [("jwt-svid", True), (None, True), ("x509-svid", False), ("enc", False)])
def test_a_spiffe_bundle_vouches_with_its_jwt_keys_only(tmp_path: Path, use: str | None, is_good: bool) -> None:
    path = tmp_path / "bundle.json"
    _write(path, jwk(private_key("ES256"), kid="k", use=use))
    spiffe = {"issuer": "spiffe://example.org", "tokens": "workloads", "jwks_file": path}

    async def usable(settings: ProviderSettings) -> bool:
        parts = Keys(settings, None)
        await parts.keys.refresh()
        await parts.close()
        return parts.keys.status().ready

    assert asyncio.run(usable(_settings(**spiffe))) is is_good
    assert asyncio.run(usable(_settings(jwks_file=path))) is (use is None), "elsewhere `use` must be `sig`"


def test_metadata_are_there_once_discovered_and_stay_while_the_provider_is_away() -> None:
    corp = Issuer(metadata={})
    corp.metadata["token_endpoint"] = f"{corp.url}/token"
    away = False

    def answer(request: httpx.Request) -> httpx.Response:
        if away:
            raise httpx.ConnectError("connection refused", request=request)
        document = corp.metadata if request.url.path.startswith("/.well-known") else {"keys": corp.published}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(document).encode()))

    async def story() -> None:
        nonlocal away
        parts = Keys(corp.settings(), answer)
        with pytest.raises(ProviderUnavailableError):
            _ = parts.keys.metadata
        await parts.keys.refresh()
        away = True
        parts.monotonic.now += 7200
        await parts.keys.refresh()
        assert parts.keys.metadata.token_endpoint == f"{corp.url}/token"
        await parts.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("dated", "told"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 08:00:59 GMT", None),
        ("Fri, 15 Jan 2027 08:02:00 GMT", "its clock is 120 s ahead of this machine's, more than leeway_s"),
        ("Fri, 15 Jan 2027 07:00:00 GMT", "its clock is 3599 s behind this machine's, more than leeway_s"),
    ],
)
def test_a_clock_that_is_off_by_more_than_the_leeway_shows_in_the_status(dated: str, told: str | None) -> None:
    corp = Issuer()

    def answer(request: httpx.Request) -> httpx.Response:
        document = corp.metadata if request.url.path.startswith("/.well-known") else {"keys": corp.published}
        body = httpx.ByteStream(json.dumps(document).encode())
        return httpx.Response(200, headers={"date": dated}, stream=body)

    async def story() -> None:
        parts = Keys(corp.settings(), answer)
        await parts.keys.refresh()
        status = parts.keys.status()
        assert status.ready
        assert (told in status.detail) if told else status.detail == "ok"
        await parts.close()

    asyncio.run(story())
