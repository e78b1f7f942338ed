"""A request whose body must be read before it can be decided gets nothing out of holding that body back."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.front import close_after, ok
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawUpstream

BODY = b'{"a":"x"}'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[GatewayProcess, Issuer, RawUpstream]]:
    with Issuer() as issuer, RawUpstream(close_after(ok(b"secret"))) as upstream:
        backend = {
            "name": "logs",
            "adapter": "http",
            "url": upstream.url,
            "environment": "prod",
            "routes": [{"methods": ["POST"], "path": "/q", "body": {"a": "x"}, "resource": "q", "action": "query"}],
        }
        rules = ["p, group:corp:users, prod, logs/q, query, allow,"]
        site = make_site(tmp_path, providers=[issuer.settings], backends=[backend], rules=rules, with_state=True)
        with GatewayProcess(site) as gateway:
            yield gateway, issuer, upstream


def begin(gateway: GatewayProcess, token: str) -> RawClient:
    """Send all but the last byte of a request, once the gateway has asked for its body."""
    client = RawClient(gateway.port)
    head = f"POST /logs/q HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    client.send(f"{head}Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n".encode())
    # It is asked for its body, so its token has been looked at.
    assert client.read_response().status == 100
    client.send(BODY[:-1])
    return client


def test_who_is_revoked_meanwhile_gets_nothing_forwarded(site: tuple[GatewayProcess, Issuer, RawUpstream]) -> None:
    """SECURITY-CASES 28"""
    gateway, issuer, upstream = site
    alice = issuer.token("alice", groups=["users"])
    with begin(gateway, alice) as client:
        revoked = httpx.post(
            f"{gateway.url}/-/api/v1/revocations", json={"person": "user:corp:alice@example.com"}, headers=bearer(alice)
        )
        assert revoked.status_code == 200
        client.send(BODY[-1:])
        answer = client.read_response()
    assert (answer.status, json.loads(answer.body)["error"]) == (401, "token_revoked")
    assert upstream.connections == []
    gateway.wait_until(
        lambda: any(b'"detail":"access_ended"' in row.body for row in stored_rows(gateway.site)), "the outcome says so"
    )


def test_one_that_is_sent_to_its_end_is_forwarded(site: tuple[GatewayProcess, Issuer, RawUpstream]) -> None:
    gateway, issuer, _ = site
    with begin(gateway, issuer.token("alice", groups=["users"])) as client:
        client.send(BODY[-1:])
        assert client.read_response().body == b"secret"
