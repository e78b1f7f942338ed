"""Two replicas on one PostgreSQL database: what one of them learns, the other acts on."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from gateway.app import create_identity_state
from identity.sealing import Sealer
from tests.parts.gateway import GatewayProcess, bearer, make_site
from tests.parts.issuer import Issuer
from tests.parts.postgres import Postgres
from tests.parts.raw_upstream import RawUpstream
from tests.parts.tail import line_then_silence, open_stream, tail_backend

RULES = [
    "p, group:corp:users, prod, logs/**, tail, allow,",
    "p, user:corp:root@example.com, control, -/revocations/**, revoke, allow,",
]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@dataclass
class Replicas:
    """Two gateways with one identity database and one secret, each with an audit log of its own."""

    one: GatewayProcess
    other: GatewayProcess
    issuer: Issuer
    postgres: Postgres

    def who(self, gateway: GatewayProcess, token: str) -> httpx.Response:
        return httpx.get(f"{gateway.url}/-/api/v1/whoami", headers=bearer(token))

    def exchanged(self, gateway: GatewayProcess, token: str) -> str:
        form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
        answer = httpx.post(f"{gateway.url}/-/oauth/token", data=form)
        own: str = answer.json()["access_token"]
        return own


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    directory = tmp_path_factory.mktemp("replicas")
    secret = directory / "identity.secret"
    Sealer.create(secret)
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        upstream = stack.enter_context(RawUpstream(line_then_silence))
        postgres = stack.enter_context(Postgres())
        database = postgres.create_database()
        create_identity_state(database, postgres.password)
        backend = tail_backend(upstream.url)
        state = {"database": database, "database_password_env": "DB_PASSWORD", "secret_file": str(secret)}
        gateways = []
        for name in ("one", "other"):
            (directory / name).mkdir()
            site = make_site(
                directory / name,
                providers=[issuer.settings],
                backends=[backend],
                rules=RULES,
                identity={"state": state},
            )
            gateways.append(stack.enter_context(GatewayProcess(site, environment={"DB_PASSWORD": postgres.password})))
        yield Replicas(gateways[0], gateways[1], issuer, postgres)


def test_a_token_made_by_one_replica_is_good_at_the_other(replicas: Replicas) -> None:
    own = replicas.exchanged(replicas.one, replicas.issuer.token("alice", groups=["users"]))
    replicas.other.wait_until(lambda: replicas.who(replicas.other, own).status_code == 200, "it knows the key")
    keys = [httpx.get(f"{gateway.url}/-/oauth/jwks").json() for gateway in (replicas.one, replicas.other)]
    assert keys[0] == keys[1]
    assert keys[0]["keys"]


def test_a_revocation_at_one_replica_cuts_the_streams_of_the_other(replicas: Replicas) -> None:
    """SECURITY-CASES 28; how long it takes is measured by `make bench ONLY=revocation`."""
    alice = replicas.issuer.token("alice", groups=["users"])
    root = replicas.issuer.token("root")
    with open_stream(replicas.other.port, alice) as stream:
        answer = httpx.post(
            f"{replicas.one.url}/-/api/v1/revocations",
            json={"person": "user:corp:alice@example.com"},
            headers=bearer(root),
        )
        assert answer.status_code == 200
        stream.read_to_close()
    assert replicas.who(replicas.other, alice).json()["error"] == "token_revoked"


def test_the_databases_password_is_in_no_log(replicas: Replicas) -> None:
    for gateway in (replicas.one, replicas.other):
        assert replicas.postgres.password not in gateway.log


def test_while_the_database_is_away_every_replica_keeps_everybody_out(replicas: Replicas) -> None:
    carol = replicas.issuer.token("carol")
    assert replicas.who(replicas.other, carol).status_code == 200
    replicas.postgres.stop()
    try:
        for gateway in (replicas.one, replicas.other):
            gateway.wait_until(lambda gateway=gateway: replicas.who(gateway, carol).status_code == 503, "it notices")
    finally:
        replicas.postgres.start()
    for gateway in (replicas.one, replicas.other):
        gateway.wait_until(lambda gateway=gateway: replicas.who(gateway, carol).status_code == 200, "it goes on")
