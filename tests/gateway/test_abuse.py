"""What one client can do to the process, and to the others, without a token or with one."""

import json
import shutil
import threading
import time
from pathlib import Path

import httpx
import pytest

from gateway.server import HEAD_WITHIN_S, MAX_HEADER_BYTES, MAX_PIPELINED
from tests.parts.deadlines import first_deadline_s
from tests.parts.front import Front, close_after, held_until_the_client_goes, ok
from tests.parts.gateway import GatewayProcess, make_site
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawConnection

STRANGER = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def resident_mb(front: Front) -> float:
    status = Path(f"/proc/{front.gateway.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def send_while_it_is_taken(client: RawClient, data: bytes, times: int) -> None:
    try:
        for _ in range(times):
            client.send(data)
    except OSError:
        return


def test_pipelined_requests_are_bounded_in_number_and_cost_no_memory(front: Front) -> None:
    front.send(STRANGER)
    before = resident_mb(front)
    with RawClient(front.gateway.port) as client:
        send_while_it_is_taken(client, STRANGER * 2000, 40)
        answers = client.read_to_close()
    assert 1 <= answers.count(b"HTTP/1.1 401 ") <= MAX_PIPELINED + 1
    assert resident_mb(front) - before < 20


def test_a_body_behind_an_unanswered_request_is_not_waited_for(front: Front) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        arrived.set()
        connection.wait_for(go_on)
        connection.send(ok())

    front.script = script
    with RawClient(front.gateway.port) as client:
        behind = front.request("/raw/open/behind", "Content-Length: 3", method="POST", body=b"abc")
        client.send(front.request("/raw/open/first") + behind)
        assert arrived.wait(10)
        go_on.set()
        assert client.read_response().status == 200
        assert client.is_closed()


def test_a_client_that_goes_is_noticed_with_a_request_behind(front: Front) -> None:
    front.script, arrived, gone = held_until_the_client_goes()
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/slow") + front.request("/raw/open/never"))
        assert arrived.wait(10)
    assert gone.wait(10)
    assert b"/raw/open/never" not in front.last_seen()


@pytest.mark.parametrize("after", [b"0\r\nX-Trailer: ", b"3;ext="])
def test_trailers_and_chunk_extensions_that_never_end_are_cut(front: Front, after: bytes) -> None:
    before = resident_mb(front)
    with RawClient(front.gateway.port) as client:
        client.send(b"POST /raw/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + after)
        send_while_it_is_taken(client, b"a" * MAX_HEADER_BYTES, 200)
        client.read_to_close()
    assert resident_mb(front) - before < 20
    started = time.monotonic()
    assert httpx.get(f"{front.gateway.url}/-/livez").status_code == 200
    assert time.monotonic() - started < 2


def test_a_small_head_may_arrive_in_the_same_piece_as_a_large_body(front: Front) -> None:
    body = b"x" * 200_000
    data = front.request("/raw/open/x", f"Content-Length: {len(body)}", method="PUT", body=body)
    with RawClient(front.gateway.port) as client:
        client.send(data[:30])
        client.send(data[30:])
        assert client.read_response().status == 200
    assert front.last_seen().endswith(body)


def test_a_final_answer_instead_of_100_continue_ends_the_connection(front: Front) -> None:
    """SECURITY-CASES 8"""
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/x", "Expect: 100-continue", "Content-Length: 60", method="PUT", token=""))
        response = client.read_response()
        assert (response.status, response.values(b"connection")) == (401, [b"close"])


def test_a_fault_in_the_api_is_answered_once(tmp_path: Path) -> None:
    with Issuer() as issuer:
        route = {"methods": ["GET"], "path": "/**", "resource": "all", "action": "use"}
        backend = {"name": "raw", "adapter": "http", "url": "http://127.0.0.1:9", "environment": "x", "routes": [route]}
        site = make_site(tmp_path, providers=[issuer.settings], backends=[backend])
        with GatewayProcess(site) as gateway:
            shutil.move(site.database, tmp_path / "aside.db")
            with RawClient(gateway.port) as client:
                request = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
                client.send(request % b"/-/log/checkpoint" + request % b"/-/livez")
                assert client.read_response().status == 503
                assert json.loads(client.read_response().body) == {"status": "alive"}


@pytest.mark.parametrize("headers", [b"Host: b\r\n", b"Transfer-Encoding: gzip, chunked\r\n"])
def test_ambiguous_heads_are_refused_on_the_gateways_own_paths_too(front: Front, headers: bytes) -> None:
    """SECURITY-CASES 8, 12"""
    response = front.send(b"GET /-/livez HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n0\r\n\r\n")
    assert response.status == 400
    (record,) = front.records(response.values(b"portcullis-request-id")[0])
    assert (record.verdict, record.backend) == ("refused", "-")


def test_a_backend_cannot_challenge_in_the_gateways_name(front: Front) -> None:
    front.script = close_after(
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nPortcullis_Receipt: 1:00\r\nContent-Length: 0\r\n\r\n'
    )
    response = front.send(front.request("/raw/open/x"))
    assert response.status == 401
    assert response.values(b"www-authenticate") == response.values(b"portcullis_receipt") == []


@pytest.mark.parametrize("sent", [b"", b"GET /raw/x HTTP/1.1\r\nHost:"])
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    assert first_deadline_s(sent) == pytest.approx(HEAD_WITHIN_S, abs=2)
