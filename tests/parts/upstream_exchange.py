"""One plain request through the upstream seam, and its response read to the end."""

from adapters.upstream import Upstream, UpstreamResponse
from tests.parts.request_bodies import NO_BODY

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = [(b"Host", b"backend.example.com")]


async def get(pool: Upstream, target: bytes = b"/") -> UpstreamResponse:
    """Send a GET without a body."""
    return await pool.send("GET", target, HOST, NO_BODY)


async def whole(response: UpstreamResponse) -> bytes:
    """Read the body to its end, and hold the response to what it promises about that."""
    body = b""
    while piece := await response.read():
        body += piece
    assert response.complete
    assert await response.read() == b""
    response.close()
    return body
