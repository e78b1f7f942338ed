"""A denial that another login would lift asks for that login (RFC 9470), for persons and for nobody else."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.backend import Access
from gateway.exchange import Exchange
from gateway.judgement import decide
from gateway.problems import Problem
from identity.principal import Confirmation, Delegate, Limits, Principal
from tests.gateway.policy.bundles import engine_of
from tests.parts.front import METHODS, ok
from tests.parts.gateway import GatewayProcess, Site, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.proof_key import ProofKey
from tests.parts.raw_upstream import RawConnection, RawUpstream

ROUTES = [{"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"}]
RULES = [
    "p, group:corp:users, prod, raw/fresh, use, allow, auth_age_s < 300",
    "p, group:corp:users, prod, raw/strong, use, allow, acr in ('gold', 'platinum')",
    "p, group:corp:users, prod, raw/both, use, allow,",
    "p, group:corp:users, prod, raw/both, use, deny, acr != 'gold' or auth_age_s > 60",
    "p, group:corp:admins, prod, raw/admin, use, allow, acr == 'gold'",
]


class Place:
    def __init__(self, gateway: GatewayProcess, issuer: Issuer, site: Site) -> None:
        self.gateway, self.issuer, self.site = gateway, issuer, site

    def token(self, *, auth_age_s: int = 1_000, **claims: Any) -> str:
        return self.issuer.token("alice", groups=["users"], auth_time=int(time.time()) - auth_age_s, **claims)

    def get(self, path: str, token: str) -> httpx.Response:
        return httpx.get(self.gateway.url + path, headers=bearer(token))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    def answer(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(ok())

    with Issuer() as issuer, RawUpstream(answer) as upstream:
        backend = {"name": "raw", "adapter": "http", "url": upstream.url, "environment": "prod", "routes": ROUTES}
        site = make_site(tmp_path_factory.mktemp("site"), providers=[issuer.settings], backends=[backend], rules=RULES)
        with GatewayProcess(site) as gateway:
            yield Place(gateway, issuer, site)


@pytest.mark.parametrize(
    ("path", "acr_values", "max_age", "parameters"),
    [
        ("/raw/fresh", [], 299, 'max_age="299"'),
        ("/raw/strong", ["gold", "platinum"], None, 'acr_values="gold platinum"'),
        ("/raw/both", ["gold"], 60, 'acr_values="gold", max_age="60"'),
    ],
)
def test_the_401_says_which_login_would_do_and_such_a_login_does(
    place: Place, path: str, acr_values: list[str], max_age: int | None, parameters: str
) -> None:
    response = place.get(path, place.token(acr="tin"))
    document = response.json()
    assert (response.status_code, document["code"]) == (401, "stronger_login_required")
    assert document["step_up"] == {"acr_values": acr_values, "max_age": max_age}
    assert document["decision"]["allowed"] is False
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="portcullis", error="insufficient_user_authentication", ')
    assert parameters in challenge
    claims: dict[str, Any] = {"auth_age_s": 0 if max_age is not None else 1_000}
    for acr in acr_values or ["tin"]:
        assert place.get(path, place.token(acr=acr, **claims)).status_code == 200


def test_it_is_recorded_as_denied_with_the_rule_that_denied(place: Place) -> None:
    response = place.get("/raw/both", place.token(acr="tin"))
    index, _, _ = response.headers["portcullis-receipt"].partition(":")
    row = stored_rows(place.site)[int(index)]
    body = json.loads(row.body)
    assert (row.verdict, row.actor) == ("denied", "user:corp:alice@example.com")
    assert (body["status"], body["rule"]["line"]) == (401, 4)


def test_where_no_login_helps_the_answer_is_a_plain_denial(place: Place) -> None:
    response = place.get("/raw/admin", place.token(acr="tin"))
    assert (response.status_code, response.json()["code"]) == (403, "denied")
    assert response.json()["decision"]["step_up"] is None


def test_can_i_tells_it_beforehand(place: Place) -> None:
    def can_i(resource: str, token: str) -> Any:
        query = httpx.QueryParams(action="use", resource=resource)
        return place.get(f"/-/api/v1/can-i?{query}", token).json()

    answer = can_i("raw/both", place.token(acr="tin"))
    assert (answer["allowed"], answer["step_up"]) == (False, {"acr_values": ["gold"], "max_age": 60})
    assert can_i("raw/admin", place.token(acr="tin"))["step_up"] is None
    assert can_i("raw/fresh", place.token(auth_age_s=0))["step_up"] is None


def test_who_uses_a_bound_token_is_asked_by_its_scheme(place: Place) -> None:
    key = ProofKey()
    token = place.token(cnf={"jkt": key.thumbprint})
    headers = key.headers("GET", "https://gateway.example.com/raw/fresh", token)
    challenge = httpx.get(place.gateway.url + "/raw/fresh", headers=headers).headers["www-authenticate"]
    assert challenge.startswith("DPoP ")
    assert 'max_age="299"' in challenge
    assert 'algs="ES256 ' in challenge


NOW = 1_800_000_000
AGENT = Delegate("workload:ci:agent", "ci", "agent", ())
ALICE = Principal(
    subject="user:alice",
    provider="corp",
    issuer="https://sso.example.com",
    token_subject="1",
    username="alice",
    groups=(),
    expires_at=NOW + 600,
    issued_at=NOW - 10,
    authenticated_at=NOW - 1_000,
    acr="tin",
    amr=(),
    token_sha256="0" * 64,
)
BOTH_MAY = "p, user:alice, prod, raw/**, *, allow, acr == 'gold'\np, workload:ci:agent, prod, raw/**, *, allow,\n"


def judged(tmp_path: Path, rules: str, principal: Principal, *accesses: tuple[str, str]) -> Problem | None:
    exchange = Exchange(
        {"method": "GET", "client": ("192.0.2.1", 1)},
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        request_id="r",
        received_us=NOW * 1_000_000,
    )
    exchange.accesses = tuple(Access(*access) for access in accesses or [("raw/x", "use")])
    return decide(engine_of(tmp_path, rules), exchange, principal, "raw", "prod")


def changed(**changes: Any) -> Principal:
    return Principal(**{name: getattr(ALICE, name) for name in Principal.__slots__} | changes)


@pytest.mark.parametrize(
    ("rules", "changes", "accesses", "code"),
    [
        (BOTH_MAY, {}, [], "stronger_login_required"),
        (BOTH_MAY, {"kind": "workload"}, [], "denied"),
        # The person's own lack, where the agent may: the person can log in, and hand the agent a better token.
        (BOTH_MAY, {"delegates": (AGENT,)}, [], "stronger_login_required"),
        # The agent's lack, whatever the person's login is.
        ("p, user:alice, prod, raw/**, *, allow,", {"delegates": (AGENT,)}, [], "denied"),
        (
            "p, user:alice, prod, raw/**, *, allow,\np, workload:ci:agent, prod, raw/**, *, allow, acr == 'gold'",
            {"delegates": (AGENT,)},
            [],
            "denied",
        ),
        # The person lacks a login, and the agent lacks the right as well.
        ("p, user:alice, prod, raw/**, *, allow, acr == 'gold'", {"delegates": (AGENT,)}, [], "denied"),
        # A second access of the request that no login would allow.
        (BOTH_MAY, {}, [("raw/x", "use"), ("other/x", "use")], "denied"),
        (BOTH_MAY, {"limits": Limits(actions=("use",))}, [("raw/x", "use"), ("raw/x", "drop")], "denied"),
        (BOTH_MAY, {"acr": "gold"}, [], None),
    ],
)
def test_a_login_is_asked_of_persons_and_only_where_the_whole_request_would_pass(
    tmp_path: Path, rules: str, changes: dict[str, Any], accesses: list[tuple[str, str]], code: str | None
) -> None:
    problem = judged(tmp_path, rules, changed(**changes), *accesses)
    assert (problem.code if problem is not None else None) == code


def test_a_bound_callers_token_binding_is_seen_by_the_policy(tmp_path: Path) -> None:
    for binding, method in (("none", None), ("dpop", "jkt"), ("mtls", "x5t#S256")):
        rules = f"p, user:alice, prod, raw/**, *, allow, token_binding == '{binding}'"
        confirmation = Confirmation(method, "x") if method is not None else None  # type: ignore[arg-type]
        assert judged(tmp_path / binding, rules, changed(confirmation=confirmation)) is None
