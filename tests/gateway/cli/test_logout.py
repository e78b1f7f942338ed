"""`portcullis logout` ends the session at the gateway, and forgets it here whether or not the gateway can be told."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.token_store import TokenStore
from tests.gateway.cli.conftest import BROWSER, Run, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway
from tests.gateway.cli.test_token_store import LOGIN


def test_logout_ends_the_session_at_the_gateway_and_here(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    done = run("logout")
    assert (done.code, done.out, done.err) == (0, f"Logged out of {fake_gateway.url}.\n", "")
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [True]
    assert not list(home.rglob("login-*"))
    assert run("logout").out == f"There was no login at {fake_gateway.url}.\n"
    assert run("logout", "--format", "json").json == {"gateway": fake_gateway.url, "removed": False, "revoked": False}


def test_logout_without_the_gateway_forgets_the_login_and_says_so(home: Path, run: Run) -> None:
    gone = "http://127.0.0.1:1"
    TokenStore(home / "portcullis").add(replace(LOGIN, gateway=gone, issuer=gone))
    done = run("logout")
    assert (done.code, done.out) == (0, f"Logged out of {gone}.\n")
    assert "The gateway was not told" in done.err
    assert "until it ends by itself" in done.err
    assert not list(home.rglob("login-*"))


def test_logout_as_json_says_whether_the_gateway_was_told(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    fake_gateway.answers["/-/oauth/revoke"] = 400, {"error": "invalid_request"}
    done = run("logout", "--format", "json")
    assert done.json == {"gateway": fake_gateway.url, "removed": True, "revoked": False}
    assert "answered 400 to the revocation" in done.err


def test_a_login_that_others_could_read_is_revoked_too(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    """Its tokens may be known: those, more than any, must end."""
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    (path,) = home.rglob("login-*")
    path.chmod(0o644)
    assert run("token").code == 2
    assert run("logout").code == 0
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [True]
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_login_is_forgotten(home: Path, run: Run, text: str) -> None:
    TokenStore(home / "portcullis").add(LOGIN)
    (path,) = home.rglob("login-*")
    path.write_text(text)
    done = run("logout")
    assert (done.code, "The gateway was not told" in done.err) == (0, True)
    assert not path.exists()


def test_a_login_without_renewal_is_ended_by_its_access_token(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    kept = replace(LOGIN, gateway=fake_gateway.url, issuer=fake_gateway.url, refresh_token=None)
    TokenStore(home / "portcullis").add(kept)
    revoked: list[str] = []
    original = fake_gateway.oauth.revoke

    def revoke(form: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        revoked.extend([*form["token"], *form["token_type_hint"]])
        return original(form)

    fake_gateway.oauth.revoke = revoke  # type: ignore[method-assign,assignment]
    assert run("logout").code == 0
    assert revoked == ["a-token", "access_token"]
