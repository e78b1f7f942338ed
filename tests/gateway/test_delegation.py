"""An agent acts for a person: never more than both may, and the log names both."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.parts.front import close_after, ok
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.raw_upstream import RawUpstream

RULES = [
    "p, user:corp:alice@example.com, prod, logs/**, use, allow,",
    "p, user:corp:alice@example.com, prod, deploys/**, use, allow,",
    "p, workload:ci:agent, prod, logs/**, use, allow,",
    "p, workload:ci:agent, prod, payroll/**, use, allow,",
    "p, workload:ci:agent, control, -/delegations/user:corp:alice@example.com, act, allow,",
]
IDENTITIES = """
workloads:
  agent: {provider: ci, claims: {repository_id: "74", ref: refs/heads/main}}
"""
TYPE = "urn:ietf:params:oauth:token-type:access_token"


class World:
    def __init__(self, gateway: GatewayProcess, people: Issuer, workloads: Issuer) -> None:
        self.gateway, self.people, self.workloads = gateway, people, workloads

    def agent(self) -> str:
        return self.workloads.token("agent", repository_id="74", ref="refs/heads/main")

    def exchange(self, subject: str, actor: str | None = None, **narrower: str) -> httpx.Response:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": subject,
            "subject_token_type": TYPE,
            **({"actor_token": actor, "actor_token_type": TYPE} if actor is not None else {}),
            **narrower,
        }
        return httpx.post(f"{self.gateway.url}/-/oauth/token", data=form)

    def delegated(self, **narrower: str) -> str:
        answer = self.exchange(self.people.token("alice"), self.agent(), **narrower)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def get(self, path: str, token: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.url}{path}", headers=bearer(token))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Issuer() as people, Issuer(name="ci") as workloads, RawUpstream(close_after(ok())) as upstream:
        site = make_site(
            tmp_path_factory.mktemp("delegation"),
            providers=[
                people.settings,
                {
                    "name": "ci",
                    "issuer": workloads.url,
                    "audiences": ["portcullis"],
                    "tokens": "workloads",
                    "algorithms": [workloads.algorithm],
                },
            ],
            backends=[
                {
                    "name": name,
                    "adapter": "http",
                    "url": upstream.url,
                    "environment": "prod",
                    "routes": [{"methods": ["GET"], "path": "/{rest}", "resource": "{rest}", "action": "use"}],
                }
                for name in ("logs", "deploys", "payroll")
            ],
            rules=RULES,
            identities=IDENTITIES,
            with_state=True,
        )
        with GatewayProcess(site) as gateway:
            yield World(gateway, people, workloads)


def test_what_both_may_is_allowed_and_what_either_may_not_is_denied(world: World) -> None:
    token = world.delegated()
    assert world.get("/logs/app", token).status_code == 200
    for path, who in (("/deploys/app", "workload:ci:agent"), ("/payroll/app", "user:corp:alice@example.com")):
        answer = world.get(path, token)
        assert (answer.status_code, answer.json()["code"]) == (403, "denied")
        assert answer.json()["decision"]["subject"] == who


def test_the_log_names_the_person_and_the_agent(world: World) -> None:
    answer = world.get("/logs/app", world.delegated())
    rows = [json.loads(row.body) for row in stored_rows(world.gateway.site)]
    (decision,) = [
        row
        for row in rows
        if row["kind"] == "decision" and row["request_id"] == answer.headers["portcullis-request-id"]
    ]
    assert decision["actor"]["subject"] == "user:corp:alice@example.com"
    assert [each["subject"] for each in decision["actor"]["delegates"]] == ["workload:ci:agent"]


def test_whoami_and_can_i_see_the_delegation_and_the_limits(world: World) -> None:
    token = world.delegated(audience="logs", scope="action:use")
    document = world.get("/-/api/v1/whoami", token).json()
    assert (document["subject"], document["delegates"]) == ("user:corp:alice@example.com", ["workload:ci:agent"])
    assert (document["backends"], document["actions"]) == (["logs"], ["use"])
    asked = world.get("/-/api/v1/can-i?action=use&resource=deploys/app", token).json()
    assert (asked["allowed"], asked["reason"]) == (False, "beyond_token")
    assert world.get("/-/api/v1/can-i?action=use&resource=logs/app", token).json()["allowed"] is True


def test_a_narrowed_token_reaches_nothing_else_and_is_never_widened_again(world: World) -> None:
    narrow = world.delegated(audience="logs")
    assert world.get("/deploys/app", narrow).json()["code"] == "beyond_token"
    again = world.exchange(narrow, audience="deploys")
    assert again.status_code == 400
    wide = world.exchange(narrow).json()["access_token"]
    assert world.get("/deploys/app", wide).json()["code"] == "beyond_token"


@pytest.mark.parametrize("given_up", ["person", "agent"])
def test_who_gives_a_token_up_ends_what_was_made_from_it(world: World, given_up: str) -> None:
    """RFC 7009, for a provider's token as for the gateway's own; SECURITY-CASES 28."""
    person = world.people.token("alice", jti=f"given-up-{given_up}")
    agent = world.workloads.token("agent", repository_id="74", ref="refs/heads/main", jti=f"given-up-{given_up}")
    token = world.exchange(person, agent).json()["access_token"]
    narrow = world.exchange(token, audience="logs").json()["access_token"]
    assert world.get("/logs/app", narrow).status_code == 200
    form = {"token": person if given_up == "person" else agent}
    assert httpx.post(f"{world.gateway.url}/-/oauth/revoke", data=form).status_code == 200
    for each in (token, narrow):
        assert world.get("/logs/app", each).json()["error"] == "token_revoked"
    assert world.get("/logs/app", world.delegated()).status_code == 200


def test_without_a_rule_for_it_nobody_acts_for_anybody(world: World) -> None:
    answer = world.exchange(world.people.token("bob"), world.agent())
    assert answer.status_code == 400
    assert "-/delegations/user:corp:bob@example.com" in answer.json()["error_description"]


def test_a_fork_of_the_repository_is_not_the_agent(world: World) -> None:
    stranger = world.workloads.token("agent", repository_id="75", ref="refs/heads/main")
    assert world.get("/logs/app", stranger).json()["error"] == "unknown_workload"
    assert world.exchange(world.people.token("alice"), stranger).status_code == 400
