"""A real nginx as the backend: its bodies, its early refusals, its keep-alive."""

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from adapters.connections import ConnectionPool
from tests.parts.event_loops import LoopFactory, on_both_loops, run
from tests.parts.nginx import Nginx
from tests.parts.request_bodies import NO_BODY, Body

HOST = [(b"Host", b"backend.example.com")]
CONTENT = bytes(range(256)) * 8192  # 2 MiB

SERVER = """
location = /hello { default_type text/plain; return 200 "hello $http_host $args"; }
location = /empty { return 204; }
location = /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }
location = /closing { keepalive_timeout 0; default_type text/plain; return 200 bye; }
location = /zipped { gzip on; gzip_types *; gzip_min_length 1; alias %s/root/content; }
location /upload/ { dav_methods PUT; alias %s/root/; }
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One nginx for all tests here."""
    directory = tmp_path_factory.mktemp("nginx")
    with Nginx(directory, SERVER.replace("%s", str(directory))) as server:
        (server.root / "content").write_bytes(CONTENT)
        yield server


async def fetch(pool: ConnectionPool, method: str, target: bytes, body: Body = NO_BODY) -> tuple[int, bytes]:
    response = await pool.send(method, target, [*HOST, (b"Accept-Encoding", b"gzip")], body)
    content = b""
    while piece := await response.read():
        content += piece
    response.close()
    return response.status, content


@on_both_loops
def test_every_kind_of_exchange_shares_one_connection(nginx: Nginx, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        pool = ConnectionPool(nginx.url)
        assert await fetch(pool, "GET", b"/hello?a=%41") == (200, b"hello backend.example.com a=%41")
        assert await fetch(pool, "HEAD", b"/content") == (200, b"")
        assert await fetch(pool, "GET", b"/empty") == (204, b"")
        status, content = await fetch(pool, "GET", b"/content")
        assert (status, hashlib.sha256(content).digest()) == (200, hashlib.sha256(CONTENT).digest())
        status, content = await fetch(pool, "GET", b"/zipped")  # chunked
        assert (status, content[:2]) == (200, b"\x1f\x8b")
        assert (await fetch(pool, "GET", b"/missing"))[0] == 404
        assert (pool.counters().connected, pool.counters().retried) == (1, 0)
        await pool.close()

    run(main(), loop_factory)


@pytest.mark.parametrize("length", [len(CONTENT), None], ids=["sized", "chunked"])
@on_both_loops
def test_an_upload_arrives_whole(nginx: Nginx, length: int | None, loop_factory: LoopFactory) -> None:
    pieces = tuple(CONTENT[start : start + 40_000] for start in range(0, len(CONTENT), 40_000))

    async def main() -> None:
        pool = ConnectionPool(nginx.url)
        status, _ = await fetch(pool, "PUT", b"/upload/stored", Body(pieces, length))
        assert status in (201, 204)
        assert (nginx.root / "stored").read_bytes() == CONTENT
        assert pool.counters().idle == 1
        await pool.close()

    run(main(), loop_factory)


@on_both_loops
def test_a_refused_upload_is_answered(nginx: Nginx, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        pool = ConnectionPool(nginx.url)
        for length in (len(CONTENT), None):
            status, _ = await fetch(pool, "PUT", b"/small", Body((CONTENT,), length))
            assert status == 413
        await pool.close()

    run(main(), loop_factory)


@on_both_loops
def test_a_closing_backend_gets_a_new_connection_each_time(nginx: Nginx, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        pool = ConnectionPool(nginx.url)
        for _ in range(3):
            assert await fetch(pool, "GET", b"/closing") == (200, b"bye")
        assert (pool.counters().connected, pool.counters().reused) == (3, 0)
        await pool.close()

    run(main(), loop_factory)


@on_both_loops
def test_many_requests_at_once_are_answered_each_with_its_own_answer(nginx: Nginx, loop_factory: LoopFactory) -> None:
    async def worker(pool: ConnectionPool, number: int) -> None:
        for turn in range(50):
            expected = b"hello backend.example.com %d.%d" % (number, turn)
            assert await fetch(pool, "GET", b"/hello?%d.%d" % (number, turn)) == (200, expected)

    async def main() -> None:
        pool = ConnectionPool(nginx.url)
        await asyncio.gather(*(worker(pool, number) for number in range(20)))
        assert pool.counters().connected <= 20
        await pool.close()

    run(main(), loop_factory)
