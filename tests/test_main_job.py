"""The whole mission on real parts: two certified providers, nginx, an AWS API and Buildbot, through the gateway."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.parts.buildbot_master import BuildbotMaster
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows, verify
from tests.parts.moto_server import MotoServer
from tests.parts.nginx import Nginx
from tests.parts.oidc_provider import OidcProvider

RULES = [
    "p, role:developer, staging, logs-staging/**, query, allow,",
    "p, role:developer, staging, aws-staging/s3, s3:List*, allow,",
    "p, role:developer, staging, aws-staging/s3/invoices/**, s3:*, allow,",
    "p, role:deployer, prod, deploy-prod/*, deploy, allow,",
    "g, group:corp:dev, role:developer",
    "g, user:alice, role:developer",
    "g, user:alice, role:deployer",
]
IDENTITIES = """
people:
  alice:
    accounts:
      - {provider: corp, email: alice@example.com}
      - {provider: partner, email: alice@example.com}
"""


@dataclass
class World:
    """Everything that runs."""

    gateway: GatewayProcess
    corp: OidcProvider
    partner: OidcProvider
    logs: Nginx
    deploys: BuildbotMaster

    def aws(self, service: str, token: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"{self.gateway.url}/aws-staging",
            region_name="us-east-1",
            aws_access_key_id="portcullis",
            aws_secret_access_key="unused",
            aws_session_token=token,
            config=Config(retries={"max_attempts": 0}),
        )


def provider(name: str, running: OidcProvider, algorithm: str) -> dict[str, object]:
    return {
        "name": name,
        "issuer": running.issuer,
        "audiences": ["portcullis"],
        "algorithms": [algorithm],
        "username_claim": "preferred_username",
        "groups_claim": "groups",
        "email_domains": ["example.com"],
        "client_id": "portcullis-cli",
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with ExitStack() as stack:
        corp = stack.enter_context(OidcProvider("RS256", kid="shared"))
        partner = stack.enter_context(OidcProvider("ES256", kid="shared"))
        aws = stack.enter_context(MotoServer(directory / "moto.log"))
        deploys = stack.enter_context(BuildbotMaster(directory / "master"))
        (directory / "nginx").mkdir()
        logs = stack.enter_context(Nginx(directory / "nginx"))
        (logs.root / "payments").write_text("12:00 payment accepted\n")
        boto3.client("s3", endpoint_url=aws.url, region_name="us-east-1", **keys("root")).create_bucket(
            Bucket="invoices"
        )
        secrets = {"AWS_ID": "gateway-key", "AWS_SECRET": "gateway-secret", "SESSION": deploys.session()}
        force = {"methods": ["POST"], "path": "/api/v2/forceschedulers/{project}-force", "body": {"method": "force"}}
        backends: list[dict[str, Any]] = [
            {
                "name": "logs-staging",
                "adapter": "http",
                "url": logs.url,
                "environment": "staging",
                "routes": [{"methods": ["GET"], "path": "/{stream}", "resource": "{stream}", "action": "query"}],
            },
            {
                "name": "aws-staging",
                "adapter": "aws",
                "url": aws.url,
                "environment": "staging",
                "credential": {"access_key_id_env": "AWS_ID", "secret_access_key_env": "AWS_SECRET"},
            },
            {
                "name": "deploy-prod",
                "adapter": "http",
                "url": deploys.url,
                "environment": "prod",
                "credential": {"header": {"name": "Cookie", "value_env": "SESSION", "prefix": "TWISTED_SESSION="}},
                "routes": [{**force, "resource": "{project}", "action": "deploy"}],
            },
        ]
        providers = [provider("corp", corp, "RS256"), provider("partner", partner, "ES256")]
        site = make_site(directory, providers=providers, backends=backends, rules=RULES, identities=IDENTITIES)
        gateway = stack.enter_context(GatewayProcess(site, environment=secrets))
        yield World(gateway, corp, partner, logs, deploys)


def keys(name: str) -> dict[str, str]:
    return {"aws_access_key_id": name, "aws_secret_access_key": name}


def deploy(world: World, token: str) -> httpx.Response:
    call = {"jsonrpc": "2.0", "method": "force", "params": {"reason": "main job"}, "id": 1}
    target = f"{world.gateway.url}/deploy-prod/api/v2/forceschedulers/payments-force"
    return httpx.post(target, json=call, headers=bearer(token))


def test_one_person_through_two_providers_reads_staging_logs(world: World) -> None:
    for running in (world.corp, world.partner):
        token = running.tokens("alice").access_token
        who = httpx.get(f"{world.gateway.url}/-/api/v1/whoami", headers=bearer(token)).json()
        assert who["subject"] == "user:alice"
        answer = httpx.get(f"{world.gateway.url}/logs-staging/payments", headers=bearer(token))
        assert (answer.status_code, answer.text) == (200, "12:00 payment accepted\n")
        assert "nginx" in answer.headers["server"]


def test_a_token_of_one_provider_never_passes_as_the_others(world: World) -> None:
    """SECURITY-CASES 18"""
    header, _, signature = world.partner.tokens("alice").access_token.split(".")
    _, corp_payload, _ = world.corp.tokens("alice").access_token.split(".")
    answer = httpx.get(
        f"{world.gateway.url}/logs-staging/payments", headers=bearer(f"{header}.{corp_payload}.{signature}")
    )
    assert answer.status_code == 401


def test_an_id_token_is_not_an_access_token(world: World) -> None:
    """SECURITY-CASES 19"""
    answer = httpx.get(
        f"{world.gateway.url}/logs-staging/payments", headers=bearer(world.corp.tokens("alice").id_token)
    )
    assert answer.status_code == 401


def test_only_a_deployer_deploys_and_the_build_really_runs(world: World) -> None:
    denied = deploy(world, world.corp.tokens("bob").access_token)
    assert denied.status_code == 403
    assert denied.json()["decision"]["roles_that_would_allow"] == ["role:deployer"]
    assert world.deploys.builds("payments") == []
    assert deploy(world, world.corp.tokens("alice").access_token).status_code == 200
    assert world.deploys.wait_for_build("payments")["results"] == 0


def test_boto3_needs_one_url_and_one_token(world: World) -> None:
    s3 = world.aws("s3", world.corp.tokens("bob").access_token)
    s3.put_object(Bucket="invoices", Key="2026/a b.pdf", Body=b"%PDF" * 50_000)
    assert s3.get_object(Bucket="invoices", Key="2026/a b.pdf")["Body"].read() == b"%PDF" * 50_000
    with pytest.raises(ClientError) as denied:
        s3.create_bucket(Bucket="other")
    assert denied.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    record = json.loads([row for row in stored_rows(world.gateway.site) if b"s3:PutObject" in row.body][-1].body)
    assert record["accesses"] == [{"action": "s3:PutObject", "resource": "aws-staging/s3/invoices/2026/a b.pdf"}]


def test_a_copy_is_decided_on_both_ends_and_each_end_names_its_rule(world: World) -> None:
    s3 = world.aws("s3", world.corp.tokens("bob").access_token)
    s3.put_object(Bucket="invoices", Key="original", Body=b"1")
    s3.copy_object(Bucket="invoices", Key="copy", CopySource="invoices/original")
    record = json.loads([row for row in stored_rows(world.gateway.site) if b"access_rules" in row.body][-1].body)
    assert {access["action"] for access in record["accesses"]} == {"s3:GetObject", "s3:PutObject"}
    assert [rule["line"] for rule in record["access_rules"]] == [3, 3]
    with pytest.raises(ClientError):
        s3.copy_object(Bucket="invoices", Key="copy", CopySource="payroll/2026")


def test_the_aws_cli_works_unchanged(world: World, tmp_path: Path) -> None:
    source, copy = tmp_path / "report.txt", tmp_path / "copy.txt"
    source.write_text("quarterly\n" * 1000)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "portcullis",
        "AWS_SECRET_ACCESS_KEY": "unused",
        "AWS_SESSION_TOKEN": world.corp.tokens("bob").access_token,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    aws = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", f"{world.gateway.url}/aws-staging", "s3", "cp"]
    for command in ([str(source), "s3://invoices/r/report.txt"], ["s3://invoices/r/report.txt", str(copy)]):
        done = subprocess.run([*aws, *command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert copy.read_text() == source.read_text()


def test_the_log_proves_it_and_holds_no_secret(world: World) -> None:
    world.gateway.stop()
    done = verify(world.gateway.site)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = stored_rows(world.gateway.site)
    bodies = b"\n".join(row.body for row in rows)
    for secret in (b"gateway-secret", b"eyJ", b"TWISTED_SESSION"):
        assert secret not in bodies
        assert secret.decode() not in world.gateway.log
    assert {row.actor for row in rows if row.verdict == "allowed"} == {"user:alice", "user:corp:bob"}
