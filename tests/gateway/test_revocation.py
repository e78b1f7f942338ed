"""Revocation end to end: by a person of their own, by an administrator under a rule, on this replica and on others."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.proof_key import ProofKey
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawUpstream
from tests.parts.tail import line_then_silence, open_stream, tail_backend

RULES = [
    "p, group:corp:users, prod, logs/**, tail, allow,",
    "p, user:corp:root@example.com, control, -/revocations/**, revoke, allow,",
    "p, user:corp:root@example.com, control, -/sessions/**, read, allow,",
]


class World:
    """A gateway with identity state, an issuer, and a backend that streams."""

    def __init__(self, gateway: GatewayProcess, issuer: Issuer) -> None:
        self.gateway, self.issuer = gateway, issuer

    def token(self, name: str, **claims: Any) -> str:
        return self.issuer.token(name, groups=["users"], **claims)

    def exchanged(self, token: str, **narrower: str) -> str:
        form = {
            **narrower,
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        answer = httpx.post(f"{self.gateway.url}/-/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        own: str = answer.json()["access_token"]
        return own

    def who(self, token: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.url}/-/api/v1/whoami", headers=bearer(token))

    def revoke(self, bearer_token: str, **what: str) -> httpx.Response:
        return httpx.post(f"{self.gateway.url}/-/api/v1/revocations", json=what, headers=bearer(bearer_token))

    def stream(self, token: str) -> RawClient:
        return open_stream(self.gateway.port, token)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Issuer() as issuer, RawUpstream(line_then_silence) as upstream:
        backend = tail_backend(upstream.url)
        site = make_site(tmp_path, providers=[issuer.settings], backends=[backend], rules=RULES, with_state=True)
        with GatewayProcess(site) as gateway:
            yield World(gateway, issuer)


def test_a_revoked_person_is_out_with_every_token_and_every_open_stream(world: World) -> None:
    """SECURITY-CASES 28"""
    alice, bob, root = world.token("alice"), world.token("bob"), world.token("root")
    own = world.exchanged(alice)
    with world.stream(alice) as first, world.stream(own) as second, world.stream(bob):
        assert world.revoke(root, person="user:corp:alice@example.com").json()["revoked"] == "person"
        first.read_to_close()
        second.read_to_close()
    for token in (alice, own):
        answer = world.who(token)
        assert (answer.status_code, answer.json()["error"]) == (401, "token_revoked")
    assert world.who(bob).status_code == 200


def test_who_logs_in_again_after_a_revocation_is_let_in(world: World) -> None:
    assert world.revoke(world.token("root"), person="user:corp:alice@example.com").status_code == 200
    assert world.who(world.token("alice")).status_code == 401
    later = int(time.time()) + 1
    assert world.who(world.token("alice", iat=later)).status_code == 200


def test_a_token_is_revoked_alone_by_the_digest_that_audit_records_name(world: World) -> None:
    first, second = world.token("alice"), world.token("alice")
    digest = hashlib.sha256(first.encode()).hexdigest()
    assert world.who(first).status_code == 200
    assert world.revoke(world.token("root"), token=digest).json() == {"revoked": "token", "sessions_ended": 0}
    assert world.who(first).json()["error"] == "token_revoked"
    assert world.who(second).status_code == 200


def test_one_may_revoke_oneself_without_a_rule_and_nobody_else(world: World) -> None:
    alice = world.token("alice")
    denied = world.revoke(alice, person="user:corp:bob@example.com")
    assert (denied.status_code, denied.json()["code"]) == (403, "denied")
    assert denied.json()["decision"]["resource"] == "-/revocations/user:corp:bob@example.com"
    assert world.revoke(alice, person="user:corp:alice@example.com").status_code == 200
    assert world.who(alice).status_code == 401


def test_a_narrowed_token_has_no_say_about_its_persons_sessions(world: World) -> None:
    narrow = world.exchanged(world.token("alice"), audience="logs")
    answer = world.revoke(narrow, person="user:corp:alice@example.com")
    assert (answer.status_code, answer.json()["code"]) == (403, "beyond_token")


def test_an_administrator_with_a_bound_token_proves_it_once_and_is_let(world: World) -> None:
    key = ProofKey()
    root = world.token("root", cnf={"jkt": key.thumbprint})
    path = "/-/api/v1/revocations"
    answer = httpx.post(
        world.gateway.url + path,
        json={"person": "user:corp:alice@example.com"},
        headers=key.headers("POST", f"https://gateway.example.com{path}", root),
    )
    assert answer.status_code == 200, answer.text


def test_who_revoked_whom_is_recorded_before_it_is_done(world: World) -> None:
    world.revoke(world.token("root"), person="user:corp:alice@example.com")
    rows = [json.loads(row.body) for row in stored_rows(world.gateway.site)]
    (revoked,) = [row for row in rows if row["kind"] == "authn" and row["action"] == "revoke"]
    assert revoked["actor"]["subject"] == "user:corp:root@example.com"
    assert revoked["detail"] == "user:corp:alice@example.com"
    (decision,) = [row for row in rows if row["kind"] == "decision" and row["environment"] == "control"]
    assert decision["accesses"] == [
        {"action": "revoke", "resource": "-/revocations/user:corp:alice@example.com"},
    ]
    assert rows.index(decision) < rows.index(revoked)


def test_a_revocation_outlives_a_restart(world: World) -> None:
    alice = world.token("alice")
    world.revoke(world.token("root"), person="user:corp:alice@example.com")
    world.gateway.stop()
    world.gateway.start()
    assert world.who(alice).json()["error"] == "token_revoked"


@pytest.mark.parametrize(
    "body",
    [{}, {"person": "user:a", "token": "0" * 64}, {"person": "alice"}, {"token": "xyz"}, {"everything": "now"}],
    ids=["nothing", "two", "no-subject", "no-digest", "unknown"],
)
def test_what_is_not_one_clear_wish_is_refused(world: World, body: dict[str, str]) -> None:
    assert world.revoke(world.token("root"), **body).status_code == 400


def test_no_route_of_the_api_reads_a_body_by_itself(world: World) -> None:
    """A body parameter of FastAPI's own is read whole, however large, before the route can look who is calling."""
    paths = httpx.get(f"{world.gateway.url}/-/api/openapi.json").json()["paths"]
    assert "/-/api/v1/revocations" in paths
    assert [path for path, methods in paths.items() for each in methods.values() if "requestBody" in each] == []


def test_a_large_body_is_refused_whoever_sends_it(world: World) -> None:
    url, large = f"{world.gateway.url}/-/api/v1/revocations", b'{"person":"' + b"a" * 5000 + b'"}'
    assert httpx.post(url, content=large).json()["code"] == "credential_required"
    answer = httpx.post(url, content=large, headers=bearer(world.token("root")))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_parameter")


def test_while_the_identity_database_is_away_nobody_is_let_in(world: World) -> None:
    """Nobody could be told apart from the revoked; once it is back, everybody is let in again."""
    alice = world.token("alice")
    assert world.who(alice).status_code == 200
    database = world.gateway.site.directory / "identity.db"
    moved = database.with_name("away.db")
    database.rename(moved)
    world.gateway.wait_until(lambda: world.who(alice).status_code == 503, "it notices")
    assert world.who(alice).json()["code"] == "identity_state_unavailable"
    moved.rename(database)
    world.gateway.wait_until(lambda: world.who(alice).status_code == 200, "it goes on")
