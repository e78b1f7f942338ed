"""`portcullis exchange` prints a narrower token; the tokens it is made from are in no argument and no message."""

from pathlib import Path

import pytest

from gateway.cli.assurance import unverified_claims
from tests.gateway.cli.conftest import BROWSER, Run, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
def gateway(fake_gateway: FakeGateway, run: Run, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    monkeypatch.setenv("PORTCULLIS_TOKEN", "opaque-token")
    monkeypatch.setenv("PORTCULLIS_GATEWAY", fake_gateway.url)
    return fake_gateway


def test_backends_and_actions_narrow_the_token(gateway: FakeGateway, run: Run) -> None:
    arguments = ["--backend", "aws-prod", "--backend", "logs-prod", "--action", "s3:Get*", "--action", "query"]
    done = run("exchange", *arguments)
    assert done.code == 0, done.err
    resources = [f"{gateway.url}/aws-prod", f"{gateway.url}/logs-prod"]
    assert unverified_claims(done.out.strip())["aud"] == resources
    [asked] = gateway.oauth.exchanges
    assert asked == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_token": ["opaque-token"],
        "subject_token_type": [ACCESS_TOKEN],
        "requested_token_type": [ACCESS_TOKEN],
        "resource": resources,
        "scope": ["action:s3:Get* action:query"],
    }
    assert set(run("exchange", "--format", "json").json) == {"token", "expires_at"}


def test_an_agent_acts_for_a_person_with_both_tokens(gateway: FakeGateway, run: Run, tmp_path: Path) -> None:
    (tmp_path / "person").write_text("head.claims.signature\n")
    (tmp_path / "agent").write_text("of.an.agent")
    files = ["--subject-token-file", str(tmp_path / "person"), "--actor-token-file", str(tmp_path / "agent")]
    assert run("exchange", *files).code == 0
    [asked] = gateway.oauth.exchanges
    assert (asked["subject_token"], asked["subject_token_type"]) == (["head.claims.signature"], [JWT])
    assert (asked["actor_token"], asked["actor_token_type"]) == (["of.an.agent"], [JWT])


def test_the_login_s_token_is_the_subject_where_nothing_else_is(
    gateway: FakeGateway, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTCULLIS_TOKEN")
    assert finish(start("login", browser=BROWSER)).code == 0
    assert run("exchange").code == 0
    assert gateway.oauth.exchanges[0]["subject_token"] == [run("token").out.strip()]


def test_a_refusal_says_why_and_shows_no_token(gateway: FakeGateway, run: Run) -> None:
    """SECURITY-CASES 24."""
    gateway.oauth.refusal = "invalid_target"
    done = run("exchange", "--backend", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "the gateway gave no token for this (invalid_target): not so" in done.err
    assert "opaque-token" not in done.err


@pytest.mark.parametrize("data", [b"", b"two tokens", b"\xff", b"x" * 70_000])
def test_a_file_that_holds_no_token_is_not_sent(gateway: FakeGateway, run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)
    done = run("exchange", "--subject-token-file", str(tmp_path / "token"))
    assert (done.code, "does not hold one token and nothing else" in done.err) == (2, True)
    assert gateway.asked == []


def test_a_file_that_is_not_there_is_told(gateway: FakeGateway, run: Run, tmp_path: Path) -> None:
    done = run("exchange", "--actor-token-file", str(tmp_path / "none"))
    assert (done.code, "can't be read: No such file" in done.err) == (2, True)
