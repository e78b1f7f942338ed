"""What can be known of a provider's files without asking it is told before the gateway starts, at its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.app import ADAPTERS
from gateway.config_file import ConfigError
from gateway.settings import load_settings
from tests.identity.issuer import jwk, private_key
from tests.parts.gateway import make_site

PROVIDER = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"]}
BACKEND = {
    "name": "docs",
    "adapter": "http",
    "url": "http://127.0.0.1:1",
    "environment": "prod",
    "routes": [{"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "read"}],
}


def _findings(directory: Path, *providers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each finding: the line it stands at, and its message."""
    site = make_site(directory / "site", providers=providers, backends=[BACKEND])
    try:
        load_settings(site.config, ADAPTERS)
    except ConfigError as error:
        lines = site.config.read_text().splitlines()
        return [(lines[finding.line - 1].strip(), finding.message) for finding in error.findings]
    return []


def _file(directory: Path, content: str) -> str:
    path = directory / "file"
    path.write_text(content)
    return str(path)


KEYS = json.dumps({"keys": [jwk(private_key("ES256"), kid="k")]})
SECRET_KEYS = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]})


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        ("ca_file", "no certificate", "names a file that holds no certificates in PEM form"),
        ("jwks_file", "{", "names a file that is no JWK set: it is not JSON"),
        ("jwks_file", '{"keys": {}}', "names a file that is no JWK set: the key document is not a JWK set"),
        ("jwks_file", '{"keys": []}', "names a JWK set without a key for RS256, ES256: it is empty"),
        ("jwks_file", SECRET_KEYS, "key 1 holds a private or symmetric key"),
        ("client_secret_file", "two\nlines", "client_secret: the file"),
    ],
)
def test_a_file_that_does_not_hold_what_it_should_is_told(tmp_path: Path, key: str, content: str, message: str) -> None:
    path = _file(tmp_path, content)
    client = {"client_id": "portcullis"} if key.startswith("client") else {}
    ((line, told),) = _findings(tmp_path, {**PROVIDER, **client, key: path})
    assert line == f"{key}: {path}"
    assert told.startswith(f"`identity.providers[0].{key}` ")
    assert message in told


def test_the_secret_of_introspection_is_looked_at_too(tmp_path: Path) -> None:
    secret = _file(tmp_path, "\x00")
    ((line, told),) = _findings(
        tmp_path, {**PROVIDER, "introspection": {"client_id": "c", "client_secret_file": secret}}
    )
    assert line == f"client_secret_file: {secret}"
    assert "introspection.client_secret: the file" in told


def test_what_is_missing_is_told_once(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    found = _findings(tmp_path, {**PROVIDER, "client_id": "portcullis", "client_secret_file": missing})
    assert [line for line, _ in found] == [f"client_secret_file: {missing}"]
    unset = {**PROVIDER, "client_id": "portcullis", "client_secret_env": "PORTCULLIS_TEST_UNSET"}
    (tmp_path / "unset").mkdir()
    assert [line for line, _ in _findings(tmp_path / "unset", unset)] == ["client_secret_env: PORTCULLIS_TEST_UNSET"]


def test_a_good_file_of_keys_is_taken(tmp_path: Path) -> None:
    assert _findings(tmp_path, {**PROVIDER, "jwks_file": _file(tmp_path, KEYS)}) == []


def test_two_providers_that_could_be_shown_each_others_tokens_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SECURITY-CASES 20."""
    monkeypatch.setenv("INTROSPECTION_SECRET", "s3cret")
    introspection = {"client_id": "c", "client_secret_env": "INTROSPECTION_SECRET"}
    other = {"name": "partner", "issuer": "https://partner.example.com", "introspection": introspection}
    found = _findings(tmp_path, {**PROVIDER, "introspection": introspection}, {**PROVIDER, **other})
    ((line, message),) = found
    assert line == "introspection:"
    assert message.startswith(
        "`identity.providers[1].introspection`: several providers introspect, and this one has no"
    )
