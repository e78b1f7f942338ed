"""`token`, `whoami` and `can-i` answer from the gateway, and say in plain words why they can not."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.gateway_client import gateway_url
from gateway.cli.token_store import TokenStore
from tests.gateway.cli.conftest import Run
from tests.gateway.cli.fake_gateway import FakeGateway
from tests.gateway.cli.test_token_store import LOGIN
from tests.parts.front import Front

ALICE = {
    "subject": "user:alice",
    "provider": "corp",
    "issuer": "https://sso.example.com",
    "username": "alice",
    "groups": ["group:corp:dev"],
    "expires_at": 1_795_459_600,
}


@pytest.fixture
def signed_in(fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, home: Path) -> FakeGateway:
    """A fake gateway, and a token for it in the environment."""
    monkeypatch.setenv("PORTCULLIS_TOKEN", "the-token")
    monkeypatch.setenv("PORTCULLIS_GATEWAY", fake_gateway.url)
    fake_gateway.answers["/-/api/v1/whoami"] = 200, ALICE
    return fake_gateway


def test_a_real_gateway_says_who_and_what(front: Front, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN", front.token)
    monkeypatch.setenv("PORTCULLIS_GATEWAY", front.gateway.url)
    assert run("whoami", "--format", "json").json["groups"] == ["group:corp:users"]
    assert "group:corp:users" in run("whoami").out
    allowed = run("can-i", "use", "raw/open/x")
    assert (allowed.code, allowed.out.splitlines()[0]) == (0, "allowed: use on raw/open/x (allowed_by_rule)")
    assert "rules/rules.csv:1: p, role:user, prod, raw/open/**, use, allow," in allowed.out
    assert "group:corp:users -> role:user" in allowed.out
    guarded = run("can-i", "use", "raw/guarded/secret", "--format", "json")
    assert (guarded.code, guarded.json["reason"], guarded.json["rule"]["line"]) == (1, "denied_by_rule", 3)
    missing = run("can-i", "use", "raw/admin/x")
    assert missing.code == 1
    assert "would need role:admin" in missing.out
    assert run("can-i", "use", "raw/open/x", "--env", "staging").code == 1
    unknown = run("can-i", "use", "nowhere/x")
    assert (unknown.code, "begins with no backend's name" in unknown.err) == (2, True)
    for environment in ([], ["--env", "prod"]):
        slash = run("can-i", "use", "/raw/open/x", *environment)
        assert (slash.code, "begins with a slash: leave it off" in slash.err) == (2, True)


def test_a_real_gateway_refuses_a_bad_token(front: Front, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN", "not-a-token")
    done = run("whoami", "--gateway", front.gateway.url)
    assert done.code == 2
    assert "does not accept the token" in done.err
    assert "it is that of PORTCULLIS_TOKEN: put another there, or unset it and run `portcullis login`" in done.err
    assert "not-a-token" not in done.err


def test_the_token_is_the_environments_else_the_logins(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    TokenStore(home / "portcullis").add(replace(LOGIN, expires_at=None))
    assert run("token").out == "a-token\n"
    assert run("token", "--format", "json").json == {"token": "a-token"}
    monkeypatch.setenv("PORTCULLIS_TOKEN", "another")
    assert run("token").out == "another\n"


@pytest.mark.parametrize("between", [" ", "\n", "\r\n", "\u00e9", "\x07"])
def test_a_token_that_can_not_be_sent_is_not_shown(
    run: Run, signed_in: FakeGateway, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    """SECURITY-CASES 24: the HTTP library's own error would show the header. White space around a token is no fault."""
    monkeypatch.setenv("PORTCULLIS_TOKEN", f"s3cret-half{between}other-half")
    done = run("whoami")
    assert (done.code, "the token holds characters that no token has; it is that of PORTCULLIS_TOKEN" in done.err) == (
        2,
        True,
    )
    assert "half" not in done.out + done.err
    assert signed_in.asked == []
    monkeypatch.setenv("PORTCULLIS_TOKEN", " the-token\r\n")
    assert run("whoami").code == 0
    assert signed_in.asked[-1][2] == "Bearer the-token"


def test_bearer_in_front_of_a_token_is_told(
    run: Run, signed_in: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN", "Bearer s3cret")
    done = run("whoami")
    assert (done.code, "`Bearer ` in front of it, which is the header's: leave that off" in done.err) == (2, True)
    (tmp_path / "token").write_text("bearer s3cret\n")
    of_a_file = run("exchange", "--subject-token-file", tmp_path / "token")
    assert (of_a_file.code, "`Bearer ` in front of the token" in of_a_file.err) == (2, True)
    assert "s3cret" not in done.err + of_a_file.err
    assert signed_in.asked == []


def test_a_backend_that_takes_only_bound_tokens_is_told(run: Run, signed_in: FakeGateway) -> None:
    answer: dict[str, Any] = {
        "allowed": True,
        "reason": "allowed_by_rule",
        "rule": None,
        "role_path": [],
        "roles_that_would_allow": [],
        "token_binding_required": ["dpop", "mtls"],
        "policy": {"commit": "", "digest": "d"},
    }
    signed_in.answers["/-/api/v1/can-i"] = 200, answer
    done = run("can-i", "read", "x/y")
    assert done.code == 0
    assert (
        "token      refused all the same: the backend takes only one that is bound to a key by DPoP proofs or a client "
        "certificate" in done.out.splitlines()
    )
    signed_in.answers["/-/api/v1/can-i"] = 200, answer | {"token_binding_required": None}
    assert "token  " not in run("can-i", "read", "x/y").out


def test_who_acts_and_what_a_token_is_good_for_is_told(run: Run, signed_in: FakeGateway) -> None:
    """An older gateway says none of it, and an unlimited token has none: then nothing is printed."""
    assert run("whoami").out.splitlines()[-1].startswith("until ")
    narrow = {"delegates": ["workload:ci:agent"], "backends": ["logs-prod", "aws-prod"], "actions": ["s3:Get*"]}
    signed_in.answers["/-/api/v1/whoami"] = 200, ALICE | narrow
    lines = run("whoami").out.splitlines()
    assert lines[4:7] == ["acting     workload:ci:agent", "only for   logs-prod, aws-prod", "only to    s3:Get*"]
    signed_in.answers["/-/api/v1/whoami"] = 200, ALICE | {"delegates": [], "backends": None, "actions": None}
    assert len(run("whoami").out.splitlines()) == 5


def test_a_role_or_another_login_would_do(run: Run, signed_in: FakeGateway) -> None:
    signed_in.answers["/-/api/v1/can-i"] = (
        200,
        {
            "allowed": False,
            "reason": "no_matching_rule",
            "rule": None,
            "role_path": [],
            "roles_that_would_allow": ["role:deployer"],
            "step_up": {"acr_values": ["mfa"], "max_age": None},
            "policy": {"commit": None, "digest": "d"},
        },
    )
    lines = run("can-i", "deploy", "x/y").out.splitlines()
    assert lines[1:3] == [
        "would need role:deployer",
        "or would need a stronger login: `portcullis login --acr mfa`",
    ]


def test_the_gateway_is_the_options_else_the_environments_else_the_last(
    home: Path, run: Run, signed_in: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_GATEWAY", "http://127.0.0.1:1")
    assert run("whoami", "--gateway", signed_in.url).code == 0
    assert run("whoami").code == 2
    monkeypatch.delenv("PORTCULLIS_GATEWAY")
    assert "no gateway is known" in run("whoami").err
    TokenStore(home / "portcullis").add(replace(LOGIN, gateway=signed_in.url))
    assert run("whoami").code == 0
    monkeypatch.delenv("PORTCULLIS_TOKEN")
    done = run("whoami", "--gateway", "http://127.0.0.1:1")
    assert "not logged in at http://127.0.0.1:1: run `portcullis login --gateway http://127.0.0.1:1`" in done.err


def test_the_request_carries_the_question_and_the_token(run: Run, signed_in: FakeGateway) -> None:
    answer: dict[str, Any] = {
        "allowed": False,
        "reason": "no_matching_rule",
        "rule": None,
        "role_path": ["user:alice"],
        "roles_that_would_allow": ["role:deployer", "role:sre"],
        "policy": {"commit": "", "digest": "ab" * 32},
    }
    signed_in.answers["/-/api/v1/can-i"] = 200, answer
    done = run("can-i", "s3:GetObject", "aws/s3/a b&c", "--env", "prod")
    assert done.code == 1
    assert "would need role:deployer or role:sre" in done.out
    asked = {"action": "s3:GetObject", "resource": "aws/s3/a b&c", "environment": "prod"}
    assert signed_in.asked == [("/-/api/v1/can-i", asked, "Bearer the-token")]


def test_nothing_but_a_plain_true_is_an_allow(run: Run, signed_in: FakeGateway) -> None:
    answer: dict[str, Any] = {
        "allowed": "true",
        "reason": "x",
        "rule": None,
        "role_path": [],
        "roles_that_would_allow": [],
        "policy": {"commit": "", "digest": ""},
    }
    signed_in.answers["/-/api/v1/can-i"] = 200, answer
    assert run("can-i", "read", "x/y").code == 1
    assert run("can-i", "read", "x/y", "--format", "json").code == 1


@pytest.mark.parametrize(
    ("status", "document", "message"),
    [
        (404, b"<h1>Not here</h1>", "not like a Portcullis gateway: check the URL"),
        (200, b"<h1>A portal</h1>", "not like a Portcullis gateway: check the URL"),
        (200, [], "not like a Portcullis gateway"),
        (200, {"subject": "user:alice"}, "in a way this version can't read"),
        (503, {"code": "audit_unavailable", "detail": "try again later"}, "503 audit_unavailable (try again later)"),
        (401, {"code": "invalid_credential", "detail": "it expired"}, "does not accept the token (it expired)"),
    ],
)
def test_every_other_answer_is_told_in_plain_words(
    run: Run, signed_in: FakeGateway, status: int, document: object, message: str
) -> None:
    signed_in.answers["/-/api/v1/whoami"] = status, document
    done = run("whoami")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_redirect_never_carries_the_token_away(run: Run, signed_in: FakeGateway) -> None:
    with FakeGateway() as elsewhere:
        signed_in.answers["/-/api/v1/whoami"] = 302, f"{elsewhere.url}/-/api/v1/whoami".encode()
        assert run("whoami").code == 2
        assert elsewhere.asked == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_never_sees_what_goes_to_this_machine(
    run: Run, signed_in: FakeGateway, home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Plain http is accepted for loopback because no network carries it: a proxy would read the token."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeGateway() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert run("whoami").code == 0
        monkeypatch.delenv("PORTCULLIS_TOKEN")
        kept = replace(LOGIN, gateway=signed_in.url, issuer=signed_in.url, expires_at=0, refresh_token="secret")
        TokenStore(home / "portcullis").add(kept)
        assert run("token").code == 2
        signed_in.answers["/-/oauth/device_authorization"] = 400, {"error": "invalid_request"}
        assert run("login", "--device").code == 2
        assert proxy.asked == []
    asked = [path for path, _, _ in signed_in.asked]
    metadata = "/.well-known/oauth-authorization-server"
    asked_of_the_login = [metadata, "/-/oauth/token", metadata, "/-/oauth/device_authorization"]
    assert asked == ["/-/api/v1/whoami", *asked_of_the_login]


def test_a_gateway_that_is_not_there_is_told(run: Run, signed_in: FakeGateway) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run("whoami", "--gateway", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (done.code, "can't be reached" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gateway.example.com", "is no gateway URL"),
        ("https://gateway.example.com/path", "give https://gateway.example.com alone"),
        ("ftp://gateway.example.com", "is no gateway URL"),
        ("https://gateway.example.com:port", "is no gateway URL"),
        ("https://alice@gateway.example.com", "is no gateway URL"),
        ("https://gateway.example.com/#x", "give https://gateway.example.com alone"),
        ("https://gateway.example.com\n.evil.example.com", "is no gateway URL"),
        ("https://[::1", "is no gateway URL"),
        ("http://gateway.example.com", "would carry your token in the clear"),
    ],
)
def test_a_url_that_is_none_or_not_safe_is_refused(run: Run, signed_in: FakeGateway, url: str, message: str) -> None:
    assert message in run("whoami", "--gateway", url).err


@pytest.mark.parametrize(
    ("url", "spelling"),
    [
        ("https://Gateway.Example.COM:443/", "https://gateway.example.com"),
        ("HTTPS://gateway.example.com:8443", "https://gateway.example.com:8443"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_a_gateway_has_one_spelling(url: str, spelling: str) -> None:
    """A login is found again however its gateway's URL was typed."""
    assert gateway_url(url) == spelling


def test_a_gateway_url_with_more_than_scheme_and_host_is_told_what_to_give(run: Run) -> None:
    for more in ("/-/console/", "/deploy/", "?x=1", "/#x"):
        done = run("whoami", "--gateway", f"https://Gateway.example.com:443{more}")
        told = "is more than the gateway's URL: give https://gateway.example.com alone"
        assert (done.code, told in done.err) == (2, True)


def test_a_denial_of_the_gateways_own_api_is_a_finding(run: Run, signed_in: FakeGateway) -> None:
    signed_in.answers["/-/api/v1/sessions"] = 403, {"code": "denied", "detail": "no rule allows it"}
    done = run("sessions", "--person", "user:bob")
    assert (done.code, "403 denied (no rule allows it)" in done.err) == (1, True)


def test_a_wrong_setting_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN_STORE", "cloud")
    done = run("whoami", "--gateway", "https://gateway.example.com")
    assert (done.code, "PORTCULLIS_TOKEN_STORE is not one of auto, keyring and file" in done.err) == (2, True)
    assert "Traceback" not in done.err


def test_what_a_gateway_sends_can_not_move_the_terminal(run: Run, signed_in: FakeGateway) -> None:
    """SECURITY-CASES 14: control characters are shown, never obeyed."""
    signed_in.answers["/-/api/v1/whoami"] = 200, ALICE | {"username": "\x1b]0;evil\x07\u202e\n\x9b2J"}
    done = run("whoami")
    assert "username   \\x1b]0;evil\\x07\\u202e\\n\\x9b2J\n" in done.out
    assert all(ord(character) >= 32 or character == "\n" for character in run("whoami", "--format", "json").out)
