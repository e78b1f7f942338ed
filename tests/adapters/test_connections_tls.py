"""Over https the backend's certificate is verified, and a cut stream does not pass for a whole response."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.connections import ConnectionPool
from adapters.upstream import UpstreamConnectError, UpstreamError, UpstreamProtocolError
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.raw_upstream import RawConnection, RawUpstream, answering
from tests.parts.request_bodies import NO_BODY, Body

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [(b"Host", b"x")]


def self_signed(directory: Path, name: x509.GeneralName) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a new certificate for `name`, and the context of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = directory / "server.pem"
    chain.write_bytes(certificate + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=certificate.decode())


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server that is 127.0.0.1, and of its client."""
    return self_signed(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@on_both_loops
def test_https_carries_requests_on_one_verified_connection(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], loop_factory: LoopFactory
) -> None:
    async def main(url: str) -> None:
        pool = ConnectionPool(url, tls=contexts[1])
        for _ in range(3):
            response = await pool.send("PUT", b"/x", HOST, Body((b"a", b"b"), 2))
            assert await response.read() == b"ok"
        assert (pool.counters().connected, pool.counters().reused) == (1, 2)
        await pool.close()
        assert pool.counters().open == 0

    with RawUpstream(answering(OK, OK, OK), tls=contexts[0]) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections[0].received == 3 * b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"


@on_both_loops
def test_an_unknown_authority_gets_no_request(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], loop_factory: LoopFactory
) -> None:
    async def main(url: str) -> None:
        with pytest.raises(UpstreamConnectError, match=r"no connection to .*certificate"):
            await ConnectionPool(url).send("GET", b"/", HOST, NO_BODY)

    with RawUpstream(answering(OK), tls=contexts[0]) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections == []


@on_both_loops
def test_another_hosts_certificate_gets_no_request(tmp_path: Path, loop_factory: LoopFactory) -> None:
    server, client = self_signed(tmp_path, x509.DNSName("other.example.com"))

    async def main(url: str) -> None:
        with pytest.raises(UpstreamConnectError, match="certificate"):
            await ConnectionPool(url, tls=client).send("GET", b"/", HOST, NO_BODY)

    with RawUpstream(answering(OK), tls=server) as upstream:
        run(main(upstream.url), loop_factory)
    assert upstream.connections == []


@on_both_loops
def test_the_urls_host_is_the_name_that_is_asked_for(tmp_path: Path, loop_factory: LoopFactory) -> None:
    """Server Name Indication (RFC 6066 section 3) lets one address serve several names."""
    server, client = self_signed(tmp_path, x509.DNSName("localhost"))
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)

    async def main(url: str) -> None:
        pool = ConnectionPool(url.replace("127.0.0.1", "localhost"), tls=client)
        assert (await pool.send("GET", b"/", HOST, NO_BODY)).status == 200
        await pool.close()

    with RawUpstream(answering(OK), tls=server) as upstream:
        run(main(upstream.url), loop_factory)
    assert names == ["localhost"]


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"])
@on_both_loops
def test_a_stream_that_is_cut_is_not_a_whole_response(
    framing: bytes, contexts: tuple[ssl.SSLContext, ssl.SSLContext], loop_factory: LoopFactory
) -> None:
    """Anyone on the path can end a TCP stream; only TLS's close_notify tells that the backend did (RFC 9112 9.8)."""

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(
            b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + (b"4\r\nhalf\r\n" if b"chunk" in framing else b"half")
        )

    async def main(url: str) -> None:
        pool = ConnectionPool(url, tls=contexts[1])
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        assert await response.read() == b"half"
        with pytest.raises(UpstreamProtocolError):
            await response.read()
        while pool.counters().open:
            await asyncio.sleep(0)

    with RawUpstream(script, tls=contexts[0]) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_stream_that_is_ended_is_a_whole_response(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], loop_factory: LoopFactory
) -> None:
    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nwhole")
        connection.end_tls()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, tls=contexts[1])
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        assert await response.read() == b"whole"
        assert await response.read() == b""
        while pool.counters().open:
            await asyncio.sleep(0)

    with RawUpstream(script, tls=contexts[0]) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_a_large_body_over_tls_arrives_whole_at_the_readers_pace(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], loop_factory: LoopFactory
) -> None:
    piece = bytes(range(256)) * 256

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(128):
            connection.send(piece)
        connection.end_tls()

    async def main(url: str) -> None:
        pool = ConnectionPool(url, tls=contexts[1])
        response = await pool.send("GET", b"/", HOST, NO_BODY)
        body = bytearray()
        while data := await response.read():
            body += data
            await asyncio.sleep(0.002)
        assert body == piece * 128
        response.close()
        while pool.counters().open:
            await asyncio.sleep(0)

    with RawUpstream(script, tls=contexts[0]) as upstream:
        run(main(upstream.url), loop_factory)


@on_both_loops
def test_https_to_a_plain_server_is_a_connect_error(loop_factory: LoopFactory) -> None:
    def script(connection: RawConnection) -> None:
        connection.send(OK)
        connection.read_to_end()

    async def main(url: str) -> None:
        with pytest.raises(UpstreamError):
            await ConnectionPool(url.replace("http:", "https:")).send("GET", b"/", HOST, NO_BODY)

    with RawUpstream(script) as upstream:
        run(main(upstream.url), loop_factory)
