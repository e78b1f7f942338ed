"""Operations are found from the service models, for every protocol, and never by guessing."""

import pytest

from adapters.aws_models import load_service
from adapters.aws_operation import Call, OperationFinder
from adapters.backend import BackendRequest, UnclassifiedError
from tests.parts.aws_requests import every_operation
from tests.parts.backend_request import backend_request

JSON = {"Content-Type": "application/x-amz-json-1.1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
FIND = OperationFinder([load_service(name) for name in ("s3", "logs", "sts", "sns", "cloudwatch", "dynamodb")])

# An operation that another one answers for, or that is never served, and why.
NOT_FOUND = {
    "s3": {
        "CreateSession": None,  # hands out credentials
        "ListDirectoryBuckets": "ListBuckets",  # the same request, to another host
        "RenameObject": None,  # directory buckets only
        "WriteGetObjectResponse": None,  # Object Lambda's host
        "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
        "GetBucketNotification": "GetBucketNotificationConfiguration",
        "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
        "PutBucketNotification": "PutBucketNotificationConfiguration",
    }
}


def found(request: BackendRequest, finder: OperationFinder = FIND) -> str:
    call: Call = finder.find(request)
    return f"{call.service.name}:{call.operation}"


@pytest.mark.parametrize(
    "service",
    ["s3", "logs", "sts", "dynamodb", "sqs", "sns", "iam", "kms", "cloudwatch", "ecs", "ec2", "lambda", "apigateway",
     "route53", "s3control", "workspaces-web", "batch", "eks"],
)  # fmt: skip
def test_every_operation_is_found_as_botocore_writes_it(service: str) -> None:
    """Each operation, serialised by botocore with its required members, is found again under its own name."""
    finder = OperationFinder([load_service(service)])
    wrong = {}
    for name, request in every_operation(service):
        expected = NOT_FOUND.get(service, {}).get(name, name)
        try:
            actual: str | None = finder.find(request).operation
        except UnclassifiedError:
            actual = None
        if actual != expected:
            wrong[name] = actual
    assert wrong == {}


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/?x-id=ListBuckets", "ListBuckets"),
        ("GET", "/invoices", "ListObjects"),
        ("GET", "/invoices/", "ListObjects"),
        ("GET", "/invoices?list-type=2&prefix=a%2Fb&x-id=ListObjectsV2", "ListObjectsV2"),
        ("GET", "/invoices/2026/a.pdf", "GetObject"),
        ("GET", "/invoices//a", "GetObject"),
        ("GET", "/invoices/a?response-content-type=text%2Fplain&versionId=1&partNumber=2", "GetObject"),
        ("GET", "/invoices/a?acl", "GetObjectAcl"),
        ("GET", "/invoices/a?acl=&versionId=1", "GetObjectAcl"),
        ("PUT", "/invoices/a?partNumber=1&uploadId=u", "UploadPart"),
        ("GET", "/invoices?analytics", "ListBucketAnalyticsConfigurations"),
        ("GET", "/invoices?analytics&id=1", "GetBucketAnalyticsConfiguration"),
        ("GET", "/invoices/list-type=2", "GetObject"),
        ("GET", "/invoices/a%3Facl", "GetObject"),
    ],
)
def test_s3_operations_are_told_by_their_sub_resources(method: str, target: str, operation: str) -> None:
    """SECURITY-CASES 5: a sub-resource is a query parameter; `%3F` in a key is part of the key."""
    assert found(backend_request(method, target)) == f"s3:{operation}"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/invoices/a?acl&tagging"),
        ("GET", "/invoices/a?ACL"),
        ("GET", "/invoices/a?ac%6C&acl"),
        ("GET", "/invoices/a?unknown"),
        ("GET", "/invoices/a?acl=x"),
        ("GET", "/invoices/a?x-id=GetObjectAcl"),
        ("GET", "/invoices/a?versionId=1&versionId=2"),
        ("GET", "/invoices/a?prefix=x"),
        ("GET", "/invoices?list-type=3"),
        ("GET", "/invoices?prefix=a+b"),
        ("GET", "/invoices?prefix=a;acl"),
        ("GET", "/invoices?prefix=%ff"),
        ("GET", "/invoices?session"),
        ("GET", "/?Action=ListUsers&Version=2010-05-08"),
        ("GET", "/invoices/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=1"),
        ("GET", "/invoices/a?x-amz-security-token=t"),
        ("PUT", "/invoices/a?partNumber=1"),
        ("POST", "/invoices/a"),
        ("POST", "/invoices"),
        ("OPTIONS", "/invoices/a"),
        ("GET", "/Invoices/a"),
        ("GET", "/a..b/a"),
        ("GET", "//a"),
    ],
)
def test_an_unknown_s3_request_never_falls_back_to_a_weaker_operation(method: str, target: str) -> None:
    """What the model does not list is denied: no parameter is passed over."""
    with pytest.raises(UnclassifiedError):
        FIND.find(backend_request(method, target))


@pytest.mark.parametrize("name", ["X-Amz-Signature", "x-amz-security-token", "X-Amz-Al%67orithm"])
def test_a_presigned_url_is_refused_with_its_remedy(name: str) -> None:
    """A signature in the query is the caller's own; the text says where the token goes instead."""
    with pytest.raises(UnclassifiedError, match="presigned URLs are not accepted: send the token in a header"):
        FIND.find(backend_request("GET", f"/invoices/a?{name}=1"))


@pytest.mark.parametrize(
    ("target", "headers", "operation"),
    [
        ("Logs_20140328.FilterLogEvents", JSON, "logs:FilterLogEvents"),
        ("GraniteServiceVersion20100801.ListMetrics", JSON, "cloudwatch:ListMetrics"),
    ],
)
def test_a_json_request_is_its_target_header(target: str, headers: dict[str, str], operation: str) -> None:
    """X-Amz-Target names service and operation."""
    assert found(backend_request("POST", "/", {**headers, "X-Amz-Target": target}, b"{}")) == operation


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/", {**JSON, "X-Amz-Target": "Logs_20140328.NoSuchThing"}),
        ("POST", "/", {**JSON, "X-Amz-Target": "logs_20140328.FilterLogEvents"}),
        ("POST", "/", {**JSON, "X-Amz-Target": "TrentService.Decrypt"}),
        ("POST", "/", {**FORM, "X-Amz-Target": "Logs_20140328.FilterLogEvents"}),
        ("POST", "/?x", {**JSON, "X-Amz-Target": "Logs_20140328.FilterLogEvents"}),
        ("GET", "/", {**JSON, "X-Amz-Target": "Logs_20140328.FilterLogEvents"}),
        ("GET", "/invoices/a", {"X-Amz-Target": "Logs_20140328.FilterLogEvents"}),
        ("POST", "/", {**JSON, "X-Amz-Target": "Logs_20140328.A", "x-amz-target": "Logs_20140328.FilterLogEvents"}),
        ("POST", "/", {**JSON, "X-Amz-Target": "Logs_20140328.FilterLogEvents", "smithy-protocol": "rpc-v2-cbor"}),
        ("POST", "/service/GraniteServiceVersion20100801/operation/No", {"smithy-protocol": "rpc-v2-cbor"}),
        ("POST", "/service/Logs_20140328/operation/FilterLogEvents", {"smithy-protocol": "rpc-v2-cbor"}),
        ("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", {"smithy-protocol": "other"}),
        ("GET", "/invoices/a", {"smithy-protocol": "rpc-v2-cbor"}),
    ],
)
def test_a_request_that_names_its_operation_badly_is_denied(method: str, path: str, headers: dict[str, str]) -> None:
    """A protocol header that leads nowhere never leaves the request to be read as an S3 one."""
    with pytest.raises(UnclassifiedError):
        FIND.find(backend_request(method, path, headers, b"{}"))


def test_a_cbor_request_is_its_path() -> None:
    """An rpc-v2-cbor path names service and operation."""
    request = backend_request(
        "POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", {"smithy-protocol": "rpc-v2-cbor"}
    )
    assert found(request) == "cloudwatch:PutMetricData"


def test_a_form_request_is_its_action_and_version() -> None:
    """A query-protocol form names operation and model version, whatever the order and encoding."""
    for body in (b"Action=GetCallerIdentity&Version=2011-06-15", b"Version=2011%2D06-15&%41ction=GetCallerIdentity"):
        assert found(backend_request("POST", "/", FORM, body)) == "sts:GetCallerIdentity"


@pytest.mark.parametrize(
    "body",
    [
        b"Action=GetCallerIdentity",
        b"Action=GetCallerIdentity&Version=2010-05-08",
        b"Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole",
        b"Action=GetCallerIdentity&Version=2011-06-15&%41ction=AssumeRole",
        b"Action=GetCallerIdentity&Version=2011-06-15&action=AssumeRole",
        b"Action=getcalleridentity&Version=2011-06-15",
        b"Action=GetCallerIdentity%00&Version=2011-06-15",
        b"",
        None,
        b"Action=GetCallerIdentity&Version=2011-06-15" + b"&a=b" * 300_000,
    ],
)
def test_a_form_with_two_readings_is_denied(body: bytes | None) -> None:
    """Action and Version stand in the form once, spelled exactly, in a body of at most 1 MiB."""
    with pytest.raises(UnclassifiedError):
        FIND.find(backend_request("POST", "/", FORM, body))
    with pytest.raises(UnclassifiedError):
        FIND.find(backend_request("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", FORM, body))


def test_two_services_that_fit_are_no_answer() -> None:
    """A request that two configured services could take is denied, and the text says how to tell them apart."""
    both = OperationFinder([load_service("s3"), load_service("lambda")])
    with pytest.raises(UnclassifiedError, match=r"lambda:ListFunctions or s3:GetObject|a backend for each"):
        both.find(backend_request("GET", "/2015-03-31/functions"))
    with pytest.raises(UnclassifiedError, match="a backend for each"):
        both.find(backend_request("GET", "/2015-03-31/functions/example"))
    assert found(backend_request("GET", "/2015-03-31/functions/x"), OperationFinder([load_service("lambda")]))


def test_an_unknown_service_is_a_clear_error() -> None:
    """A name that botocore does not know is refused by name."""
    with pytest.raises(ValueError, match="knows no service 'nope'"):
        load_service("nope")
