"""Speaking with a provider: private CAs, proxies, clocks, and words that say what to mend."""

import asyncio
import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from identity.discovery import discover
from identity.provider_client import Answer, ProviderAnswerError, ask, is_bearer_token, provider_client
from identity.provider_settings import ProviderSettings
from tests.parts.certificates import LOOPBACK, Authority
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.oidc_provider import OidcProvider

NOW = 1_800_000_000
# 2027-01-15, as a server writes it.
DATED_NOW = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def private(authority: Authority) -> Iterator[OidcProvider]:
    """Serve a provider over TLS with a certificate of a private CA."""
    certificate = authority.issue("sso", LOOPBACK)
    with OidcProvider("ES256", tls=(certificate.certificate_file, certificate.key_file, authority.file)) as provider:
        yield provider


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """Shake hands with whoever comes, and give the port: a client that refuses the certificate asks nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _settings(provider: OidcProvider, **changes: Any) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {"name": "corp", "issuer": provider.issuer, "audiences": ["portcullis"]} | changes
    )


def _reached(settings: ProviderSettings) -> str:
    """Return `reached`, or why the provider can't be."""

    async def story() -> str:
        async with provider_client(settings) as client:
            try:
                await ask(client, settings, f"{settings.issuer}/jwks")
            except ProviderAnswerError as error:
                return str(error)
            return "reached"

    return asyncio.run(story())


def test_a_private_ca_is_trusted_where_it_is_configured_and_named_where_it_is_not(
    private: OidcProvider, authority: Authority, tmp_path: Path
) -> None:
    assert _reached(_settings(private, ca_file=authority.file)) == "reached"
    unknown = _reached(_settings(private))
    assert "its certificate is not trusted (unable to get local issuer certificate): set ca_file" in unknown
    other = Authority(tmp_path, "other")
    assert f"ca_file ({other.file}) must hold the CA that signed it" in _reached(_settings(private, ca_file=other.file))


def test_a_certificate_that_no_ca_file_mends_is_told_by_its_own_fault(authority: Authority) -> None:
    hour = datetime.timedelta(hours=1)
    elsewhere = authority.issue("elsewhere", x509.DNSName("sso.example.com"))
    old = authority.issue("old", LOOPBACK, lifetime=-hour, early=2 * hour)
    for certificate, remedy in ((elsewhere, "check the host in the address"), (old, "must renew it")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate_file, certificate.key_file)
        with tls_server(context) as port:
            settings = ProviderSettings.model_validate(
                {
                    "name": "corp",
                    "issuer": f"https://127.0.0.1:{port}",
                    "audiences": ["portcullis"],
                    "ca_file": authority.file,
                }
            )
            told = _reached(settings)
        assert "its certificate is not trusted" in told
        assert remedy in told
        assert "ca_file" not in told


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:1", "it can't be reached (the connection is refused"),
        ("https://sso.invalid", "it can't be reached (the host's name is not known here: "),
    ],
)
def test_why_there_is_no_connection_is_told(address: str, reason: str) -> None:
    settings = ProviderSettings.model_validate({"name": "corp", "issuer": address, "audiences": ["portcullis"]})
    assert reason in _reached(settings)


def test_a_provider_is_reached_through_its_proxy_and_no_other_way(
    private: OidcProvider, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy carries bytes that it can't read: the certificate is checked through the tunnel."""
    with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert _reached(_settings(private, ca_file=authority.file)) == "reached"
        assert proxy.targets == [], "a proxy of the environment is nobody's word"
        through = _settings(private, ca_file=authority.file, proxy_url=proxy.url)
        assert _reached(through) == "reached"
        assert proxy.targets == [private.issuer.removeprefix("https://")]
        assert "its certificate is not trusted" in _reached(_settings(private, proxy_url=proxy.url))
        proxy.refuses_with = 403
        assert f"the proxy {proxy.url} does not let it through (403 Refused)" in _reached(through)
    assert f"the proxy {proxy.url} can't be reached" in _reached(through)


def test_a_proxy_that_is_spoken_to_over_tls_may_have_a_certificate_of_the_same_ca(
    private: OidcProvider, authority: Authority
) -> None:
    certificate = authority.issue("proxy", LOOPBACK)
    with ForwardProxy((certificate.certificate_file, certificate.key_file)) as proxy:
        assert _reached(_settings(private, ca_file=authority.file, proxy_url=proxy.url)) == "reached"
        assert len(proxy.targets) == 1


def test_discovery_goes_through_the_proxy_too(private: OidcProvider, authority: Authority) -> None:
    async def story(settings: ProviderSettings) -> str | None:
        async with provider_client(settings) as client:
            return (await discover(client, settings)).introspection_endpoint

    with ForwardProxy() as proxy:
        settings = _settings(private, ca_file=authority.file, proxy_url=proxy.url)
        assert asyncio.run(story(settings)) == f"{private.issuer}/token/introspection"
        assert len(proxy.targets) == 1


def _answer(now: float = NOW, **headers: str) -> Answer:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"{}"))

    settings = ProviderSettings(name="corp", issuer="https://corp.example.com", audiences=("portcullis",))

    async def story() -> Answer:
        async with provider_client(settings, httpx.MockTransport(respond)) as client:
            return await ask(client, settings, "https://corp.example.com/x", clock=lambda: now)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("now", "headers", "ahead_s"),
    [
        (NOW, {}, 0),
        (NOW, {"date": DATED_NOW}, 0),
        (NOW + 0.9, {"date": DATED_NOW}, 0),
        (NOW + 1.5, {"date": DATED_NOW}, -0.5),
        (NOW - 95, {"date": DATED_NOW}, 95),
        (NOW + 301, {"date": DATED_NOW}, -300),
        (NOW + 301, {"date": DATED_NOW, "age": "301"}, 0),
        (NOW, {"date": "yesterday"}, 0),
        (NOW, {"date": DATED_NOW, "age": "old"}, 0),
    ],
)
def test_the_clocks_differ_by_what_the_date_of_an_answer_can_not_explain_otherwise(
    now: float, headers: dict[str, str], ahead_s: float
) -> None:
    assert _answer(now, **headers).ahead_s == pytest.approx(ahead_s)


def test_what_an_answer_is_can_be_told() -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8", "location": "https://x.example.com/"}
    answer = _answer(NOW, **headers)
    assert (answer.media_type, answer.location, answer.json()) == ("application/json", "https://x.example.com/", {})


@pytest.mark.parametrize("token", [b"abc", b"eyJh.eyJz.c2ln", b"a+/~_-.=="])
def test_a_token_can_stand_in_a_header(token: bytes) -> None:
    assert is_bearer_token(token)


@pytest.mark.parametrize("token", [b"", b"a b", b"a\r\nX: y", b"a=b", b"\xff", b"a\n"])
def test_what_is_no_token_is_never_put_into_a_header(token: bytes) -> None:
    """SECURITY-CASES 14 and 24: a library that refuses it would quote it."""
    assert not is_bearer_token(token)
