"""The gateway ends TLS itself, and a token bound to a client certificate needs that one on its connection."""

import datetime
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import ADAPTERS
from gateway.config_file import ConfigError
from gateway.settings import TlsSettings, load_settings
from gateway.tls import server_context
from gateway.tls_checks import tls_problem
from tests.parts.certificates import LOOPBACK, Authority, Certificate
from tests.parts.front import METHODS, ok
from tests.parts.gateway import GatewayProcess, bearer, make_site
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawUpstream

ROUTES = [{"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"}]
RULES = [
    "p, group:corp:users, prod, open/**, use, allow,",
    "p, group:corp:users, prod, bound/**, use, allow, token_binding == 'mtls'",
]


@dataclass
class Place:
    gateway: GatewayProcess
    issuer: Issuer
    authority: Authority
    alice: Certificate

    def get(self, path: str, token: str, shown: Certificate | None) -> httpx.Response:
        with httpx.Client(verify=self.authority.client_context(shown)) as client:
            return client.get(self.gateway.url + path, headers=bearer(token))

    def bound(self, certificate: Certificate) -> str:
        cnf = {"x5t#S256": certificate.thumbprint}
        return self.issuer.token("alice", groups=["users"], cnf=cnf)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("place")
    authority = Authority(directory)
    server, alice = authority.issue("server", LOOPBACK), authority.issue("alice")
    tls = {
        "certificate_file": str(server.certificate_file),
        "key_file": str(server.key_file),
        "client_ca_file": str(authority.file),
    }

    def answer(connection: Any) -> None:
        connection.read_request()
        connection.send(ok())

    with Issuer() as issuer, RawUpstream(answer) as upstream:
        common: dict[str, Any] = {"adapter": "http", "url": upstream.url, "environment": "prod", "routes": ROUTES}
        backends = [{"name": "open", **common}, {"name": "bound", "require_token_binding": ["mtls"], **common}]
        site = make_site(directory / "site", providers=[issuer.settings], backends=backends, rules=RULES, tls=tls)
        with GatewayProcess(site, tls=authority.client_context()) as gateway:
            yield Place(gateway, issuer, authority, alice)


def test_a_client_without_a_certificate_is_served(place: Place) -> None:
    token = place.issuer.token("alice", groups=["users"])
    assert place.get("/open/x", token, None).text == "ok"
    response = place.get("/bound/x", token, None)
    assert (response.status_code, response.json()["code"]) == (401, "token_binding_required")
    assert response.headers["www-authenticate"].startswith("Bearer ")


def test_a_bound_token_counts_on_a_connection_with_its_certificate(place: Place) -> None:
    token = place.bound(place.alice)
    with httpx.Client(verify=place.authority.client_context(place.alice)) as client:
        for path in ("/open/x", "/bound/x", "/bound/y"):
            assert client.get(place.gateway.url + path, headers=bearer(token)).status_code == 200
        whoami = client.get(place.gateway.url + "/-/api/v1/whoami", headers=bearer(token))
        assert whoami.json()["subject"] == "user:corp:alice@example.com"


def test_a_bound_token_counts_nowhere_else(place: Place) -> None:
    token = place.bound(place.alice)
    for shown in (None, place.authority.issue("bob")):
        response = place.get("/open/x", token, shown)
        assert (response.status_code, response.json()["error"]) == (401, "certificate_required")


def test_a_certificate_that_no_configured_authority_vouches_for_is_refused(place: Place, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger").issue("alice")
    expired = place.authority.issue("expired", lifetime=-datetime.timedelta(minutes=1))
    for certificate in (stranger, expired):
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            place.get("/open/x", place.bound(certificate), certificate)


def test_old_versions_and_weak_ciphers_get_no_connection(place: Place) -> None:
    context = place.authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(ssl.SSLError):
        RawClient(place.gateway.port, tls=context)
    context.set_ciphers("DEFAULT")
    with RawClient(place.gateway.port, tls=context) as client:
        client.send(b"GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 200


def test_plain_http_on_the_port_gets_no_answer(place: Place) -> None:
    with RawClient(place.gateway.port) as client:
        client.send(b"GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"alive" not in client.read_to_close()


def test_only_http_1_is_negotiated(place: Place) -> None:
    context = place.authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with RawClient(place.gateway.port, tls=context) as client:
        assert isinstance(client._socket, ssl.SSLSocket)
        assert client._socket.selected_alpn_protocol() == "http/1.1"


def test_sessions_are_not_resumed_where_clients_show_certificates(place: Place) -> None:
    """Who is taken off the list of authorities is not let in by an old session."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = place.authority.client_context(place.alice)
        context.minimum_version = context.maximum_version = version
        with RawClient(place.gateway.port, tls=context) as client:
            client.send(b"GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_response().status == 200
            assert isinstance(client._socket, ssl.SSLSocket)
            session = client._socket.session
            assert session is None or not session.has_ticket


def test_the_least_version_can_be_raised(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", LOOPBACK)
    files = {"certificate_file": server.certificate_file, "key_file": server.key_file}
    strict = server_context(TlsSettings.model_validate(files | {"minimum_version": "TLSv1.3"}))
    plain = server_context(TlsSettings.model_validate(files))
    assert (plain.minimum_version, strict.minimum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert (plain.verify_mode, strict.options & ssl.OP_NO_RENEGOTIATION) == (ssl.CERT_NONE, ssl.OP_NO_RENEGOTIATION)
    assert {cipher["protocol"] for cipher in plain.get_ciphers()} == {"TLSv1.2", "TLSv1.3"}
    assert all("GCM" in cipher["name"] or "CHACHA20" in cipher["name"] for cipher in plain.get_ciphers())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Good files for the three keys."""
    authority = Authority(tmp_path)
    server = authority.issue("server", LOOPBACK)
    return {
        "certificate_file": str(server.certificate_file),
        "key_file": str(server.key_file),
        "client_ca_file": str(authority.file),
    }


def test_good_files_have_no_problem(files: dict[str, str]) -> None:
    assert [tls_problem(key, files) for key in files] == [None, None, None]


def test_what_is_wrong_with_a_file_is_said(files: dict[str, str], tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    later, before = now + datetime.timedelta(days=1), now - datetime.timedelta(days=1)
    for key, when, words in (
        ("certificate_file", later, "expired on"),
        ("certificate_file", before, "not valid before"),
        ("client_ca_file", later, "only certificates that have expired"),
    ):
        assert words in str(tls_problem(key, files, when))
    for key in files:
        assert "PEM" in str(tls_problem(key, files | {key: str(_text_file(tmp_path))}))
    other = Authority(tmp_path, "other").issue("other")
    assert "is not the key of" in str(tls_problem("key_file", files | {"key_file": str(other.key_file)}))
    Path(files["key_file"]).chmod(0o644)
    assert "others may use" in str(tls_problem("key_file", files))


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(files: dict[str, str], tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(_encrypted(Path(files["key_file"]).read_bytes()))
    encrypted.chmod(0o600)
    changed = files | {"key_file": str(encrypted)}
    assert "encrypted" in str(tls_problem("key_file", changed))
    with pytest.raises(ssl.SSLError, match="encrypted"):
        server_context(TlsSettings.model_validate(changed))


def test_the_check_of_a_configuration_tells_each_with_its_line(files: dict[str, str], tmp_path: Path) -> None:
    common: dict[str, Any] = {"adapter": "http", "url": "http://127.0.0.1:1", "environment": "prod", "routes": ROUTES}
    backend = {"name": "bound", "require_token_binding": ["mtls"], **common}
    provider = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"]}
    other = Authority(tmp_path, "other").issue("other")
    tls = files | {"key_file": str(other.key_file), "client_ca_file": str(tmp_path / "nothing.pem")}
    site = make_site(tmp_path / "site", providers=[provider], backends=[backend], tls=tls)
    assert _findings(site.config) == [
        "`tls.key_file` is not the key of the first certificate in `tls.certificate_file`",
        f"`tls.client_ca_file` names a file that does not exist (a relative path starts at {site.directory})",
    ]
    del tls["client_ca_file"]
    tls |= {"key_file": files["key_file"], "minimum_version": "TLSv1.1"}
    site = make_site(tmp_path / "second", providers=[provider], backends=[backend], tls=tls)
    findings = _findings(site.config)
    assert "can't be met: no client shows a certificate without `client_ca_file`" in findings[0] + findings[1]
    assert any("`tls.minimum_version` must be 'TLSv1.2' or 'TLSv1.3'" in finding for finding in findings)


def _findings(config: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(config, ADAPTERS)
    return [finding.message for finding in caught.value.findings]


def _text_file(directory: Path) -> Path:
    file = directory / "text.pem"
    file.write_text("no certificate\n")
    file.chmod(0o600)
    return file


def _encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    loaded = load_pem_private_key(key, password=None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
