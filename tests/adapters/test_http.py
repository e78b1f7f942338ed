"""The HTTP adapter decides exactly what its route table says, and nothing widens a route."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.backend import Access, UnclassifiedError
from adapters.http import HttpAdapter, HttpSettings
from tests.parts.backend_request import backend_request

JSON = {"Content-Type": "application/json"}
FORCE = b'{"jsonrpc":"2.0","method":"force","params":{"reason":"x"},"id":1}'


def adapter(*routes: dict[str, Any], **settings: Any) -> HttpAdapter:
    entry = {"name": "deploy-prod", "url": "http://127.0.0.1:8010", "environment": "prod", **settings}
    return HttpAdapter(HttpSettings.model_validate({**entry, "routes": routes}))


def route(path: str, resource: str, *methods: str, **more: Any) -> dict[str, Any]:
    return {"methods": list(methods) or ["GET"], "path": path, "resource": resource, "action": "read", **more}


DEPLOYS = adapter(
    {
        "methods": ["POST"],
        "path": "/api/v2/forceschedulers/{project}-force",
        "body": {"method": "force"},
        "resource": "{project}",
        "action": "deploy",
    },
    route("/api/v2/builders/**", "builders", "GET", "HEAD"),
    route("/files/{rest**}", "files/{rest**}"),
    route("/search", "search/{team}", query={"team": "{team}", "kind": "log"}),
)


@pytest.mark.parametrize(
    ("method", "target", "resource", "action"),
    [
        ("GET", "/api/v2/builders/payments", "builders", "read"),
        ("HEAD", "/api/v2/builders/payments/builds?limit=1", "builders", "read"),
        ("GET", "/api/v2/builders/", "builders", "read"),
        ("GET", "/files/a/b%20c.txt", "files/a/b c.txt", "read"),
        ("GET", "/files/a/", "files/a/", "read"),
        ("GET", "/search?team=pay&kind=log&x=1", "search/pay", "read"),
        ("GET", "/search?kind=log&team=p%61y", "search/pay", "read"),
    ],
)
def test_a_request_is_the_first_route_that_matches(method: str, target: str, resource: str, action: str) -> None:
    """A request on a listed method, path and query is that route's resource and action."""
    assert DEPLOYS.classify(backend_request(method, target)) == (Access(f"deploy-prod/{resource}", action),)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/v2/builders/payments"),
        ("get", "/api/v2/builders/payments"),
        ("GET", "/api/v2/builders"),
        ("GET", "/API/v2/builders/payments"),
        ("GET", "/api/v2/builders%20/payments"),
        ("GET", "/"),
        ("GET", "/files"),
        ("GET", "/files/"),
        ("GET", "/search"),
        ("GET", "/search?team=pay"),
        ("GET", "/search?team=&kind=log"),
        ("GET", "/search?team=pay&kind=LOG"),
    ],
)
def test_what_no_route_covers_is_denied(method: str, target: str) -> None:
    """A request that no route covers is unclassified, and the text says what could not be matched."""
    with pytest.raises(UnclassifiedError):
        DEPLOYS.classify(backend_request(method, target))


def test_a_query_cannot_satisfy_a_path_rule() -> None:
    """SECURITY-CASES 3: the path template is held against the path alone."""
    with pytest.raises(UnclassifiedError, match="no route"):
        DEPLOYS.classify(backend_request("GET", "/admin?/api/v2/builders/payments"))


@pytest.mark.parametrize("segment", ["a%23b", "a%3Fb"])
def test_an_encoded_delimiter_stays_inside_its_segment(segment: str) -> None:
    """SECURITY-CASES 4, 5: `%23` and `%3F` are characters of a value and end nothing."""
    text = segment.replace("%23", "#").replace("%3F", "?")
    (access,) = DEPLOYS.classify(backend_request("GET", f"/files/{segment}/c"))
    assert access.resource == f"deploy-prod/files/{text}/c"


@pytest.mark.parametrize(
    "query",
    [
        "team=pay&team=admin&kind=log",
        "team=pay&kind=log&kind=audit",
        "team=pay&kind=log&te%61m=admin",
        "team=pay&kind=log&team[]=admin",
        "team=pay&kind=log&TEAM=admin",
        "team=pay&kind=log&%20team=admin",
        "team=pay&kind=log&+%09team=admin",
        "team=pay&kind=log&team%00x=admin",
        "team=pay&kind=log&team%5B0%5D%5Bx%5D=admin",
        "team=pay&kind=log&team[x=admin",
        "team=pay&kind=log&[team]=admin",
        "team=pay&kind=log&team]=admin",
        "%20team=pay&kind=log",
        "team[=pay&kind=log",
        "team=pay;team=admin&kind=log",
        "team=%ff&kind=log",
        "team=a%2Fb&kind=log",
        "team=*&kind=log",
        "team=..&kind=log",
        "team=a%0Ab&kind=log",
    ],
)
def test_a_parameter_with_two_readings_is_denied(query: str) -> None:
    """A query parameter that decides is given once, spelled exactly, with a value that is one plain segment."""
    with pytest.raises(UnclassifiedError):
        DEPLOYS.classify(backend_request("GET", "/search?" + query))


@pytest.mark.parametrize("twin", ["a.b", "a+b", "a[b", "A_B", "a%5Bb", "a%20b", "+a_b", "a_b[]", "a.b[x]", "[a_b]"])
def test_a_name_that_php_writes_with_an_underscore_is_a_twin(twin: str) -> None:
    """A parameter is no second time in the query under a name that some server reads as its own."""
    table = adapter(route("/", "x/{v}", query={"a_b": "{v}"}))
    (access,) = table.classify(backend_request("GET", "/?a_b=1&ab=2&a=3&b=4&a_b_c=5&a.b.c=6"))
    assert access.resource == "deploy-prod/x/1"
    with pytest.raises(UnclassifiedError, match="given once and spelled exactly"):
        table.classify(backend_request("GET", f"/?a_b=1&{twin}=2"))


@pytest.mark.parametrize(
    ("method", "content_type"),
    [
        ("POST", "application/x-www-form-urlencoded"),
        ("POST", "Application/X-WWW-Form-URLencoded, x"),
        ("PUT", "multipart/form-data; boundary=x"),
        ("POST", "multipart/mixed; boundary=x"),
        ("POST", ""),
        ("POST", None),
    ],
)
def test_a_form_cannot_override_the_query_that_decides(method: str, content_type: str | None) -> None:
    """Neither a route that looks at the query nor one below it takes a body that some servers add to the query."""
    table = adapter(route("/x", "secret", method, query={"kind": "secret"}), route("/x", "public", method))
    plain = adapter(route("/x", "x", method))
    assert table.classify(backend_request(method, "/x", JSON))[0].resource == "deploy-prod/public"
    request = backend_request(method, "/x?kind=log", {} if content_type is None else {"Content-Type": content_type})
    assert plain.classify(request)
    with pytest.raises(UnclassifiedError, match="form"):
        table.classify(request)


@pytest.mark.parametrize("name", ["_method", "_METHOD", "%20_method", ".method", "_method[]"])
def test_the_query_names_no_second_method(name: str) -> None:
    """Where the query decides, it can't also turn the request into another method's."""
    with pytest.raises(UnclassifiedError, match="without `_method`"):
        DEPLOYS.classify(backend_request("GET", f"/search?team=pay&kind=log&{name}=DELETE"))


@pytest.mark.parametrize("segment", ["a%2Fb", "*", "a%00b", "a%0Ab", "a%5Cb", "%C2%85", "%E2%80%A8", ".", ".."])
def test_a_value_that_could_widen_a_rule_is_denied(segment: str) -> None:
    """SECURITY-CASES 1, 14: slashes, stars, dot segments and control characters never reach a resource's name."""
    for target in (f"/files/{segment}", f"/files/x/{segment}/y", f"/api/v2/forceschedulers/{segment}-force"):
        if target.endswith("..-force") or target.endswith("/.-force"):
            continue
        request = backend_request("POST" if "force" in target else "GET", target, JSON, FORCE)
        with pytest.raises(UnclassifiedError):
            DEPLOYS.classify(request)


def test_a_variable_is_never_empty() -> None:
    """`{project}-force` does not match `-force`."""
    with pytest.raises(UnclassifiedError):
        DEPLOYS.classify(backend_request("POST", "/api/v2/forceschedulers/-force", JSON, FORCE))


def test_the_body_decides_where_a_route_says_so() -> None:
    """A JSON-RPC call is its method: `force` is a deploy, anything else is denied."""
    target = "/api/v2/forceschedulers/payments-force"
    request = backend_request("POST", target, JSON, FORCE)
    assert DEPLOYS.body_limit(request) == 65536
    assert DEPLOYS.body_limit(backend_request("GET", "/api/v2/builders/x")) == 0
    assert DEPLOYS.classify(request) == (Access("deploy-prod/payments", "deploy"),)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, FORCE.replace(b'"force"', b'"stop"')),
        (JSON, FORCE.replace(b'"id":1', b'"method":"stop"')),
        (JSON, FORCE.replace(b'"id":1', b'"m\\u0065thod":"stop"')),
        (JSON, b'{"method":"stop","method":"force"}'),
        (JSON, b'{"method":"force","params":{"a":1,"a":2}}'),
        (JSON, FORCE.replace(b'"id":1', b'"Method":"stop"')),
        (JSON, FORCE.replace(b'"force"', b'["force"]')),
        (JSON, b"[" + FORCE + b"]"),
        (JSON, FORCE.decode().encode("utf-16")),
        (JSON, b"\xef\xbb\xbf" + FORCE),
        (JSON, FORCE.replace(b'"x"', b"NaN")),
        (JSON, FORCE.replace(b'"x"', b"[" * 40 + b"]" * 40)),
        (JSON, FORCE.replace(b'"x"', b"[" * 30_000 + b"]" * 30_000)),
        (JSON, FORCE + b" " * 65536),
        (JSON, FORCE + b"x"),
        (JSON, b""),
        (JSON, None),
        ({}, FORCE),
        ({"Content-Type": "application/x-www-form-urlencoded"}, FORCE),
        ({"Content-Type": "application/json; charset=utf-16"}, FORCE),
        ({**JSON, "Content-Encoding": "gzip"}, FORCE),
    ],
)
def test_a_body_with_two_readings_is_denied(headers: dict[str, str], body: bytes | None) -> None:
    """SECURITY-CASES 23: a body that decides is one small, plain JSON object that every reader takes the same way."""
    with pytest.raises(UnclassifiedError):
        DEPLOYS.classify(backend_request("POST", "/api/v2/forceschedulers/payments-force", headers, body))


def test_body_fields_compare_with_their_type() -> None:
    """`true`, `1` and `"1"` are three values."""
    one = adapter(route("/x", "x", "POST", body={"flag": 1}))
    assert one.classify(backend_request("POST", "/x", JSON, b'{"flag": 1}'))
    for value in (True, 1.0, "1", None):
        with pytest.raises(UnclassifiedError):
            one.classify(backend_request("POST", "/x", JSON, json.dumps({"flag": value}).encode()))


def test_routes_are_tried_in_file_order() -> None:
    """The first route that matches decides, so a special case stands above the general one."""
    table = adapter(route("/a/secret", "secret"), route("/a/{name}", "plain/{name}"))
    assert table.classify(backend_request("GET", "/a/secret"))[0].resource == "deploy-prod/secret"
    assert table.classify(backend_request("GET", "/a/other"))[0].resource == "deploy-prod/plain/other"


def test_the_request_goes_on_byte_for_byte_with_the_credential(tmp_path: Path) -> None:
    """The target keeps its bytes below the base path; the caller's credential goes, the backend's comes."""
    secret = tmp_path / "token"
    secret.write_text("s3cr3t\n")
    credential = {"header": {"name": "X-Api-Key", "value_file": str(secret), "prefix": "Key "}}
    table = adapter(route("/{x}", "x"), url="http://ci.example.com:8010/bot/", credential=credential)
    headers = {
        "Authorization": "Bearer t", "X-Amz-Security-Token": "t", "x-api-key": "mine", "X_Api_Key": "twin",
        "Host": "evil.example.com", "X-Other": "kept",
    }  # fmt: skip
    outbound = table.outbound(backend_request("GET", "/a%20b?q=%2f&&;", headers))
    assert outbound.target == b"/bot/a%20b?q=%2f&&;"
    assert list(outbound.headers) == [
        (b"Host", b"ci.example.com:8010"), (b"X-Other", b"kept"), (b"X-Api-Key", b"Key s3cr3t")
    ]  # fmt: skip
    assert table.outbound(backend_request("GET", "/a?")).target == b"/bot/a?"


def test_basic_authentication_is_rfc_7617(tmp_path: Path) -> None:
    """The user and password go out as base64 of `user:password` in UTF-8 (RFC 7617 section 2)."""
    secret = tmp_path / "password"
    secret.write_text("123£")
    table = adapter(route("/", "x"), credential={"basic": {"username": "test", "password_file": str(secret)}})
    headers = dict(table.outbound(backend_request("GET", "/")).headers)
    assert headers[b"Authorization"] == b"Basic dGVzdDoxMjPCow=="
