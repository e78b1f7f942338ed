"""What stands in the demo's AWS account before anybody comes, and the only key that opens it."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import boto3

REGION = "eu-central-1"


@dataclass(frozen=True, slots=True, repr=False)
class AccessKey:
    """The key pair of the account's only user."""

    access_key_id: str
    secret_access_key: str


def furnish(url: str) -> AccessKey:
    """Make a log group and two buckets at moto's `url`, and one user; from then on every signature is checked."""
    logs, s3, iam = (_client(service, url) for service in ("logs", "s3", "iam"))
    for bucket in ("invoices", "payroll"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    stream = {"logGroupName": "payments", "logStreamName": "web-1"}
    logs.create_log_group(logGroupName="payments")
    logs.create_log_stream(**stream)
    now_ms = int(time.time() * 1000)
    lines = ("GET /invoices/42 200", "GET /invoices/43 200", "POST /invoices 500 disk full")
    logs.put_log_events(**stream, logEvents=[{"timestamp": now_ms + i, "message": m} for i, m in enumerate(lines)])
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.create_user(UserName="gateway")
    iam.put_user_policy(UserName="gateway", PolicyName="everything", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="gateway")["AccessKey"]
    _check_every_signature_from_now_on(url)
    return AccessKey(key["AccessKeyId"], key["SecretAccessKey"])


def _client(service: str, url: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="setup", aws_secret_access_key="setup"
    )


def _check_every_signature_from_now_on(url: str) -> None:
    unsigned_calls_allowed = urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(unsigned_calls_allowed, timeout=10).close()
