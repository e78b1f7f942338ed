"""A backend whose answers stay open, for tests of what ends them: `tail_backend(upstream.url)` is its configuration.

with RawUpstream(line_then_silence) as upstream:
    ...
    with open_stream(gateway.port, token) as stream:
        stream.read_to_close()              # until the gateway ends it
"""

from typing import Any

from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawConnection


def line_then_silence(connection: RawConnection) -> None:
    """Answer with one line, then nothing until the peer leaves."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nline\n\r\n")
    connection.read_to_end()


def tail_backend(url: str = "http://127.0.0.1:9") -> dict[str, Any]:
    """Return the backend `logs`, of which `tail` of `logs/STREAM` may be allowed; by default nothing is behind it."""
    return {
        "name": "logs",
        "adapter": "http",
        "url": url,
        "environment": "prod",
        "routes": [{"methods": ["GET"], "path": "/{stream}", "resource": "{stream}", "action": "tail"}],
    }


def open_stream(port: int, token: str) -> RawClient:
    """Return a connection to the gateway on which the first line has come."""
    client = RawClient(port)
    client.send(f"GET /logs/app HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    client.read_until(b"line\n")
    return client
