"""One request, end to end, through the running gateway, a raw client and a raw backend."""

import json
import threading

import pytest

from gateway.app import open_audit_reader
from tests.parts.front import Front, close_after, held_until_the_client_goes, ok
from tests.parts.raw_client import RawClient, RawResponse
from tests.parts.raw_upstream import RawConnection


def problem(response: RawResponse) -> dict[str, object]:
    assert response.values(b"content-type") == [b"application/problem+json"]
    document: dict[str, object] = json.loads(response.body)
    assert document["status"] == response.status
    assert [str(document["request_id"]).encode()] == response.values(b"portcullis-request-id")
    return document


def test_the_backend_gets_the_very_bytes_that_were_decided_on(front: Front) -> None:
    target = "/raw/open/a%20b/%E2%82%AC;v=1?q=%zz&x=%2F..&empty".replace("%zz", "%7A")
    front.script = close_after(ok(b"hello", b"X-Answer: 1\r\n"))
    response = front.send(front.request(target, "X-MiXeD: a  b", "Accept: */*", "accept: text/plain"))
    assert (response.status, response.body) == (200, b"hello")
    assert response.values(b"x-answer") == [b"1"]
    head = front.last_seen()
    assert head.startswith(b"GET /base/open/a%20b/%E2%82%AC;v=1?q=%7A&x=%2F..&empty HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-MiXeD: a  b\r\nAccept: */*\r\naccept: text/plain\r\n" in head
    assert head.count(b"\r\n") == 7


def test_an_empty_query_stays_an_empty_query(front: Front) -> None:
    """SECURITY-CASES 5"""
    front.send(front.request("/raw/open/x?"))
    assert front.last_seen().startswith(b"GET /base/open/x? HTTP/1.1\r\n")


def test_the_callers_token_goes_no_further_and_the_backends_credential_is_put_in(front: Front) -> None:
    response = front.send(front.request("/raw/open/x"))
    assert front.token.encode() not in front.last_seen()
    assert b"uthorization" not in front.last_seen()
    assert b"\r\nX-Backend-Key: backend-credential\r\n" in front.last_seen()
    assert b"backend-credential" not in response.raw


def test_a_body_goes_both_ways_with_its_own_framing(front: Front) -> None:
    front.script = close_after(
        b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    response = front.send(front.request("/raw/open/x", "Content-Length: 5", method="POST", body=b"12345"))
    assert (response.status, response.body) == (201, b"abcde")
    assert front.last_seen().endswith(b"Content-Length: 5\r\n\r\n12345")
    chunked = b"2\r\n12\r\n3;x=y\r\n345\r\n0\r\nX-Trailer: forged\r\n\r\n"
    front.send(front.request("/raw/open/x", "Transfer-Encoding: chunked", method="POST", body=chunked))
    head, _, body = front.last_seen().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Trailer" not in front.last_seen()
    assert body.replace(b"2\r\n12\r\n3\r\n345\r\n", b"5\r\n12345\r\n") == b"5\r\n12345\r\n0\r\n\r\n"


def test_a_decision_is_durable_before_the_first_byte_goes_on(front: Front) -> None:
    seen: list[str] = []

    def script(connection: RawConnection) -> None:
        connection.read_request()
        reader = open_audit_reader(f"sqlite:///{front.site.database}")
        seen.extend(row.request_id for row in reader.rows() if row.kind == "decision")
        reader.close()
        connection.send(ok())

    front.script = script
    response = front.send(front.request("/raw/open/x"))
    assert response.values(b"portcullis-request-id")[0].decode() in seen


def test_the_receipt_is_the_decisions_place_in_the_log(front: Front) -> None:
    response = front.send(front.request("/raw/open/x?token=secret&limit=1"))
    decision, outcome = front.records(response.values(b"portcullis-request-id")[0])
    assert response.values(b"portcullis-receipt") == [f"{decision.index}:{decision.leaf.hex()}".encode()]
    body = json.loads(decision.body)
    assert body["request"] == {"method": "GET", "path": "/raw/open/x", "query_keys": ["token", "limit"]}
    assert body["actor"]["subject"] == "user:corp:alice@example.com"
    assert body["rule"] == {
        "file": "rules/rules.csv",
        "line": 1,
        "text": "p, role:user, prod, raw/open/**, use, allow,",
    }
    assert body["role_path"] == ["user:corp:alice@example.com", "group:corp:users", "role:user"]
    closing = json.loads(outcome.body)
    assert (closing["status"], closing["bytes_out"], closing["result"]) == (200, 2, "ok")
    assert front.token.encode() not in decision.body + outcome.body


def test_no_credential_and_a_bad_credential_are_different_answers_and_neither_is_anonymous(front: Front) -> None:
    """SECURITY-CASES 15"""
    count = len(front.upstream.connections)
    nothing = front.send(front.request("/raw/open/x", token=""))
    assert (nothing.status, problem(nothing)["code"]) == (401, "credential_required")
    challenge = nothing.values(b"www-authenticate")[0]
    assert b"error" not in challenge
    assert b'resource_metadata="https://gateway.example.com/-/oauth/protected-resource"' in challenge
    for header in ("Bearer x.y.z", "Bearer", "Bearer ", "Basic YTpi", "Bearer a, Bearer b", "Bearer \xff", front.token):
        bad = front.send(front.request("/raw/open/x", f"Authorization: {header}", token=""))
        assert (bad.status, problem(bad)["code"]) == (401, "invalid_credential")
        assert b'error="invalid_token"' in bad.values(b"www-authenticate")[0]
    cookie = front.send(front.request("/raw/open/x", "Cookie: =;;; portcullis=\x01", token=""))
    assert cookie.status in (400, 401)
    assert len(front.upstream.connections) == count
    for response in (nothing, bad):
        (record,) = front.records(response.values(b"portcullis-request-id")[0])
        assert (record.verdict, record.actor) == ("unauthenticated", "")


def test_a_denial_says_what_was_asked_and_which_role_would_do(front: Front) -> None:
    count = len(front.upstream.connections)
    response = front.send(front.request("/raw/admin/x"))
    document = problem(response)
    assert (response.status, document["code"]) == (403, "denied")
    assert "role:admin" in str(document["detail"])
    (record,) = front.records(response.values(b"portcullis-request-id")[0])
    assert (record.verdict, record.actor) == ("denied", "user:corp:alice@example.com")
    explicit = problem(front.send(front.request("/raw/guarded/secret")))
    assert "rules/rules.csv:3" in str(explicit["detail"])
    assert len(front.upstream.connections) == count


def test_strangers_learn_no_backends_name(front: Front) -> None:
    unknown = front.send(front.request("/nothing/x", token=""))
    known = front.send(front.request("/raw/x", token=""))
    assert unknown.status == known.status == 401
    assert problem(front.send(front.request("/nothing/x")))["code"] == "unknown_backend"


def test_a_refused_target_is_recorded_and_not_forwarded(front: Front) -> None:
    """SECURITY-CASES 1, 4"""
    count = len(front.upstream.connections)
    for target in ("/raw/open/../admin/x", "/raw/open/%2e%2e/admin/x", "/raw/open//x", "/raw/open/x#y", "/raw/open\\x"):
        response = front.send(front.request(target))
        assert (response.status, problem(response)["code"]) == (400, "bad_target")
        (record,) = front.records(response.values(b"portcullis-request-id")[0])
        assert record.verdict == "refused"
    assert len(front.upstream.connections) == count


def test_a_query_cannot_satisfy_a_path_rule(front: Front) -> None:
    """SECURITY-CASES 3"""
    for target in ("/raw/admin/x?/raw/open/x", "/raw/admin/x?path=/raw/open/x", "/raw/admin/x%3F/raw/open/x"):
        assert front.send(front.request(target)).status == 403


@pytest.mark.parametrize(
    "header",
    [
        "User-Agent: kube-probe/1.30",
        "User-Agent: ELB-HealthChecker/2.0",
        "X-Health-Check: 1",
        "Upgrade-Insecure-Requests: 1",
    ],
)
def test_no_header_skips_a_step(front: Front, header: str) -> None:
    """SECURITY-CASES 6"""
    assert front.send(front.request("/raw/open/x", header, token="")).status == 401
    assert front.send(front.request("/raw/admin/x", header)).status == 403


@pytest.mark.parametrize("target", ["http://other/raw/open/x", "https://127.0.0.1/raw/open/x", "raw/open/x", "*"])
def test_the_target_alone_selects_the_backend(front: Front, target: str) -> None:
    """SECURITY-CASES 7"""
    assert front.send(front.request(target)).status == 400


def test_the_host_header_selects_nothing(front: Front) -> None:
    """SECURITY-CASES 2, 7"""
    request = front.request("/raw/open/x").replace(b"Host: gateway.example.com", b"Host: evil.example:1")
    assert front.send(request).status == 200
    assert b"evil.example" not in front.last_seen()
    assert front.send(front.request("//evil.example/x")).status == 400


def test_claims_about_the_caller_reach_no_backend(front: Front) -> None:
    """SECURITY-CASES 9, 10, 13"""
    claims = [
        "X-Forwarded-For: 10.0.0.1", "X-Forwarded-User: admin", "Forwarded: for=10.0.0.1", "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin", "X_Forwarded_User: admin", "X_Backend_Key: mine", "Impersonate-User: admin",
        "X-HTTP-Method-Override: DELETE",
    ]  # fmt: skip
    response = front.send(front.request("/raw/open/x", *claims))
    assert response.status == 200
    seen = front.last_seen().lower()
    for name in (b"forwarded", b"original", b"rewrite", b"impersonate", b"override", b"mine", b"admin"):
        assert name not in seen
    (decision, _) = front.records(response.values(b"portcullis-request-id")[0])
    assert json.loads(decision.body)["source"] == "127.0.0.1"


def test_connection_cannot_delete_what_the_gateway_puts_in(front: Front) -> None:
    """SECURITY-CASES 11"""
    front.send(
        front.request("/raw/open/x", "Connection: close, X-Backend-Key, Host, Content-Length", "X-Backend-Key: mine")
    )
    assert b"\r\nX-Backend-Key: backend-credential\r\n" in front.last_seen()
    assert b"mine" not in front.last_seen()
    assert front.last_seen().count(b"Host: ") == 1


def test_control_bytes_forge_no_header_no_log_line_and_no_record(front: Front) -> None:
    """SECURITY-CASES 14"""
    offset = len(front.gateway.log)
    for data in (
        front.request("/raw/open/x%0d%0aSet-Cookie:%20a=b"),
        front.request("/raw/open/x%0D%0AX: y"),
        front.request("/raw/open/x", "X-A: b\x0bc"),
        front.request("/raw/open/x", "X-A: b\rX-B: c"),
        front.request("/raw/open/x", "X-A: b\x00c"),
    ):
        response = front.send(data)
        assert response.status == 400
        assert response.values(b"set-cookie") == []
    assert all(line.startswith("20") for line in front.gateway.log[offset:].splitlines())


def test_responses_without_a_body_have_none(front: Front) -> None:
    front.script = close_after(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
    head = front.send(front.request("/raw/open/x", method="HEAD"), answers_head=True)
    assert (head.status, head.values(b"content-length")) == (200, [b"1234"])
    front.script = close_after(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert front.send(front.request("/raw/open/x")).status == 204
    front.script = close_after(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 99\r\n\r\n')
    not_modified = front.send(front.request("/raw/open/x"))
    assert (not_modified.status, not_modified.values(b"etag")) == (304, [b'"1"'])
    front.script = close_after(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok(b"after"))
    assert front.send(front.request("/raw/open/x")).body == b"after"


def test_expect_100_continue_is_answered_once_the_request_is_allowed(front: Front) -> None:
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/x", "Content-Length: 3", "Expect: 100-continue", method="PUT"))
        assert client.read_response().status == 100
        client.send(b"abc")
        assert client.read_response().status == 200
    assert front.last_seen().endswith(b"\r\n\r\nabc")
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/admin/x", "Content-Length: 3", "Expect: 100-continue", method="PUT"))
        assert client.read_response().status == 403


def test_a_stream_reaches_the_client_piece_by_piece(front: Front) -> None:
    go_on = threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nfirst")
        connection.wait_for(go_on)
        connection.send(b"second")

    front.script = script
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/x"))
        head = client.read_until(b"5\r\nfirst\r\n")
        assert b"transfer-encoding: chunked" in head
        go_on.set()
        assert client.read_until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


def test_when_the_client_goes_its_backend_request_is_cancelled_and_the_outcome_says_so(front: Front) -> None:
    front.script, arrived, gone = held_until_the_client_goes()
    with RawClient(front.gateway.port) as client:
        client.send(front.request("/raw/open/left-alone"))
        assert arrived.wait(10)
    assert gone.wait(10)
    reader = open_audit_reader(f"sqlite:///{front.site.database}")
    decision = [row for row in reader.rows() if b"left-alone" in row.body][-1]
    reader.close()
    outcome = json.loads(front.records(decision.request_id.encode())[1].body)
    assert (outcome["result"], outcome["detail"], outcome["status"]) == ("fail", "client_gone", None)


def test_a_backend_that_fails_is_a_problem_with_its_outcome_recorded(front: Front) -> None:
    def silent(connection: RawConnection) -> None:
        connection.read_request()
        connection.read_to_end()

    for script, status, code in (
        (close_after(b""), 502, "upstream_protocol"),
        (close_after(b"garbage\r\n\r\n"), 502, "upstream_protocol"),
        (silent, 504, "upstream_timeout"),
    ):
        front.script = script
        response = front.send(front.request("/raw/open/x", "Content-Length: 1", method="POST", body=b"x"))
        assert (response.status, problem(response)["code"]) == (status, code)
        outcome = json.loads(front.records(response.values(b"portcullis-request-id")[0])[1].body)
        assert (outcome["result"], outcome["detail"], outcome["status"], outcome["bytes_out"]) == (
            "fail",
            code,
            None,
            0,
        )


def test_a_truncated_answer_is_not_made_to_look_whole(front: Front) -> None:
    for head in (b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"):
        front.script = close_after(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n5\r\nabcde\r\n")
        with RawClient(front.gateway.port) as client, pytest.raises(ConnectionError):
            client.send(front.request("/raw/open/x"))
            client.read_response()


def test_the_gateways_own_failures_are_problem_documents(front: Front) -> None:
    missing = front.send(front.request("/-/nothing"))
    assert (missing.status, problem(missing)["code"]) == (404, "not_found")
    assert problem(front.send(front.request("/-/../raw/open/x")))["code"] == "bad_target"
    assert problem(front.send(front.request("/raw/open/x", method="TRACE")))["code"] == "method_not_allowed"
