"""What an AWS request touches: every object and log group it names, or nothing is allowed."""

import json
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import unquote

import pytest

from adapters.aws import AwsAdapter, AwsSettings
from adapters.backend import BackendRequest, UnclassifiedError
from adapters.backend_settings import RelaxableRule
from gateway.target import TargetRefusedError, parse_target
from tests.parts.backend_request import backend_request


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsAdapter]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_AWS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("TEST_AWS_SECRET", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        yield AwsAdapter(settings())


def settings(**changes: Any) -> AwsSettings:
    credential = {"access_key_id_env": "TEST_AWS_KEY_ID", "secret_access_key_env": "TEST_AWS_SECRET"}
    entry = {"name": "aws-prod", "url": "https://aws.example.com", "environment": "prod", "credential": credential}
    return AwsSettings.model_validate({**entry, **changes})


def accesses(aws: AwsAdapter, method: str, target: str, headers: Any = None, body: bytes | None = None) -> list[str]:
    found = aws.classify(backend_request(method, target, headers, body))
    return [f"{access.resource} {access.action}" for access in found]


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected"),
    [
        ("GET", "/", {}, ["aws-prod/s3 s3:ListBuckets"]),
        ("GET", "/invoices?list-type=2", {}, ["aws-prod/s3/invoices s3:ListObjectsV2"]),
        ("GET", "/invoices/2026/a%20b.pdf", {}, ["aws-prod/s3/invoices/2026/a b.pdf s3:GetObject"]),
        ("GET", "/invoices/a//b/", {}, ["aws-prod/s3/invoices/a//b/ s3:GetObject"]),
        ("GET", "/invoices/%252e*", {}, ["aws-prod/s3/invoices/%2e* s3:GetObject"]),
        ("PUT", "/invoices/a", {}, ["aws-prod/s3/invoices/a s3:PutObject"]),
        ("POST", "/invoices/a?uploads", {}, ["aws-prod/s3/invoices/a s3:PutObject"]),
        ("PUT", "/invoices/a?partNumber=1&uploadId=u", {}, ["aws-prod/s3/invoices/a s3:PutObject"]),
        ("POST", "/invoices/a?uploadId=u", {}, ["aws-prod/s3/invoices/a s3:PutObject"]),
        (
            "PUT", "/invoices/a", {"x-amz-copy-source": "/secrets/k%20ey?versionId=3"},
            ["aws-prod/s3/invoices/a s3:PutObject", "aws-prod/s3/secrets/k ey s3:GetObject"],
        ),
        (
            "PUT", "/invoices/a?partNumber=1&uploadId=u", {"x-amz-copy-source": "secrets%2Fkey"},
            ["aws-prod/s3/invoices/a s3:PutObject", "aws-prod/s3/secrets/key s3:GetObject"],
        ),
        (
            "PUT", "/invoices/a", {"x-amz-acl": "public-read", "x-amz-grant-read": "id=1", "x-amz-tagging": "a=b"},
            ["aws-prod/s3/invoices/a s3:PutObject", "aws-prod/s3/invoices/a s3:PutObjectAcl",
             "aws-prod/s3/invoices/a s3:PutObjectTagging"],
        ),
        ("PUT", "/invoices", {"X-Amz-Acl": "public-read"},
         ["aws-prod/s3/invoices s3:CreateBucket", "aws-prod/s3/invoices s3:PutBucketAcl"]),
        ("DELETE", "/invoices/a", {"x-amz-bypass-governance-retention": "true"},
         ["aws-prod/s3/invoices/a s3:DeleteObject", "aws-prod/s3/invoices/a s3:BypassGovernanceRetention"]),
        ("PUT", "/invoices/a", {"x-amz-object-lock-event-hold": "ON"},
         ["aws-prod/s3/invoices/a s3:PutObject", "aws-prod/s3/invoices/a s3:PutObjectRetention"]),
        ("PUT", "/invoices/a", {"x-amz-object-lock-event-hold-duration-days": "1"},
         ["aws-prod/s3/invoices/a s3:PutObject", "aws-prod/s3/invoices/a s3:PutObjectRetention"]),
        ("POST", "/invoices/a?select&select-type=2", {}, ["aws-prod/s3/invoices/a s3:GetObject"]),
        ("GET", "/invoices/a?torrent", {},
         ["aws-prod/s3/invoices/a s3:GetObjectTorrent", "aws-prod/s3/invoices/a s3:GetObject"]),
    ],
)  # fmt: skip
def test_s3_requests_name_everything_they_touch(
    aws: AwsAdapter, method: str, target: str, headers: dict[str, str], expected: list[str]
) -> None:
    """Keys stand as decoded; a copy needs its source too; steps of an upload are the upload."""
    assert accesses(aws, method, target, headers) == expected


def test_a_restore_is_denied_with_its_reason(aws: AwsAdapter) -> None:
    """A RestoreObject body can read the object and write the result to another bucket."""
    with pytest.raises(UnclassifiedError, match="RestoreObject is not served"):
        accesses(aws, "POST", "/invoices/a?restore", {}, b"<RestoreRequest/>")


@pytest.mark.parametrize(
    "target", ["/invoices?metadataConfiguration", "/invoices/?metadataConfiguration", "/invoices?delete"]
)
def test_a_form_upload_to_a_bucket_is_denied(aws: AwsAdapter, target: str) -> None:
    """A server that doesn't know the parameter would store an object that the form names."""
    assert accesses(aws, "POST", target, {"Content-Type": "application/xml"}, delete("a"))
    with pytest.raises(UnclassifiedError, match="upload with PutObject"):
        accesses(aws, "POST", target, {"Content-Type": "Multipart/Form-Data; boundary=x"}, delete("a"))


@pytest.mark.parametrize("bucket", ["ap-1a2b3c-s3alias", "ap-1a2b3c--ol-s3", "ap-1a2b3c--op-s3", "mfzwi23gnjvgw.mrap"])
def test_an_access_point_is_no_second_name_for_a_bucket(aws: AwsAdapter, bucket: str) -> None:
    """A rule about a bucket can't be gone around by the alias of an access point, as target or as a copy's source."""
    with pytest.raises(UnclassifiedError, match="name the bucket itself"):
        accesses(aws, "GET", f"/{bucket}/a")
    with pytest.raises(UnclassifiedError, match="name the bucket itself"):
        accesses(aws, "PUT", "/invoices/a", {"x-amz-copy-source": f"{bucket}/a"})


def accepted(rule: str) -> bool:
    try:
        settings(relax=[rule])
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("path", "must_pass"),
    [
        ("secret%252Ffile", True),
        ("%2541", True),
        ("%41%c3%bc", True),
        ("a;b/c", True),
        ("a//b/", True),
        ("secret%2Ffile", False),
        ("secret%2ffile", False),
        ("%25%32%46", False),
        ("%25%32%65%25%32%65/a", False),
    ],
)
def test_no_relaxation_parts_the_resource_from_the_key(aws: AwsAdapter, path: str, must_pass: bool) -> None:
    """SECURITY-CASES 1: whatever `relax` accepts, a path is refused or decided as the key that S3 decodes, once."""
    relaxed = frozenset(rule for rule in get_args(RelaxableRule) if accepted(rule))
    assert aws.relaxed < relaxed
    try:
        target = parse_target(f"/aws-prod/invoices/{path}".encode(), {"aws-prod": relaxed})
    except TargetRefusedError:
        assert not must_pass
        return
    (access,) = aws.classify(BackendRequest("GET", target.path, target.segments, target.query, []))
    assert access == ("aws-prod/s3/invoices/" + unquote(path), "s3:GetObject")


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("/invoices/a", "secrets"),
        ("/invoices/a", "secrets/"),
        ("/invoices/a", "arn:aws:s3:eu-west-1:123456789012:accesspoint/x/object/key"),
        ("/invoices/a", "secrets/a+b"),
        ("/invoices/a", "secrets/%ff"),
        ("/invoices/a", "secrets/ü"),
        ("/invoices/a", "secrets/../invoices/a"),
        ("/invoices/a", "secrets/a%0Ab"),
        ("/invoices/a", "secrets/a?acl"),
        ("/invoices/a", "secrets/a?versionId=1&versionId=2"),
        ("/invoices/a", "Secrets/a"),
        ("/invoices/a?acl", "secrets/a"),
        ("/invoices", "secrets/a"),
    ],
)
def test_a_copy_whose_source_is_unclear_is_denied(aws: AwsAdapter, target: str, source: str) -> None:
    """A copy's source is one bucket and one key, or the copy is not allowed."""
    with pytest.raises(UnclassifiedError):
        accesses(aws, "PUT", target, {"x-amz-copy-source": source})


def delete(*keys: str, head: str = '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">') -> bytes:
    return (head + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>").encode()


def test_a_batch_delete_names_every_key(aws: AwsAdapter) -> None:
    """DeleteObjects is a DeleteObject of each key in its body."""
    request = backend_request("POST", "/invoices?delete", {}, delete("a&amp;b", "2026/x&#121;", "a&amp;b"))
    assert aws.body_limit(request) == 2 * 1024 * 1024
    assert [(a.resource, a.action) for a in aws.classify(request)] == [
        ("aws-prod/s3/invoices/a&b", "s3:DeleteObject"),
        ("aws-prod/s3/invoices/2026/xy", "s3:DeleteObject"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"<Delete/>",
        b"<Delete><Object><Key>a<!-- -->b</Key></Object></Delete>",
        b"<Delete><Object><Key>a<?x?>b</Key></Object></Delete>",
        b"<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>",
        b"<Delete><Object><Key> a</Key></Object></Delete>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Key>a<b/></Key></Object></Delete>",
        b"<Delete><Key>a</Key></Delete>",
        b"<Delete><Object><key>a</key></Object></Delete>",
        b"<Delete><Other><Object><Key>a</Key></Object></Other></Delete>",
        b'<Delete xmlns:x="urn:x"><x:Object><Key>a</Key></x:Object></Delete>',
        b'<Delete><Object><Key a="b">a</Key></Object></Delete>',
        b'<!DOCTYPE Delete [<!ENTITY e "a">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b'<?xml version="1.0" encoding="iso-8859-1"?><Delete><Object><Key>a</Key></Object></Delete>',
        "<Delete><Object><Key>a</Key></Object></Delete>".encode("utf-16"),
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
        delete("a/../b"),
        delete("a&#10;b"),
        delete(*(str(number) for number in range(1001))),
        delete("x" * 3_000_000),
    ],
)
def test_a_batch_delete_with_two_readings_is_denied(aws: AwsAdapter, body: bytes | None) -> None:
    """SECURITY-CASES 23: the body is small, plain XML of the documented elements, without a document type."""
    with pytest.raises(UnclassifiedError):
        accesses(aws, "POST", "/invoices?delete", {}, body)


def logs(aws: AwsAdapter, operation: str, body: Any) -> list[str]:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{operation}"}
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return accesses(aws, "POST", "/", headers, text)


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("FilterLogEvents", {"logGroupName": "payments"}, ["aws-prod/logs/payments logs:FilterLogEvents"]),
        ("FilterLogEvents", {"logGroupIdentifier": "payments"}, ["aws-prod/logs/payments logs:FilterLogEvents"]),
        ("GetLogEvents", {"logGroupName": "/aws/lambda/pay"}, ["aws-prod/logs//aws/lambda/pay logs:GetLogEvents"]),
        (
            "StartQuery", {"logGroupNames": ["a", "b"], "queryString": "fields @message"},
            ["aws-prod/logs/a logs:StartQuery", "aws-prod/logs/b logs:StartQuery"],
        ),
        ("DescribeLogGroups", {}, ["aws-prod/logs logs:DescribeLogGroups"]),
        ("GetQueryResults", {"queryId": "x"}, ["aws-prod/logs logs:GetQueryResults"]),
        ("TagResource", {"resourceArn": "arn:x", "logGroupName": "a"}, ["aws-prod/logs logs:TagResource"]),
        (
            "FilterLogEvents", {"logGroupName": "a", "unmask": True},
            ["aws-prod/logs/a logs:FilterLogEvents", "aws-prod/logs/a logs:Unmask"],
        ),
    ],
)  # fmt: skip
def test_logs_requests_name_their_groups(aws: AwsAdapter, operation: str, body: Any, expected: list[str]) -> None:
    """A log group that the operation reads is the resource, its name as CloudWatch spells it."""
    assert logs(aws, operation, body) == expected


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("FilterLogEvents", {}),
        ("FilterLogEvents", {"logGroupIdentifier": "arn:aws:logs:eu-west-1:123456789012:log-group:payments"}),
        ("FilterLogEvents", {"logGroupName": ["payments"]}),
        ("FilterLogEvents", {"logGroupName": "a b"}),
        ("FilterLogEvents", {"logGroupName": "a/../b"}),
        ("FilterLogEvents", {"logGroupName": "payments", "LogGroupName": "audit"}),
        ("FilterLogEvents", b'{"logGroupName":"payments","logGroupName":"audit"}'),
        ("FilterLogEvents", b'{"logGroupName":"payments"} {}'),
        ("FilterLogEvents", b'{"logGroupName":"payments","x":"' + b"x" * 1_100_000 + b'"}'),
        ("StartQuery", {"queryString": "SOURCE logGroups(namePrefix: ['audit'])"}),
        ("StartQuery", {"logGroupName": "a", "queryString": "fields @message | source audit"}),
        ("StartQuery", {"logGroupName": "a", "queryLanguage": "SQL", "queryString": "SELECT 1"}),
        ("StartQuery", {"logGroupNames": "a", "queryString": "fields @message"}),
        ("AssociateKmsKey", {"logGroupName": "a", "resourceIdentifier": "arn:x", "kmsKeyId": "k"}),
    ],
)
def test_a_logs_request_with_an_unclear_group_is_denied(aws: AwsAdapter, operation: str, body: Any) -> None:
    """A request that could reach another log group than the one it is decided on is denied."""
    with pytest.raises(UnclassifiedError):
        logs(aws, operation, body)


def test_a_log_group_by_its_arn_is_denied_with_the_remedy(aws: AwsAdapter) -> None:
    """The text says to name the group, since an ARN may lead into another account."""
    with pytest.raises(UnclassifiedError, match="name the log group, not its ARN"):
        logs(aws, "GetLogEvents", {"logGroupIdentifier": "arn:aws:logs:eu-west-1:123456789012:log-group:payments"})


def test_other_services_are_one_resource_each(aws: AwsAdapter) -> None:
    """An operation of a service without finer resources is decided on the service's name."""
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.GetItem"}
    assert accesses(aws, "POST", "/", headers, b"{}") == ["aws-prod/dynamodb dynamodb:GetItem"]


def test_bodies_are_read_only_where_they_must_be(aws: AwsAdapter) -> None:
    """S3 bodies stream unseen; other bodies are read because their hash is signed."""
    json_headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328.PutLogEvents"}
    assert aws.body_limit(backend_request("PUT", "/invoices/a")) == 0
    assert aws.body_limit(backend_request("GET", "/invoices/a")) == 0
    assert aws.body_limit(backend_request("POST", "/invoices/a?uploads")) == 0
    assert aws.body_limit(backend_request("POST", "/", json_headers)) == 1024 * 1024
    json_headers["X-Amz-Target"] = "DynamoDB_20120810.BatchWriteItem"
    assert aws.body_limit(backend_request("POST", "/", json_headers)) == 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"url": "https://aws.example.com/base"}, "no path"),
        ({"url": "https://invoices.s3.eu-west-1.amazonaws.com"}, "path-style"),
        ({"services": ["s3", "nope"]}, "no service 'nope'"),
        ({"services": ["s3", "s3"]}, "twice"),
        ({"services": []}, "at least 1"),
        ({"region": "Europe"}, "pattern"),
        ({"relax": ["encoded_slash"]}, "S3 reads `a%2Fb` as the key `a/b`"),
        ({"credential": {"access_key_id_env": "A"}}, "secret_access_key_file"),
        ({"credential": {"access_key_id": "A", "secret_access_key": "B"}}, "Extra inputs"),
        ({"credential": {"access_key_id_env": "A", "access_key_id_file": "a", "secret_access_key_env": "B"}}, "one of"),
    ],
)
def test_a_wrong_backend_is_refused(changes: dict[str, Any], text: str) -> None:
    """A backend with a mistake does not load."""
    with pytest.raises(ValueError, match=text):
        settings(**changes)


def test_secrets_are_in_no_representation(aws: AwsAdapter) -> None:
    """SECURITY-CASES 24: neither settings nor adapter show a key."""
    assert "wJalrXUtnFEMI" not in f"{aws!r} {vars(aws)!r} {settings()!r}"
