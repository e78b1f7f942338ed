"""`config check --online`, against certified providers too: what does not fit is told at its line, with the remedy."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import text

from adapters.state.database import StateDatabase, create_state
from gateway.app import ADAPTERS, open_identity_state
from gateway.config_doubts import LevelledFinding
from gateway.config_online import check_online, check_state
from gateway.settings import load_settings
from tests.parts.certificates import LOOPBACK, Authority
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.gateway import Site, make_site
from tests.parts.oidc_provider import CLIENT_SECRET, OidcProvider
from tests.parts.postgres import Postgres

REDIRECT_URI = "https://gateway.example.com/-/login/callback/corp"
PROVIDER = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"]}
BACKEND = {
    "name": "docs",
    "adapter": "http",
    "url": "http://127.0.0.1:1",
    "environment": "prod",
    "routes": [{"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "read"}],
}


@pytest.fixture(scope="module")
def corp() -> Iterator[OidcProvider]:
    with OidcProvider("ES256", opaque_tokens=True) as provider:
        yield provider


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "corp.secret"
    path.write_text(CLIENT_SECRET)
    return path


def _entry(provider: OidcProvider, secret: Path, **changes: Any) -> dict[str, Any]:
    entry = {
        "name": "corp",
        "issuer": provider.issuer,
        "audiences": ["portcullis"],
        "client_id": "portcullis",
        "client_secret_file": str(secret),
        "groups_claim": "groups",
        "introspection": {"cache_s": 60},
    }
    return {key: value for key, value in (entry | changes).items() if value is not None}


def _checked(
    directory: Path, *providers: Mapping[str, Any], clock: Any = time.time, transport: Any = None
) -> tuple[Site, tuple[LevelledFinding, ...]]:
    site = make_site(directory / "site", providers=providers, backends=[BACKEND])
    settings = load_settings(site.config, ADAPTERS)
    return site, check_online(site.config, settings, clock=clock, transport=transport)


def _errors(found: tuple[LevelledFinding, ...]) -> list[str]:
    return [finding.message for finding in found if finding.level == "error"]


def test_a_provider_that_fits_leaves_hints_only(corp: OidcProvider, secret: Path, tmp_path: Path) -> None:
    site, found = _checked(tmp_path, _entry(corp, secret))
    assert [(finding.level, finding.message) for finding in found] == [
        ("hint", "provider corp: client 'portcullis': accepted"),
        ("hint", f"provider corp: redirect URI {REDIRECT_URI}: accepted"),
        (
            "hint",
            "provider corp: register https://gateway.example.com/-/login/backchannel there as the back-channel logout "
            "URL",
        ),
    ]
    lines = site.config.read_text().splitlines()
    assert "client_id" in lines[found[0].line - 1]


def _without_client(**changes: Any) -> dict[str, Any]:
    return {"client_id": None, "client_secret_file": None, "introspection": None, **changes}


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"client_id": "portcullis-web"}, "client_secret_file", "it does not accept the client 'portcullis-web'"),
        ({"client_secret_file": "wrong"}, "client_secret_file", "whether the secret has expired"),
        ({"client_secret_file": "wrong"}, "introspection", "it does not let the client 'portcullis' introspect"),
        ({"client_secret_file": None, "introspection": None}, "client_id", "gave it a secret, set client_secret_file"),
        ({"algorithms": ["RS256"]}, "algorithms", "none of its keys can be used with RS256: key 1 fits none"),
        ({"algorithms": ["RS256"]}, "algorithms", "it signs ID tokens with ES256 only"),
        (_without_client(issuer="http://127.0.0.1:1"), "issuer", "it can't be reached (the connection is refused"),
        (_without_client(issuer="https://sso.invalid"), "issuer", "the host's name is not known here"),
        (_without_client(jwks_uri="http://127.0.0.1:1/jwks"), "issuer", "its keys can't be used"),
    ],
)
def test_what_does_not_fit_is_told_at_its_line_with_the_remedy(
    corp: OidcProvider, secret: Path, changes: dict[str, Any], key: str, message: str
) -> None:
    tmp_path = secret.parent
    if changes.get("client_secret_file") == "wrong":
        wrong = tmp_path / "wrong.secret"
        wrong.write_text("an-expired-secret")
        changes = {"client_secret_file": str(wrong)}
    site, found = _checked(tmp_path, _entry(corp, secret, **changes))
    lines = site.config.read_text().splitlines()
    errors = [finding for finding in found if finding.level == "error" and message in finding.message]
    assert errors, found
    where = lines[errors[0].line - 1].strip().removeprefix("- ")
    assert where.partition(":")[0] == key
    assert "an-expired-secret" not in str(found)
    assert CLIENT_SECRET not in str(found)


def test_a_client_that_is_not_known_is_not_told_to_register_a_redirect_uri(corp: OidcProvider, secret: Path) -> None:
    _, found = _checked(secret.parent, _entry(corp, secret, client_id="portcullis-web", introspection=None))
    (error,) = _errors(found)
    assert "it does not accept the client 'portcullis-web'" in error
    assert "redirect" not in str(found)


def test_a_redirect_uri_that_is_not_registered_is_an_error(secret: Path, tmp_path: Path) -> None:
    with OidcProvider("ES256", redirect_uris=["https://old.example.com/callback"]) as provider:
        _, found = _checked(tmp_path, _entry(provider, secret, introspection=None))
    (error,) = _errors(found)
    assert f"register the redirect URI {REDIRECT_URI} there" in error


def test_claims_and_scopes_that_are_not_listed_are_warned_of_by_name(
    corp: OidcProvider, secret: Path, tmp_path: Path
) -> None:
    entry = _entry(corp, secret, groups_claim="realm_access.roles", username_claim="upn", scopes=["openid", "roles"])
    _, found = _checked(tmp_path, entry)
    warnings = [finding.message for finding in found if finding.level == "warning"]
    assert len(warnings) == 3
    assert "it does not list the claim 'realm_access.roles' among its claims (sub," in warnings[0]
    assert "the claim 'upn'" in warnings[1]
    assert "these scopes: roles" in warnings[2]
    assert _errors(found) == []


def test_a_clock_that_is_off_is_an_error(corp: OidcProvider, secret: Path, tmp_path: Path) -> None:
    _, found = _checked(tmp_path, _entry(corp, secret), clock=lambda: time.time() - 600)
    (error,) = _errors(found)
    assert "ahead of this machine's, and leeway_s is 60: set both by NTP" in error


def test_certificates_and_proxies_are_named(secret: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("sso", LOOPBACK)
    with (
        OidcProvider("ES256", tls=(certificate.certificate_file, certificate.key_file, authority.file)) as provider,
        ForwardProxy() as proxy,
    ):
        entry = _entry(provider, secret, introspection=None)
        trusted = entry | {"ca_file": str(authority.file), "proxy_url": proxy.url}
        for number, (changes, told) in enumerate(
            [
                (entry, "its certificate is not trusted"),
                (trusted, None),
                (entry | {"proxy_url": proxy.url}, "set ca_file"),
            ]
        ):
            (tmp_path / str(number)).mkdir()
            _, found = _checked(tmp_path / str(number), changes)
            errors = _errors(found)
            assert (told in errors[0]) if told else errors == []
        proxy.refuses_with = 407
        _, found = _checked(tmp_path, trusted)
        assert f"the proxy {proxy.url} does not let it through (407" in _errors(found)[0]


def _scripted(answers: Mapping[str, tuple[int, Mapping[str, object]]]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        status, document = answers[request.url.path]
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(document).encode()))

    return httpx.MockTransport(answer)


ISSUER = "https://sso.example.com"
METADATA: dict[str, object] = {
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/jwks",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "introspection_endpoint": f"{ISSUER}/introspect",
    "code_challenge_methods_supported": ["plain"],
}
ANSWERS: dict[str, tuple[int, Mapping[str, object]]] = {
    "/.well-known/openid-configuration": (200, METADATA),
    "/jwks": (200, {"keys": []}),
    "/authorize": (200, {}),
    "/token": (400, {"error": "invalid_grant"}),
    "/introspect": (200, {"active": False}),
}


@pytest.mark.parametrize(
    ("answers", "level", "message"),
    [
        ({}, "warning", "it does not list S256 among its PKCE methods"),
        ({}, "hint", f"register the redirect URI {REDIRECT_URI} there; whether it is can't be told"),
        ({}, "hint", "it does not say that it tells of logouts"),
        ({"/token": (400, {"error": "invalid_request"})}, "warning", "can't be told (400, invalid_request)"),
        ({"/token": (400, {"error": "redirect_uri_mismatch"})}, "error", "it does not know the redirect URI"),
        ({"/token": (503, {})}, "warning", "whether the client is accepted can't be told (503)"),
        (
            {"/token": (401, {"error": "invalid_client", "error_description": "AADSTS7000222: keys are expired"})},
            "error",
            "invalid_client: AADSTS7000222: keys are expired",
        ),
        (
            {"/token": (401, {"error": "invalid_client", "error_description": f"bad secret {CLIENT_SECRET}"})},
            "error",
            "does not accept the client 'portcullis' (401)",
        ),
        ({"/introspect": (200, {"active": True})}, "error", "a token that nobody issued, it says True: don't use it"),
        ({"/introspect": (200, {})}, "error", "it says None"),
        ({"/introspect": (500, {})}, "error", "introspection can't be used: https://sso.example.com/introspect: answ"),
        (
            {"/.well-known/openid-configuration": (200, {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})},
            "error",
            "it names no endpoints to log in at",
        ),
        (
            {"/.well-known/openid-configuration": (200, {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})},
            "error",
            "it names no introspection_endpoint",
        ),
    ],
)
def test_each_answer_of_a_provider_is_understood(
    secret: Path, tmp_path: Path, answers: dict[str, Any], level: str, message: str
) -> None:
    entry = {
        "name": "corp",
        "issuer": ISSUER,
        "audiences": ["portcullis"],
        "client_id": "portcullis",
        "client_secret_file": str(secret),
        "introspection": {},
    }
    _, found = _checked(tmp_path, entry, transport=_scripted(ANSWERS | answers))
    assert any(finding.level == level and message in finding.message for finding in found), found
    assert CLIENT_SECRET not in str(found)


def test_every_provider_is_asked_and_stands_at_its_own_line(corp: OidcProvider, secret: Path, tmp_path: Path) -> None:
    away = {"name": "away", "issuer": "http://127.0.0.1:1", "audiences": ["portcullis"]}
    workloads = {"name": "ci", "issuer": f"{corp.issuer}/none", "audiences": ["portcullis"], "tokens": "workloads"}
    site, found = _checked(tmp_path, away, _entry(corp, secret), workloads)
    lines = site.config.read_text().splitlines()
    errors = [(finding.provider, lines[finding.line - 1].strip()) for finding in found if finding.level == "error"]
    assert errors == [("away", f"issuer: {away['issuer']}"), ("ci", f"issuer: {workloads['issuer']}")]


@pytest.fixture(params=["sqlite", "postgresql"])
def with_state(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> Iterator[tuple[Path, str]]:
    """A configuration with identity state, and the state's URL."""
    (tmp_path / "password").write_text(postgres.password)
    (tmp_path / "password").chmod(0o600)
    site = make_site(tmp_path / "site", providers=[PROVIDER], backends=[BACKEND], with_state=True)
    if request.param == "sqlite":
        yield site.config, f"sqlite:///{site.directory}/identity.db"
        return
    with postgres.database() as url:
        create_state(url, postgres.password)
        document = yaml.safe_load(site.config.read_text())
        document["identity"]["state"] |= {"database": url, "database_password_file": str(tmp_path / "password")}
        site.config.write_text(yaml.safe_dump(document, sort_keys=False))
        yield site.config, url


def _state_found(config: Path) -> tuple[LevelledFinding, ...]:
    settings = load_settings(config, ADAPTERS)
    return check_state(config, settings, lambda state: open_identity_state(state, read_only=True))


def test_state_is_looked_at_beside_a_running_gateway(with_state: tuple[Path, str], postgres: Postgres) -> None:
    config, url = with_state
    running = StateDatabase(url, postgres.password)
    running.open()
    assert _state_found(config) == ()
    with running.transaction() as connection:
        connection.execute(text("UPDATE identity_schema SET version = 2"))
    (version,) = _state_found(config)
    assert (version.level, version.provider) == ("error", None)
    assert "schema version 2, this program works with 1: run the Portcullis version that made it" in version.message
    assert config.read_text().splitlines()[version.line - 1].strip().startswith("database: ")
    with running.transaction() as connection:
        connection.execute(text("UPDATE identity_schema SET version = 1"))
        connection.execute(text("DROP TABLE identity_code"))
    (missing,) = _state_found(config)
    assert "tables are missing (identity_code): restore" in missing.message
    running.close()


def test_a_state_that_can_not_be_connected_to_is_told_without_its_password(postgres: Postgres, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("not-the-password")
    site = make_site(tmp_path / "site", providers=[PROVIDER], backends=[BACKEND], with_state=True)
    document = yaml.safe_load(site.config.read_text())
    url = postgres.create_database()
    document["identity"]["state"] |= {"database": url, "database_password_file": str(tmp_path / "password")}
    site.config.write_text(yaml.safe_dump(document, sort_keys=False))
    (found,) = _state_found(site.config)
    assert "password authentication failed" in found.message
    assert "not-the-password" not in found.message
    settings = load_settings(site.config, ADAPTERS)
    (tmp_path / "password").unlink()
    (found,) = check_state(site.config, settings, lambda state: open_identity_state(state, read_only=True))
    assert "cannot read" in found.message


def test_without_state_nothing_is_looked_at(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", providers=[PROVIDER], backends=[BACKEND])
    assert _state_found(site.config) == ()
