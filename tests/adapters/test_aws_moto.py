"""boto3 and the AWS CLI, unchanged but for endpoint and session token, against an AWS API that checks signatures."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.aws import AwsAdapter, AwsSettings
from adapters.aws_models import load_service
from tests.parts.adapter_proxy import AdapterProxy
from tests.parts.moto_server import MotoServer

ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
ODD_KEY = "2026/a b+c(d)!*'~%41//ü;=&.pdf"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A server that checks every signature from its fourth call on, and the one key pair it knows."""
    # The three calls are the user, its policy and its keys.
    server = MotoServer(tmp_path_factory.mktemp("moto") / "log", {"INITIAL_NO_AUTH_ACTION_COUNT": "3"})
    with server:
        iam = client("iam", server.url)
        iam.create_user(UserName="gateway")
        iam.put_user_policy(UserName="gateway", PolicyName="all", PolicyDocument=ALLOW_ALL)
        yield server.url, iam.create_access_key(UserName="gateway")["AccessKey"]


@pytest.fixture(scope="module")
def proxy(keys: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdapterProxy]:
    url, pair = keys
    with AdapterProxy(adapter(url, pair["SecretAccessKey"], pair, tmp_path_factory.mktemp("keys")), url) as running:
        yield running


def adapter(url: str, secret: str, pair: dict[str, str], directory: Path) -> AwsAdapter:
    (directory / "id").write_text(pair["AccessKeyId"] + "\n")
    (directory / "secret").write_text(secret + "\n")
    credential = {"access_key_id_file": directory / "id", "secret_access_key_file": directory / "secret"}
    settings = {"name": "aws-prod", "url": url, "environment": "prod", "credential": credential}
    return AwsAdapter(AwsSettings.model_validate(settings))


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        aws_session_token="portcullis-token",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


def last(proxy: AdapterProxy) -> list[str]:
    return [f"{access.resource} {access.action}" for access in proxy.seen[-1]]


def test_the_server_refuses_what_is_signed_wrongly(keys: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """With another secret the same calls fail, so what passes below was signed rightly."""
    url, pair = keys
    with AdapterProxy(adapter(url, "not-the-secret", pair, tmp_path), url) as wrong:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            client("s3", wrong.url).list_buckets()
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            client("logs", wrong.url).describe_log_groups()


def test_boto3_uses_s3_through_the_adapter(proxy: AdapterProxy) -> None:
    """Objects with odd keys are put, read, copied, listed and deleted, and each call is named as it is."""
    s3 = client("s3", proxy.url)
    s3.create_bucket(Bucket="invoices")
    s3.put_object(Bucket="invoices", Key=ODD_KEY, Body=b"hello", Metadata={"note": "two  words"})
    assert last(proxy) == [f"aws-prod/s3/invoices/{ODD_KEY} s3:PutObject"]
    assert s3.get_object(Bucket="invoices", Key=ODD_KEY)["Body"].read() == b"hello"
    assert last(proxy) == [f"aws-prod/s3/invoices/{ODD_KEY} s3:GetObject"]
    s3.copy_object(Bucket="invoices", Key="copy", CopySource={"Bucket": "invoices", "Key": ODD_KEY})
    assert last(proxy) == [
        "aws-prod/s3/invoices/copy s3:PutObject",
        f"aws-prod/s3/invoices/{ODD_KEY} s3:GetObject",
    ]
    listed = s3.list_objects_v2(Bucket="invoices", Prefix="2026/a b+c(d)")["Contents"]
    assert [item["Key"] for item in listed] == [ODD_KEY]
    s3.delete_objects(Bucket="invoices", Delete={"Objects": [{"Key": ODD_KEY}, {"Key": "copy"}]})
    assert last(proxy) == [
        f"aws-prod/s3/invoices/{ODD_KEY} s3:DeleteObject",
        "aws-prod/s3/invoices/copy s3:DeleteObject",
    ]
    assert "Contents" not in s3.list_objects_v2(Bucket="invoices")


def test_boto3_uploads_in_parts(proxy: AdapterProxy) -> None:
    """Each step of a multipart upload is decided as the upload."""
    s3 = client("s3", proxy.url)
    s3.create_bucket(Bucket="archive")
    before = len(proxy.seen)
    upload = s3.create_multipart_upload(Bucket="archive", Key="big")["UploadId"]
    part = s3.upload_part(Bucket="archive", Key="big", UploadId=upload, PartNumber=1, Body=b"x" * 100_000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="archive", Key="big", UploadId=upload, MultipartUpload=parts)
    assert {f"{a.resource} {a.action}" for seen in proxy.seen[before:] for a in seen} == {
        "aws-prod/s3/archive/big s3:PutObject"
    }
    assert s3.head_object(Bucket="archive", Key="big")["ContentLength"] == 100_000


def test_boto3_uses_logs_through_the_adapter(proxy: AdapterProxy) -> None:
    """Events are put into and read from a log group, and the group is the resource."""
    logs = client("logs", proxy.url)
    logs.create_log_group(logGroupName="payments")
    logs.create_log_stream(logGroupName="payments", logStreamName="s")
    events = [{"timestamp": 1_700_000_000_000, "message": "hello"}]
    logs.put_log_events(logGroupName="payments", logStreamName="s", logEvents=events)
    read = logs.get_log_events(logGroupName="payments", logStreamName="s", startTime=0)
    assert last(proxy) == ["aws-prod/logs/payments logs:GetLogEvents"]
    assert read is not None


@pytest.mark.parametrize(
    ("service", "method", "operation"),
    [
        ("sts", "get_caller_identity", "GetCallerIdentity"),
        ("dynamodb", "list_tables", "ListTables"),
        ("sqs", "list_queues", "ListQueues"),
        ("sns", "list_topics", "ListTopics"),
        ("iam", "list_users", "ListUsers"),
        ("kms", "list_keys", "ListKeys"),
        ("secretsmanager", "list_secrets", "ListSecrets"),
        ("ssm", "describe_parameters", "DescribeParameters"),
        ("cloudformation", "list_stacks", "ListStacks"),
        ("cloudwatch", "list_metrics", "ListMetrics"),
        ("ecs", "list_clusters", "ListClusters"),
        ("ecr", "describe_repositories", "DescribeRepositories"),
        ("events", "list_rules", "ListRules"),
        ("kinesis", "list_streams", "ListStreams"),
    ],
)
def test_boto3_reaches_every_default_service(proxy: AdapterProxy, service: str, method: str, operation: str) -> None:
    """json, query and cbor services answer to a request signed anew, in the scope they expect."""
    assert operation in load_service(service).operations
    getattr(client(service, proxy.url), method)()
    assert last(proxy) == [f"aws-prod/{service} {service}:{operation}"]


def test_the_callers_token_reaches_the_gateway_and_not_the_backend(proxy: AdapterProxy) -> None:
    """SECURITY-CASES 24: AWS_SESSION_TOKEN arrives in the adapter's token header and goes no further."""
    client("s3", proxy.url).list_buckets()
    assert proxy.tokens[-1] == "portcullis-token"
    sent = b"\n".join(name + b":" + value for name, value in proxy.sent[-1].headers)
    assert b"portcullis-token" not in sent
    assert b"Credential=any/" not in sent


def test_the_aws_cli_works_unchanged(proxy: AdapterProxy, tmp_path: Path) -> None:
    """The CLI needs an endpoint, any key pair and the token as AWS_SESSION_TOKEN."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_SESSION_TOKEN": "portcullis-token",
    }

    def aws(*arguments: str) -> str:
        run = "import sys; from awscli.clidriver import main; sys.exit(main())"
        command = [sys.executable, "-c", run, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    (tmp_path / "note.txt").write_text("from the command line")
    client("s3", proxy.url).create_bucket(Bucket="reports")
    aws("s3", "cp", str(tmp_path / "note.txt"), "s3://reports/notes/note.txt")
    assert last(proxy) == ["aws-prod/s3/reports/notes/note.txt s3:PutObject"]
    assert aws("s3", "cp", "s3://reports/notes/note.txt", "-") == "from the command line"
    groups = json.loads(aws("logs", "describe-log-groups", "--output", "json"))
    assert "logGroups" in groups
