"""The OAuth endpoints over HTTP: who gets a token, what errors say, and that nothing is given out unrecorded."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from gateway.api import oauth
from gateway.api.forms import MAX_FORM_BYTES
from gateway.api.oauth_metadata import authorization_server_metadata
from gateway.api.oauth_services import OAuthServices
from gateway.exchange import Exchange
from gateway.judgement import read_head
from gateway.policy.bundle import load_bundle
from gateway.policy.engine import PolicyEngine
from gateway.possession import Possession
from identity.dpop import ProofVerifier
from identity.issuer.clients import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN, TOKEN_EXCHANGE
from identity.issuer.exchange import JWT_TYPE
from identity.issuer.introspection import IntrospectionClients
from identity.principal import Limits
from identity.proof_nonces import ProofNonces
from identity.state import Claimed, StateUnavailableError
from tests.audit.log_story import new_log
from tests.audit.memory_store import MemoryLog, MemoryStore
from tests.identity.issuer import NOW
from tests.parts.gateway import MODEL
from tests.parts.issuing import PUBLIC_URL, REDIRECT_URI, VERIFIER, Issuing, challenge
from tests.parts.proof_key import ProofKey

RULES = """\
p, user:ci:agent, control, -/delegations/user:corp:alice, act, allow,
p, user:ci:impatient, control, -/delegations/**, act, allow, token_age_s < 5
"""
TOKEN = "/-/oauth/token"
REVOKE = "/-/oauth/revoke"
INTROSPECT = "/-/oauth/introspect"
DEVICE = "/-/oauth/device_authorization"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Gateway:
    """The endpoints in this process, over a real store, policy and audit log."""

    world: Issuing
    services: OAuthServices
    http: httpx.AsyncClient
    store: MemoryStore
    thumbprint: str | None = None
    bodies: list[bytes] = field(default_factory=list)

    async def post(self, path: str, *, headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
        text = {name: value.decode() if isinstance(value, bytes) else value for name, value in parameters.items()}
        response = await self.http.post(path, data=text, headers=headers)
        self.bodies.append(response.content)
        return response

    def records(self) -> list[dict[str, Any]]:
        rows = [json.loads(row.body) for row in self.store.log.rows]
        return [row for row in rows if row["kind"] == "authn"]

    async def code(self, **changes: str) -> str:
        query = {
            "response_type": "code",
            "client_id": "portcullis-cli",
            "redirect_uri": REDIRECT_URI,
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
        } | changes
        request = self.services.authorization.request(urlencode(query).encode())
        url = await self.services.authorization.allow(request, await self.world.begin(limits=request.limits))
        return parse_qs(urlsplit(url).query)["code"][0]

    async def login(self, **headers: str) -> dict[str, Any]:
        """Log in by code and return the token answer."""
        response = await self.post(
            TOKEN,
            headers=headers,
            grant_type=AUTHORIZATION_CODE,
            client_id="portcullis-cli",
            code=await self.code(),
            code_verifier=VERIFIER,
            redirect_uri=REDIRECT_URI,
        )
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    async def exchange(self, subject: bytes | str, **parameters: Any) -> httpx.Response:
        return await self.post(
            TOKEN, grant_type=TOKEN_EXCHANGE, subject_token=subject, subject_token_type=JWT_TYPE, **parameters
        )


Story = Callable[[Gateway], Awaitable[None]]


def in_gateway(tmp_path: Path, story: Story) -> Gateway:
    """Let a story happen at a gateway of its own."""
    policies = tmp_path / "policies"
    (policies / "rules").mkdir(parents=True)
    (policies / "model.conf").write_bytes(MODEL.read_bytes())
    (policies / "rules" / "rules.csv").write_text(RULES)
    engine = PolicyEngine(load_bundle(policies))
    store = MemoryStore(MemoryLog())
    told: list[Gateway] = []

    async def run() -> None:
        log = new_log(store)
        await log.start()
        async with Issuing(tmp_path) as world:
            possession = Possession(ProofVerifier(ProofNonces(world.sealer)), PUBLIC_URL)
            services = OAuthServices(
                issuer=PUBLIC_URL,
                instance="gw-1",
                federation=world.federation,
                audit=log,
                keys=world.keys,
                sessions=world.sessions,
                authorization=world.authorization,
                devices=world.devices,
                exchange=world.exchange,
                revocations=world.state,
                clients=IntrospectionClients({"grafana": SecretStr("s3c+ret%")}),
                policy=lambda: engine,
                offered=possession.offered,
                in_force=world.catch_up,
                mutual_tls=True,
            )
            app = FastAPI()
            app.include_router(oauth.router(services))
            transport = httpx.ASGITransport(_with_exchange(app, world, told))
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
                told.append(Gateway(world, services, http, store))
                await story(told[0])
        store.go_on.set()
        await log.close()

    asyncio.run(run())
    return told[0]


def _with_exchange(app: FastAPI, world: Issuing, told: list[Gateway]) -> Any:
    """Do what `gateway.proxy` does before a request of the gateway's own API."""

    async def front(scope: Any, receive: Any, send: Any) -> None:
        raw = SimpleNamespace(target=scope["raw_path"], headers=scope["headers"], client_thumbprint=told[0].thumbprint)
        now_us = int(world.clock.now * 1_000_000)
        exchange = Exchange(scope, receive, send, cast(Any, raw), request_id="0" * 26, received_us=now_us)
        assert read_head(exchange, {}) is None
        await app(scope | {"state": {"exchange": exchange}}, receive, send)

    return front


def error_of(response: httpx.Response, status: int = 400) -> str:
    """Return the error code of an answer that is in the form of RFC 6749, section 5.2."""
    assert response.status_code == status, response.text
    document = response.json()
    assert set(document) == {"error", "error_description"}
    assert response.headers["cache-control"] == "no-store"
    assert document["error_description"].isascii() and not set('"\\') & set(document["error_description"])
    return str(document["error"])


def test_a_code_is_exchanged_for_tokens_and_that_is_on_record_first(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        assert answer["token_type"] == "Bearer" and answer["expires_in"] == 600
        principal = await gateway.world.federation.authenticate(answer["access_token"].encode())
        (record,) = gateway.records()
        assert (record["action"], record["result"], record["client"]) == ("login", "ok", "portcullis-cli")
        assert record["actor"]["token_sha256"] == principal.token_sha256
        assert record["session"] == principal.session
        assert record["detail"] == f"the session {principal.session}"

    in_gateway(tmp_path, story)


def test_token_answers_are_kept_by_no_cache(tmp_path: Path) -> None:
    """RFC 6749, section 5.1"""

    async def story(gateway: Gateway) -> None:
        response = await gateway.exchange(gateway.world.corp.token())
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["pragma"] == "no-cache"
        assert response.headers["content-type"] == "application/json"
        assert response.headers["portcullis-request-id"] == "0" * 26

    in_gateway(tmp_path, story)


def test_a_refresh_token_is_good_once_and_its_second_use_is_on_record(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        renewal = {
            "grant_type": REFRESH_TOKEN,
            "client_id": "portcullis-cli",
            "refresh_token": answer["refresh_token"],
        }
        renewed = await gateway.post(TOKEN, **renewal, scope="action:read")
        assert renewed.json()["scope"] == "action:read"
        assert error_of(await gateway.post(TOKEN, **renewal)) == "invalid_grant"
        told = await gateway.post(
            INTROSPECT, token=renewed.json()["access_token"], client_id="grafana", client_secret="s3c+ret%"
        )
        assert told.json() == {"active": False}
        assert [(row["action"], row["result"]) for row in gateway.records()] == [
            ("login", "ok"),
            ("renew", "ok"),
            ("renew", "fail"),
        ]

    in_gateway(tmp_path, story)


def test_a_device_logs_in(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        begun = (await gateway.post(DEVICE, client_id="portcullis-cli", resource=f"{PUBLIC_URL}/aws-prod")).json()
        polling = {
            "grant_type": DEVICE_CODE,
            "client_id": "portcullis-cli",
            "device_code": begun["device_code"],
        }
        assert error_of(await gateway.post(TOKEN, **polling)) == "authorization_pending"
        assert error_of(await gateway.post(TOKEN, **polling)) == "slow_down"
        assert gateway.records() == []
        devices = gateway.services.devices
        device = await devices.lookup(begun["user_code"], "user:corp:alice")
        assert device is not None and device.limits == Limits(("aws-prod",))
        assert await devices.allow(device, await gateway.world.begin(limits=device.limits))
        answer = await gateway.post(TOKEN, **polling)
        principal = await gateway.world.federation.authenticate(answer.json()["access_token"].encode())
        assert principal.limits == Limits(("aws-prod",))
        assert error_of(await gateway.post(TOKEN, **polling)) == "expired_token"

    in_gateway(tmp_path, story)


def test_an_agent_acts_for_a_person_only_by_a_rule(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        alice = gateway.world.corp.token()
        actor = {"actor_token_type": JWT_TYPE, "actor_token": gateway.world.ci.token(sub="agent")}
        answer = await gateway.exchange(alice, **actor)
        principal = await gateway.world.federation.authenticate(answer.json()["access_token"].encode())
        assert (principal.subject, principal.delegates[0].subject) == ("user:corp:alice", "user:ci:agent")
        record = gateway.records()[-1]
        assert record["detail"].startswith("user:ci:agent for user:corp:alice, by the rule at ")
        assert record["actor"]["delegates"][0]["subject"] == "user:ci:agent"

        response = await gateway.exchange(gateway.world.corp.token(sub="bob"), **actor)
        assert error_of(response) == "invalid_request"
        assert "no rule for act on -/delegations/user:corp:bob" in response.json()["error_description"]
        assert gateway.records()[-1]["result"] == "fail"
        # Conditions see the actor's own token, which is 10 s old here.
        impatient = gateway.world.ci.token(sub="impatient")
        response = await gateway.exchange(alice, actor_token_type=JWT_TYPE, actor_token=impatient)
        assert error_of(response) == "invalid_request"

    in_gateway(tmp_path, story)


def test_tokens_are_bound_to_the_key_that_the_request_proves(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        key = ProofKey()

        def proof(**claims: Any) -> dict[str, str]:
            return {"DPoP": key.proof("POST", PUBLIC_URL + TOKEN, iat=NOW, **claims)}

        answer = await gateway.login(**proof())
        assert answer["token_type"] == "DPoP"
        principal = await gateway.world.federation.authenticate(answer["access_token"].encode())
        assert principal.confirmation is not None and principal.confirmation.thumbprint == key.thumbprint
        renewal = {
            "grant_type": REFRESH_TOKEN,
            "client_id": "portcullis-cli",
            "refresh_token": answer["refresh_token"],
        }
        assert error_of(await gateway.post(TOKEN, **renewal)) == "invalid_grant"
        wrong = proof(htu=PUBLIC_URL + "/other")
        assert error_of(await gateway.post(TOKEN, headers=wrong, **renewal)) == "invalid_dpop_proof"
        assert gateway.records()[-1]["detail"].startswith("invalid_dpop_proof: ")
        assert (await gateway.post(TOKEN, headers=proof(), **renewal)).status_code == 200

    in_gateway(tmp_path, story)


def test_tokens_are_bound_to_the_certificate_of_the_connection(tmp_path: Path) -> None:
    """RFC 8705, section 3"""

    async def story(gateway: Gateway) -> None:
        gateway.thumbprint = "A" * 43
        for answer in (await gateway.login(), (await gateway.exchange(gateway.world.k8s.token(sub="agent"))).json()):
            assert answer["token_type"] == "Bearer"
            principal = await gateway.world.federation.authenticate(answer["access_token"].encode())
            assert principal.confirmation is not None and principal.confirmation.method == "x5t#S256"
            gateway.thumbprint = None
            assert error_of(await gateway.exchange(answer["access_token"])) == "invalid_request"
            gateway.thumbprint = "A" * 43

    in_gateway(tmp_path, story)


def test_a_token_that_was_made_without_a_key_gets_none_later(tmp_path: Path) -> None:
    """A thief has a key too: only who logs in says which one a token is bound to."""

    async def story(gateway: Gateway) -> None:
        key = ProofKey()

        def proof() -> dict[str, str]:
            return {"DPoP": key.proof("POST", PUBLIC_URL + TOKEN, iat=NOW)}

        answer = await gateway.login()
        renewal = {
            "grant_type": REFRESH_TOKEN,
            "client_id": "portcullis-cli",
            "refresh_token": answer["refresh_token"],
        }
        exchange = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": JWT_TYPE}
        refused = [
            await gateway.post(TOKEN, headers=proof(), **renewal),
            await gateway.post(TOKEN, headers=proof(), **exchange, subject_token=answer["access_token"]),
            await gateway.post(TOKEN, headers=proof(), **exchange, subject_token=gateway.world.corp.token()),
        ]
        for response in refused:
            assert error_of(response) == "invalid_request"
            assert "log in with the key" in response.json()["error_description"]
        assert (await gateway.post(TOKEN, **renewal)).json()["token_type"] == "Bearer"
        workload = gateway.world.k8s.token(sub="agent")
        bound = await gateway.post(TOKEN, headers=proof(), **exchange, subject_token=workload)
        assert bound.json()["token_type"] == "DPoP"

    in_gateway(tmp_path, story)


@pytest.mark.parametrize(
    ("parameters", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "password", "username": "alice", "password": "x"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": AUTHORIZATION_CODE}, 400, "invalid_request"),
        ({"grant_type": AUTHORIZATION_CODE, "client_id": "other"}, 401, "invalid_client"),
        ({"grant_type": AUTHORIZATION_CODE, "client_id": "portcullis-cli"}, 400, "invalid_request"),
        ({"grant_type": REFRESH_TOKEN, "client_id": "portcullis-cli"}, 400, "invalid_request"),
        ({"grant_type": REFRESH_TOKEN, "client_id": "portcullis-cli", "refresh_token": "x"}, 400, "invalid_grant"),
        ({"grant_type": DEVICE_CODE, "client_id": "portcullis-cli"}, 400, "invalid_request"),
        ({"grant_type": DEVICE_CODE, "client_id": "portcullis-cli", "device_code": "x"}, 400, "expired_token"),
        ({"grant_type": TOKEN_EXCHANGE}, 400, "invalid_request"),
        ({"grant_type": TOKEN_EXCHANGE, "client_id": "other"}, 401, "invalid_client"),
        ({"grant_type": [REFRESH_TOKEN, REFRESH_TOKEN]}, 400, "invalid_request"),
        ({"grant_type": REFRESH_TOKEN, "what": ["1", "2"]}, 400, "invalid_request"),
        ({"grant_type": "\u0000"}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_with_a_token_request_is_said_in_the_standards_words(
    tmp_path: Path, parameters: dict[str, Any], status: int, error: str
) -> None:
    async def story(gateway: Gateway) -> None:
        response = await gateway.post(TOKEN, **parameters)
        assert error_of(response, status) == error
        assert ("www-authenticate" in response.headers) == (status == 401)

    in_gateway(tmp_path, story)


def test_a_public_client_has_no_credentials_to_send(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        basic = {"Authorization": "Basic " + base64.b64encode(b"portcullis-cli:x").decode()}
        response = await gateway.post(TOKEN, headers=basic, grant_type=REFRESH_TOKEN, client_id="portcullis-cli")
        assert error_of(response, 401) == "invalid_client"
        assert response.headers["www-authenticate"].startswith("Basic ")

    in_gateway(tmp_path, story)


@pytest.mark.parametrize("path", [TOKEN, DEVICE, INTROSPECT, REVOKE])
def test_bodies_are_bounded_and_of_one_kind(tmp_path: Path, path: str) -> None:
    """SECURITY-CASES 23"""

    async def story(gateway: Gateway) -> None:
        pieces = 0

        async def endless() -> Any:
            nonlocal pieces
            while True:
                pieces += 1
                yield b"a" * 4096

        response = await gateway.http.post(path, content=endless(), headers={"content-type": FORM})
        assert error_of(response, 413) == "invalid_request"
        assert pieces <= MAX_FORM_BYTES // 4096 + 2
        assert error_of(await gateway.http.post(path, json={"token": "x"})) == "invalid_request"
        response = await gateway.http.post(path, content=b"\xff=\xfe", headers={"content-type": FORM})
        assert error_of(response) == "invalid_request"

    in_gateway(tmp_path, story)


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.forms.FORM_WITHIN_S", 0.05)

    async def story(gateway: Gateway) -> None:
        async def slow() -> Any:
            yield b"grant_type="
            await asyncio.Event().wait()

        response = await gateway.http.post(TOKEN, content=slow(), headers={"content-type": FORM})
        assert error_of(response) == "invalid_request"

    in_gateway(tmp_path, story)


def test_without_a_record_no_token_is_given_and_no_session_is_lost(tmp_path: Path) -> None:
    """SECURITY-CASES 38: an audit log that can't be written stops what it should hold."""

    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        renewal = {
            "grant_type": REFRESH_TOKEN,
            "client_id": "portcullis-cli",
            "refresh_token": answer["refresh_token"],
        }
        provider = gateway.world.corp.token().decode()
        gateway.store.fail_before = 1000
        response = await gateway.post(TOKEN, **renewal)
        assert error_of(response, 503) == "temporarily_unavailable"
        assert response.headers["retry-after"] == "5"
        await _until_written(gateway)
        assert (await gateway.post(TOKEN, **renewal)).status_code == 200
        for path, parameters in (
            (TOKEN, {"grant_type": TOKEN_EXCHANGE, "subject_token": provider, "subject_token_type": JWT_TYPE}),
            (REVOKE, {"token": answer["access_token"]}),
            (TOKEN, renewal | {"refresh_token": "x"}),
        ):
            gateway.store.fail_before = 1000
            assert error_of(await gateway.post(path, **parameters), 503) == "temporarily_unavailable"
            await _until_written(gateway)
        assert await _is_good(gateway, answer["access_token"])

    in_gateway(tmp_path, story)


async def _until_written(gateway: Gateway) -> None:
    """Let the store work, and wait until the log has opened it again."""
    gateway.store.fail_before = 0
    async with asyncio.timeout(20):
        while gateway.services.audit.problem is not None:
            await asyncio.sleep(0.01)


async def _is_good(gateway: Gateway, token: str) -> bool:
    response = await gateway.post(INTROSPECT, token=token, client_id="grafana", client_secret="s3c+ret%")
    return bool(response.json()["active"])


def test_without_the_store_nothing_is_given_and_the_answer_says_later(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()

        def away(digest: bytes, now: int) -> Claimed | None:
            raise StateUnavailableError("the database is away")

        gateway.world.state.claim_refresh_token = away  # type: ignore[method-assign]
        for response in (
            await gateway.post(
                TOKEN, grant_type=REFRESH_TOKEN, client_id="portcullis-cli", refresh_token=answer["refresh_token"]
            ),
            await gateway.post(REVOKE, token=answer["refresh_token"]),
        ):
            assert error_of(response, 503) == "temporarily_unavailable"
            assert "database" not in response.text

    in_gateway(tmp_path, story)


def test_revoking_a_refresh_token_ends_its_session(tmp_path: Path) -> None:
    """RFC 7009, section 2.1"""

    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        response = await gateway.post(REVOKE, token=answer["refresh_token"], client_id="portcullis-cli")
        assert (response.status_code, response.content) == (200, b"")
        assert not await _is_good(gateway, answer["access_token"])
        record = gateway.records()[-1]
        assert (record["action"], record["actor"]["subject"]) == ("revoke", "user:corp:alice")
        assert (await gateway.post(REVOKE, token=answer["refresh_token"])).status_code == 200
        assert len(gateway.records()) == 2

    in_gateway(tmp_path, story)


def test_revoking_an_access_token_ends_that_token_alone(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        narrow = (await gateway.exchange(answer["access_token"])).json()["access_token"]
        assert (await gateway.post(REVOKE, token=narrow)).status_code == 200
        assert not await _is_good(gateway, narrow)
        assert await _is_good(gateway, answer["access_token"])

    in_gateway(tmp_path, story)


def test_a_providers_token_can_be_given_up_too(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        token = gateway.world.corp.token()
        assert (await gateway.exchange(token)).status_code == 200
        assert (await gateway.post(REVOKE, token=token)).status_code == 200
        assert error_of(await gateway.exchange(token)) == "invalid_request"

    in_gateway(tmp_path, story)


@pytest.mark.parametrize("token", ["unknown", "a.b.c", "prt_" + "a" * 43])
def test_revoking_what_is_not_known_is_done_already(tmp_path: Path, token: str) -> None:
    """RFC 7009, section 2.2"""

    async def story(gateway: Gateway) -> None:
        response = await gateway.post(REVOKE, token=token, token_type_hint="refresh_token")
        assert response.status_code == 200
        assert gateway.records() == []
        assert error_of(await gateway.post(REVOKE)) == "invalid_request"
        assert error_of(await gateway.post(REVOKE, token=token, client_id="other"), 401) == "invalid_client"

    in_gateway(tmp_path, story)


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic " + base64.b64encode(b"grafana:s3c%2Bret%25").decode(),
        "Basic " + base64.b64encode(b"grafana:s3c+ret%").decode(),
        "basic " + base64.b64encode(b"grafana:s3c%2Bret%25").decode(),
    ],
)
def test_a_client_is_told_what_a_token_stands_for(tmp_path: Path, authorization: str) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        response = await gateway.post(
            INTROSPECT, headers={"Authorization": authorization}, token=answer["access_token"]
        )
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["sub"] == "user:corp:alice"

    in_gateway(tmp_path, story)


@pytest.mark.parametrize(
    ("authorization", "parameters", "status"),
    [
        (None, {}, 401),
        (None, {"client_id": "grafana"}, 401),
        (None, {"client_id": "grafana", "client_secret": "wrong"}, 401),
        (None, {"client_id": "nobody", "client_secret": "s3c+ret%"}, 401),
        ("Basic " + base64.b64encode(b"grafana:wrong").decode(), {}, 401),
        ("Basic " + base64.b64encode(b"grafana:s3c%2Bret%25").decode(), {"client_id": "loki"}, 401),
        ("Basic " + base64.b64encode(b"grafana:s3c%2Bret%25").decode(), {"client_secret": "s3c+ret%"}, 400),
        ("Basic !", {}, 401),
        ("Basic /w==", {}, 401),
        ("Bearer x", {}, 401),
    ],
)
def test_nobody_else_is_told_anything(
    tmp_path: Path, authorization: str | None, parameters: dict[str, str], status: int
) -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.login()
        headers = {"Authorization": authorization} if authorization is not None else None
        response = await gateway.post(INTROSPECT, headers=headers, token=answer["access_token"], **parameters)
        assert error_of(response, status) in ("invalid_client", "invalid_request")

    in_gateway(tmp_path, story)


def test_the_keys_are_there_for_whoever_verifies_tokens(tmp_path: Path) -> None:
    async def story(gateway: Gateway) -> None:
        response = await gateway.http.get("/-/oauth/jwks")
        assert response.json() == gateway.world.keys.jwks()
        assert response.headers["cache-control"] == "public, max-age=300"

    in_gateway(tmp_path, story)


def test_the_metadata_names_endpoints_that_are_served(tmp_path: Path) -> None:
    """RFC 8414, section 2"""

    async def story(gateway: Gateway) -> None:
        metadata = authorization_server_metadata(gateway.services)
        assert metadata["issuer"] == PUBLIC_URL
        for name in ("token", "device_authorization", "introspection", "revocation"):
            url = metadata[f"{name}_endpoint"]
            assert url.startswith(PUBLIC_URL)
            assert (await gateway.http.post(url)).status_code == 400
        assert (await gateway.http.get(metadata["jwks_uri"])).status_code == 200
        for grant_type in metadata["grant_types_supported"]:
            assert error_of(await gateway.post(TOKEN, grant_type=grant_type)) == "invalid_request"

    in_gateway(tmp_path, story)


def test_no_token_and_no_secret_is_in_any_error_log_or_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SECURITY-CASES 24"""
    secrets: list[str] = []

    async def story(gateway: Gateway) -> None:
        code = await gateway.code()
        answer = await gateway.login()
        provider = gateway.world.corp.token(exp=NOW - 3600).decode()
        secrets.extend((code, VERIFIER, answer["refresh_token"], answer["access_token"], provider, "s3c+ret%"))
        gateway.bodies.clear()
        redemption: dict[str, Any] = {
            "grant_type": AUTHORIZATION_CODE,
            "client_id": "portcullis-cli",
            "redirect_uri": REDIRECT_URI,
        }
        await gateway.post(TOKEN, **redemption, code=code, code_verifier="w" * 43)
        await gateway.post(TOKEN, **redemption, code=code, code_verifier=VERIFIER)
        await gateway.exchange(provider.encode())
        await gateway.exchange(answer["access_token"], actor_token=provider, actor_token_type=JWT_TYPE)
        await gateway.post(TOKEN, grant_type=REFRESH_TOKEN, client_id=answer["refresh_token"])
        await gateway.post(INTROSPECT, token=answer["access_token"], client_id="grafana", client_secret=provider)
        await gateway.post(REVOKE, token=answer["refresh_token"])
        assert {row["result"] for row in gateway.records()} == {"ok", "fail"}

    with caplog.at_level(logging.DEBUG):
        gateway = in_gateway(tmp_path, story)
    written = [*gateway.bodies, *(row.body for row in gateway.store.log.rows), caplog.text.encode()]
    for secret in secrets:
        assert not any(secret.encode() in text for text in written), secret
