"""What may be wrong with a good configuration is told by file and line, and stops nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.app import ADAPTERS
from gateway.config_doubts import LevelledFinding, doubts
from gateway.settings import load_settings
from tests.parts.gateway import Site, make_site

PROVIDERS: list[dict[str, Any]] = [
    {"name": "corp", "issuer": "https://corp.example.com", "audiences": ["x"], "email_domains": ["example.com"]},
    {"name": "plain", "issuer": "https://plain.example.com", "audiences": ["x"]},
    {"name": "github", "issuer": "https://github.example.com", "audiences": ["x"], "tokens": "workloads"},
]
BACKEND = {
    "name": "docs",
    "adapter": "http",
    "url": "http://127.0.0.1:1",
    "environment": "prod",
    "routes": [{"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "read"}],
}
IDENTITIES = """\
people:
  alice:
    accounts:
      - {provider: corp, email: alice@example.com}
      - {provider: corp, subject: "1"}
      - {provider: corp, email: alice@example.org}
  bob:
    accounts:
      - {provider: crop, subject: "2"}
      - {provider: plain, email: bob@example.com}
      - {provider: github, subject: "3"}
      - {provider: corp, email: bob@example.org}
workloads:
  deploy: {provider: github, claims: {sub: x}}
  build: {provider: corp, claims: {sub: x}}
  test: {provider: gitlab, claims: {sub: x}}
"""


def found_at(site: Site) -> tuple[LevelledFinding, ...]:
    return doubts(site.config, load_settings(site.config, ADAPTERS), ADAPTERS)


def test_links_that_nobody_is_found_by_are_told_once_a_reason_at_the_first_ones_line(tmp_path: Path) -> None:
    site = make_site(tmp_path, providers=PROVIDERS, backends=[BACKEND], identities=IDENTITIES)
    found = found_at(site)
    assert {finding.level for finding in found} == {"warning"}
    assert {finding.file for finding in found} == {str(site.policies / "identities.yaml")}
    nobody = ": nobody is ever found by it"
    assert [(finding.line, finding.message.removesuffix(nobody)) for finding in found] == [
        (
            6,
            "an account is linked at the provider 'corp', by an address of example.org, which its email_domains lack "
            "(2 of them)",
        ),
        (9, "an account is linked at the provider 'crop', which is not configured"),
        (10, "an account is linked at the provider 'plain', by an address, but the provider has no email_domains"),
        (11, "an account is linked at the provider 'github', whose tokens are workloads'"),
        (15, "a workload is defined at the provider 'corp', which lacks `tokens: workloads`"),
        (16, "a workload is defined at the provider 'gitlab', which is not configured"),
    ]


def test_a_file_of_identities_that_does_not_load_is_told(tmp_path: Path) -> None:
    site = make_site(tmp_path, providers=PROVIDERS, backends=[BACKEND], identities="people: [alice]\n")
    (found,) = found_at(site)
    assert (found.line, found.level) == (1, "warning")
    assert found.message.endswith("the policy does not load so")


@pytest.mark.parametrize(
    ("mode", "is_told"),
    [(0o600, False), (0o400, False), (0o640, False), (0o440, False), (0o644, True), (0o660, True), (0o602, True)],
)
def test_secrets_that_others_can_read_are_told_with_the_remedy(tmp_path: Path, mode: int, is_told: bool) -> None:
    secret = tmp_path / "a.secret"
    secret.write_text("sesame")
    secret.chmod(mode)
    signs_in = {"client_id": "portcullis", "client_secret_file": "../a.secret"}
    corp = PROVIDERS[0] | signs_in | {"introspection": signs_in, "scim": {"token_file": str(secret)}}
    backend = BACKEND | {"credential": {"basic": {"username": "x", "password_file": str(secret)}}}
    asking = {"introspection_clients": [{"client_id": "docs", "client_secret_file": str(secret)}]}
    site = make_site(tmp_path / "site", providers=[corp], backends=[backend], identity=asking, with_state=True)
    document = yaml.safe_load(site.config.read_text())
    server = {"database": "postgresql://portcullis@db.example.com/x", "database_password_file": str(secret)}
    document["identity"]["state"] |= server
    site.config.write_text(yaml.safe_dump(document, sort_keys=False))
    found = found_at(site)
    lines = site.config.read_text().splitlines()
    told = [lines[finding.line - 1].strip().partition(":")[0] for finding in found]
    secrets = [*["client_secret_file"] * 3, "database_password_file", "password_file", "token_file"]
    assert sorted(told) == (secrets if is_told else [])
    for finding in found:
        assert finding.level == "warning"
        assert "sesame" not in finding.message
        assert f"(mode {mode:o}): `chmod 600 " in finding.message
        assert "a.secret`" in finding.message
