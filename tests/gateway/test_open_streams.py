"""SECURITY-CASES 28: whoever may no longer do something stops doing it, in streams that are open already as well."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.gateway import GatewayProcess, Site, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawConnection, RawUpstream

ALLOW_ALICE = "p, user:alice, prod, logs/**, tail, allow,"
ALLOW_BOB = "p, user:corp:bob@example.com, prod, logs/**, tail, allow,"
IDENTITIES = "people:\n  alice:\n    accounts: [{provider: corp, subject: sub-alice}]\n"


class Tail:
    """A backend that sends one line, then nothing until its peer leaves."""

    def __init__(self) -> None:
        self.arrived, self.left = threading.Event(), threading.Event()
        self.silent = False
        self.connections: list[RawConnection] = []

    def __call__(self, connection: RawConnection) -> None:
        self.connections.append(connection)
        connection.read_request()
        self.arrived.set()
        if not self.silent:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nline\n\r\n")
        connection.read_to_end()
        self.left.set()


@pytest.fixture
def tail() -> Tail:
    return Tail()


@pytest.fixture
def site(tmp_path: Path, tail: Tail) -> Iterator[tuple[GatewayProcess, Issuer]]:
    with Issuer() as issuer, RawUpstream(tail) as upstream:
        backend = {
            "name": "logs",
            "adapter": "http",
            "url": upstream.url,
            "environment": "prod",
            "routes": [{"methods": ["GET"], "path": "/{stream}", "resource": "{stream}", "action": "tail"}],
        }
        site = make_site(
            tmp_path,
            providers=[issuer.settings | {"leeway_s": 0}],
            backends=[backend],
            rules=[ALLOW_ALICE, ALLOW_BOB],
            identities=IDENTITIES,
        )
        with GatewayProcess(site) as gateway:
            yield gateway, issuer


def open_stream(gateway: GatewayProcess, token: str) -> RawClient:
    client = RawClient(gateway.port)
    client.send(f"GET /logs/app HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return client


def write_rules(site: Site, *rules: str) -> None:
    (site.policies / "rules" / "rules.csv").write_text("".join(f"{rule}\n" for rule in rules))


def outcome_details(site: Site) -> list[str]:
    return [json.loads(row.body)["detail"] for row in stored_rows(site) if row.kind == "outcome"]


def test_a_rule_that_is_taken_away_ends_the_streams_it_allowed(site: tuple[GatewayProcess, Issuer], tail: Tail) -> None:
    gateway, issuer = site
    with open_stream(gateway, issuer.token("alice")) as client:
        client.read_until(b"line\n")
        write_rules(gateway.site, ALLOW_BOB)
        client.read_to_close()
        assert tail.left.wait(5)
    gateway.wait_until(lambda: outcome_details(gateway.site) == ["access_ended"], "the outcome says why")


def test_a_person_who_is_deactivated_is_cut_and_others_are_not(site: tuple[GatewayProcess, Issuer], tail: Tail) -> None:
    gateway, issuer = site
    with open_stream(gateway, issuer.token("bob")) as bob, open_stream(gateway, issuer.token("alice")) as alice:
        bob.read_until(b"line\n")
        alice.read_until(b"line\n")
        (gateway.site.policies / "identities.yaml").write_text(
            IDENTITIES.replace("alice:\n", "alice:\n    deactivated: true\n", 1)
        )
        alice.read_to_close()
        assert tail.left.wait(5)
        tail.connections[0].send(b"5\r\nmore\n\r\n")
        assert bob.read_until(b"more\n")


def test_a_stream_ends_when_the_token_that_vouched_for_it_does(site: tuple[GatewayProcess, Issuer], tail: Tail) -> None:
    gateway, issuer = site
    with open_stream(gateway, issuer.token("alice", lifetime_s=2)) as client:
        client.read_until(b"line\n")
        client.read_to_close()
        assert tail.left.wait(5)
    gateway.wait_until(lambda: outcome_details(gateway.site) == ["access_ended"], "the outcome says why")


def test_a_request_without_an_answer_yet_is_answered_that_access_ended(
    site: tuple[GatewayProcess, Issuer], tail: Tail
) -> None:
    gateway, issuer = site
    tail.silent = True
    with open_stream(gateway, issuer.token("alice")) as client:
        gateway.wait_until(
            lambda: any(row.verdict == "allowed" for row in stored_rows(gateway.site)), "it is forwarded"
        )
        write_rules(gateway.site, ALLOW_BOB)
        response = client.read_response()
        assert (response.status, json.loads(response.body)["code"]) == (403, "denied")
