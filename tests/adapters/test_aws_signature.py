"""Outgoing signatures hold against the algorithm as AWS documents it, written here from scratch."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

import pytest

from adapters.aws import AwsAdapter, AwsSettings
from adapters.backend import BackendRequest, Outbound, UnclassifiedError
from tests.parts.backend_request import backend_request

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EMPTY = hashlib.sha256(b"").hexdigest()
# AWS, "Signature Calculations for the Authorization Header", example GET Object: all inputs and the result.
PUBLISHED = {
    "host": "examplebucket.s3.amazonaws.com",
    "range": "bytes=0-9",
    "x-amz-content-sha256": EMPTY,
    "x-amz-date": "20130524T000000Z",
}
PUBLISHED_SIGNATURE = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def signature(method: str, target: bytes, headers: Mapping[str, str], signed: Iterable[str], scope: str) -> str:
    """Compute a Version 4 signature: `target` is what is sent, `scope` is date/region/service/aws4_request."""
    path, _, query = target.partition(b"?")
    date, region, service, _ = scope.split("/")
    once = path if service != "s3" else unquote_to_bytes(path)
    pairs = [tuple(quote(unquote_to_bytes(p), safe="-_.~") for p in part.partition(b"=")[::2]) for part in
             query.split(b"&")] if query else []  # fmt: skip
    names = sorted(signed)
    canonical = "\n".join(
        [
            method,
            quote(once, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names),
            ";".join(names),
            headers["x-amz-content-sha256"],
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    key = f"AWS4{SECRET}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


@pytest.fixture(scope="module")
def aws() -> AwsAdapter:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("T_ID", "AKIAIOSFODNN7EXAMPLE"), ("T_SECRET", SECRET), ("T_TOKEN", "backend/token==")):
            patch.setenv(name, value)
        credential = {"access_key_id_env": "T_ID", "secret_access_key_env": "T_SECRET", "session_token_env": "T_TOKEN"}
        return AwsAdapter(
            AwsSettings.model_validate(
                {
                    "name": "aws-prod",
                    "url": "https://aws.example.com:4566",
                    "environment": "prod",
                    "region": "eu-west-1",
                    "services": ["s3", "logs", "sts", "cloudwatch", "lambda"],
                    "credential": credential,
                }
            )
        )


def check(request: BackendRequest, outbound: Outbound) -> dict[str, str]:
    """Recompute the signature over what is sent; return the headers by lower-case name."""
    headers = {name.decode().lower(): value.decode() for name, value in outbound.headers}
    assert len(headers) == len(outbound.headers)
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    assert given is not None
    signed = given[2].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} <= set(signed)
    assert {name for name in headers if name.startswith("x-amz-")} <= set(signed)
    assert signature(request.method, outbound.target, headers, signed, given[1]) == given[3]
    return headers


def test_the_check_agrees_with_the_published_example() -> None:
    """The algorithm below gives AWS's own published result for AWS's own published request."""
    scope = "20130524/us-east-1/s3/aws4_request"
    assert signature("GET", b"/test.txt", PUBLISHED, PUBLISHED, scope) == PUBLISHED_SIGNATURE


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/invoices/2026/a.pdf",
        "/invoices/a//b/",
        "/invoices/a%20b%2Bc%25%2541%C3%BC~_-.",
        "/invoices/raw!$&'()*,=:@",
        "/invoices?list-type=2&prefix=a%2Fb%20c&delimiter=/&encoding-type=url",
        "/invoices/a?acl",
        "/invoices/a?versionId=z&response-expires=&partNumber=1",
        "/invoices?",
    ],
)
def test_s3_requests_are_signed_as_they_are_sent(aws: AwsAdapter, target: str) -> None:
    """SECURITY-CASES 5: target bytes stay the request's own, and the signature is over exactly these."""
    request = backend_request("GET", target, {"X-Amz-Content-SHA256": EMPTY, "Range": "bytes=0-9"})
    aws.classify(request)
    outbound = aws.outbound(request)
    assert outbound.target == target.encode()
    headers = check(request, outbound)
    assert headers["host"] == "aws.example.com:4566"
    assert headers["range"] == "bytes=0-9"


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        (backend_request("POST", "/", {"Content-Type": "application/x-amz-json-1.1",
         "X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, b"{}"), "logs"),
        (backend_request("POST", "/", {"Content-Type": "application/x-www-form-urlencoded"},
         b"Action=GetCallerIdentity&Version=2011-06-15"), "sts"),
        (backend_request("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics",
         {"smithy-protocol": "rpc-v2-cbor"}, b"\xa0"), "monitoring"),
        (backend_request("DELETE", "/2017-03-31/tags/arn%3Aaws%3Ax?tagKeys=b&tagKeys=a%20c"), "lambda"),
    ],
)  # fmt: skip
def test_each_service_is_signed_in_its_own_scope(aws: AwsAdapter, request_: BackendRequest, service: str) -> None:
    """The scope names the service that was decided on, the hash is the body's, paths are encoded twice outside S3."""
    outbound = aws.outbound(request_)
    headers = check(request_, outbound)
    assert f"/eu-west-1/{service}/aws4_request" in headers["authorization"]
    assert headers["x-amz-content-sha256"] == hashlib.sha256(request_.body or b"").hexdigest()


def test_nothing_of_the_callers_signature_goes_on(aws: AwsAdapter) -> None:
    """SECURITY-CASES 24: the caller's token, date and signature are replaced, the rest passes and is signed."""
    request = backend_request(
        "PUT",
        "/invoices/a",
        {
            "Authorization": "AWS4-HMAC-SHA256 Credential=mine",
            "X-Amz-Security-Token": "callers-token",
            "X-Amz-Date": "20130524T000000Z",
            "Date": "now",
            "X-Amz-Meta-Note": "  two   spaces ",
            "Content-Type": "text/plain",
            "User-Agent": "boto",
        },
    )
    headers = check(request, aws.outbound(request))
    assert headers["x-amz-security-token"] == "backend/token=="
    assert headers["x-amz-date"] != "20130524T000000Z"
    assert headers["x-amz-meta-note"] == "  two   spaces "
    assert headers["user-agent"] == "boto"
    assert "date" not in headers
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("given", [EMPTY, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_a_body_that_streams_keeps_its_own_hash(aws: AwsAdapter, given: str) -> None:
    """The client's content hash goes on, signed, so that the backend holds the streamed body against it."""
    request = backend_request("PUT", "/invoices/a", {"x-amz-content-sha256": given, "x-amz-trailer": "x-amz-checksum"})
    assert aws.classify(request)
    assert check(request, aws.outbound(request))["x-amz-content-sha256"] == given


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "switch chunked payload signing off"),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "switch chunked payload signing off"),
        (EMPTY.upper(), "lower-case hex"),
        ("", "lower-case hex"),
        ("unsigned-payload", "lower-case hex"),
    ],
)
def test_a_body_that_cannot_be_signed_again_is_denied(aws: AwsAdapter, given: str, text: str) -> None:
    """Chunks signed with the caller's keys are refused, and the text says which client setting avoids them."""
    with pytest.raises(UnclassifiedError, match=text):
        aws.classify(backend_request("PUT", "/invoices/a", {"x-amz-content-sha256": given}))


def test_a_signed_header_must_be_ascii_and_single(aws: AwsAdapter) -> None:
    """SECURITY-CASES 14: a header that is signed reads the same to every server."""
    request = backend_request("PUT", "/invoices/a", {"x-amz-meta-a": "ü"})
    with pytest.raises(UnclassifiedError, match="must be ASCII"):
        aws.classify(request)
    twice = replace(request, headers=[(b"x-amz-acl", b"private"), (b"X-Amz-Acl", b"public-read")])
    with pytest.raises(UnclassifiedError, match="2 times"):
        aws.classify(twice)
