"""What every adapter promises to the data path, held against arbitrary requests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.aws import AwsAdapter, AwsSettings
from adapters.backend import Access, Adapter, BackendRequest, UnclassifiedError
from adapters.http import HttpAdapter, HttpSettings

CREDENTIAL = "backend-credential-0123456789"
CALLER = b"callers-own-token"
NAME = "backend-one"
BASES = {"http": b"/base/path", "aws": b""}


def http_adapter(directory: Path) -> Adapter:
    (directory / "secret").write_text(CREDENTIAL)
    routes = [
        {"methods": ["POST"], "path": "/{a}/{b}", "body": {"k": "v"}, "resource": "one/{a}", "action": "act"},
        {"methods": ["GET"], "path": "/{a}/{b}", "query": {"q": "{c}"}, "resource": "two/{c}/{b}", "action": "act"},
        {"methods": ["GET", "POST", "PUT"], "path": "/{rest**}", "resource": "{rest**}", "action": "act"},
    ]
    entry = {
        "name": NAME,
        "url": "http://backend.example.com/base/path",
        "environment": "prod",
        "credential": {"header": {"name": "Authorization", "prefix": "Bearer ", "value_file": directory / "secret"}},
        "routes": routes,
    }
    return HttpAdapter(HttpSettings.model_validate(entry))


def aws_adapter(directory: Path) -> Adapter:
    (directory / "secret").write_text(CREDENTIAL)
    credential = dict.fromkeys(("access_key_id_file", "secret_access_key_file"), directory / "secret")
    entry = {
        "name": NAME,
        "url": "http://backend.example.com",
        "environment": "prod",
        "services": ["s3", "logs", "sts", "cloudwatch", "lambda"],
        "credential": credential,
    }
    return AwsAdapter(AwsSettings.model_validate(entry))


ADAPTERS: dict[str, Callable[[Path], Adapter]] = {"http": http_adapter, "aws": aws_adapter}

SEGMENTS = st.sampled_from(
    ["", "a", "invoices", "x-force", "2015-03-31", "functions", "service", "Logs_20140328", "operation", "a%20b",
     "%C3%BC", "%ff", "*", "**", "%2F", "%00", "..", ".", "a;b", "%2541", "{a}"]
)  # fmt: skip
QUERIES = st.none() | st.lists(
    st.sampled_from(
        ["acl", "list-type=2", "uploads", "uploadId=1", "partNumber=1", "versionId=", "q=a", "q=a%2Fb", "q=%ff",
         "delete", "x-id=GetObject", "X-Amz-Signature=1", "", "=", "a+b", "a;b", "prefix=%F0%9F%98%80", "tagging"]
    )
    | st.text("abq=&%;+#\x7f", max_size=5),
    max_size=4,
).map("&".join)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(
        [
            (b"Content-Type", b"application/json"),
            (b"Content-Type", b"application/x-amz-json-1.1"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"Content-Type", b"\xff"),
            (b"Content-Encoding", b"gzip"),
            (b"X-Amz-Target", b"Logs_20140328.FilterLogEvents"),
            (b"X-Amz-Target", b"\xff.\xff"),
            (b"Smithy-Protocol", b"rpc-v2-cbor"),
            (b"x-amz-copy-source", b"a/b"),
            (b"x-amz-copy-source", b"invoices/a%2Fb?versionId=1"),
            (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
            (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            (b"x-amz-meta-a", b"b"),
            (b"x-amz-acl", b"private"),
            (b"Accept", b"*/*"),
            (b"Authorization", CALLER),
            (b"X-Amz-Security-Token", CALLER),
            (b"x_amz_security_token", CALLER),
        ]
    )
    | st.tuples(st.binary(min_size=1, max_size=4), st.binary(max_size=4)),
    max_size=6,
)  # fmt: skip
BODIES = st.none() | st.sampled_from(
    [
        b"",
        b"{}",
        b'{"k":"v"}',
        b'{"k":"v","k":1}',
        b'{"logGroupName":"payments"}',
        b'{"logGroupName":"\\ud800"}',
        b"[" * 5000,
        b"Action=GetCallerIdentity&Version=2011-06-15",
        b"<Delete><Object><Key>a</Key></Object></Delete>",
        b"<",
        b"\xff",
    ]
)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "get", "X"])


@st.composite
def requests(draw: st.DrawFn) -> BackendRequest:
    segments = draw(st.lists(SEGMENTS, min_size=1, max_size=5))
    query = draw(QUERIES)
    decoded = tuple(unquote_to_bytes(segment).decode("utf-8", "surrogateescape") for segment in segments)
    return BackendRequest(
        method=draw(METHODS),
        path=b"/" + "/".join(segments).encode(),
        segments=decoded,
        query=None if query is None else query.encode(),
        headers=draw(HEADERS),
        body=draw(BODIES),
    )


@pytest.fixture(scope="module", params=ADAPTERS)
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Adapter]:
    return request.param, ADAPTERS[request.param](tmp_path_factory.mktemp("adapter"))


def classified(adapter: Adapter, request: BackendRequest) -> tuple[Access, ...] | None:
    try:
        return adapter.classify(request)
    except UnclassifiedError as error:
        assert str(error)
        return None


CHECKS = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@CHECKS
@given(request=requests())
def test_an_adapter_classifies_or_refuses(named: tuple[str, Adapter], request: BackendRequest) -> None:
    """Any request is either at least one access below the backend's name, or UnclassifiedError; nothing else."""
    _, adapter = named
    assert adapter.body_limit(request) >= 0
    accesses = classified(adapter, request)
    if accesses is not None:
        assert accesses
        for access in accesses:
            assert access.resource == NAME or access.resource.startswith(NAME + "/")
            assert access.action
            assert access.resource.isprintable()
            assert access.action.isascii()


@CHECKS
@given(request=requests())
def test_what_is_sent_is_the_request_with_the_backends_credential(
    named: tuple[str, Adapter], request: BackendRequest
) -> None:
    """SECURITY-CASES 5, 9, 24: the target's bytes are the request's own; the caller's credential is gone."""
    kind, adapter = named
    if classified(adapter, request) is None:
        return
    outbound = adapter.outbound(request)
    assert outbound.target == BASES[kind] + request.path + (b"" if request.query is None else b"?" + request.query)
    sent = b"\n".join(name + b":" + value for name, value in outbound.headers)
    assert CALLER not in sent
    assert CREDENTIAL.encode() in sent
    names = [name.lower() for name, _ in outbound.headers]
    assert names.count(b"host") == 1
    assert names.count(b"authorization") == 1
    assert not {b"content-length", b"transfer-encoding"} & set(names)


def test_the_body_is_asked_for_before_it_decides(named: tuple[str, Adapter]) -> None:
    """A request whose body decides is not classified without its body."""
    kind, adapter = named
    json_type = b"application/json" if kind == "http" else b"application/x-amz-json-1.1"
    headers = [(b"Content-Type", json_type)]
    path, segments = (b"/a/b", ("a", "b")) if kind == "http" else (b"/", ("",))
    if kind == "aws":
        headers.append((b"X-Amz-Target", b"Logs_20140328.FilterLogEvents"))
    request = BackendRequest("POST", path, segments, None, headers)
    assert adapter.body_limit(request) > 0
    assert classified(adapter, request) is None
    assert classified(adapter, replace(request, body=b"x" * (adapter.body_limit(request) + 1))) is None


def test_no_adapter_shows_its_credential(named: tuple[str, Adapter]) -> None:
    """SECURITY-CASES 24: an adapter's own text holds no secret."""
    assert CREDENTIAL not in f"{named[1]!r} {named[1]}"
