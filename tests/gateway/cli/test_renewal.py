"""A login is renewed silently, once, and kept before it is used; when it is over, the command says so."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.token_store import Login, TokenStore
from tests.gateway.cli.conftest import BROWSER, Run, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway
from tests.gateway.cli.test_access import ALICE
from tests.gateway.cli.test_token_store import LOGIN

TOKEN = "/-/oauth/token"
METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def store(home: Path, fake_gateway: FakeGateway) -> TokenStore:
    """A person's logins, with one at the gateway."""
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    return TokenStore(home / "portcullis")


def kept(store: TokenStore, gateway: FakeGateway) -> Login:
    login = store.load(gateway.url)
    assert login is not None
    return login


def age(store: TokenStore, gateway: FakeGateway, left_s: int) -> Login:
    """Let the access token end in `left_s` seconds; returns the login as it was before."""
    login = kept(store, gateway)
    store.renew(replace(login, expires_at=int(time.time()) + left_s))
    return login


@pytest.mark.parametrize("left_s", [-1, 20])
def test_a_token_that_ends_is_renewed_before_it_is_shown(
    store: TokenStore, run: Run, fake_gateway: FakeGateway, left_s: int
) -> None:
    before = age(store, fake_gateway, left_s)
    fake_gateway.answers["/-/api/v1/whoami"] = 200, ALICE
    assert run("whoami").code == 0
    after = kept(store, fake_gateway)
    assert after.token != before.token
    assert after.refresh_token != before.refresh_token
    assert fake_gateway.asked[-1] == ("/-/api/v1/whoami", {}, f"Bearer {after.token}")
    asked = len(fake_gateway.asked)
    assert run("token").out == f"{after.token}\n"
    assert len(fake_gateway.asked) == asked


def test_many_commands_at_once_use_a_refresh_token_once(store: TokenStore, fake_gateway: FakeGateway) -> None:
    """Reuse would end the session for all of them."""
    age(store, fake_gateway, -1)
    running = [start("token") for _ in range(4)]
    done = [finish(process) for process in running]
    assert [each.code for each in done] == [0] * 4, done
    assert {each.out for each in done} == {f"{kept(store, fake_gateway).token}\n"}
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [False]


def test_a_session_that_ended_says_so_and_is_forgotten(store: TokenStore, run: Run, fake_gateway: FakeGateway) -> None:
    age(store, fake_gateway, -1)
    [session] = fake_gateway.oauth.sessions.values()
    session.ended = True
    done = run("token")
    assert (done.code, done.out) == (2, "")
    assert f"the login at {fake_gateway.url} is over (the session has ended): run `portcullis login`" in done.err
    assert "not logged in" in run("token").err


def test_a_refresh_token_that_somebody_else_used_ends_the_login_and_says_so(
    store: TokenStore, run: Run, fake_gateway: FakeGateway
) -> None:
    age(store, fake_gateway, -1)
    [session] = fake_gateway.oauth.sessions.values()
    session.used.add(session.refresh_token)
    done = run("token")
    assert (done.code, "the refresh token was used before" in done.err) == (2, True)
    assert "eyJ" not in done.err


@pytest.mark.parametrize("path", [TOKEN, METADATA])
def test_an_outage_keeps_the_login_and_uses_a_token_that_still_lives(
    store: TokenStore, run: Run, fake_gateway: FakeGateway, path: str
) -> None:
    before = age(store, fake_gateway, 20)
    fake_gateway.answers[path] = 503, {"error": "temporarily_unavailable", "code": "identity_state_unavailable"}
    assert run("token").out == f"{before.token}\n"
    age(store, fake_gateway, -1)
    done = run("token")
    assert (done.code, done.out) == (2, "")
    assert "503" in done.err
    del fake_gateway.answers[path]
    assert run("token").code == 0


def test_a_gateway_that_is_gone_keeps_the_login(home: Path, run: Run) -> None:
    gone = "http://127.0.0.1:1"
    TokenStore(home / "portcullis").add(replace(LOGIN, gateway=gone, issuer=gone, expires_at=0))
    done = run("token")
    assert (done.code, "can't be reached" in done.err) == (2, True)
    assert TokenStore(home / "portcullis").load(gone) is not None


def test_a_refusal_that_is_not_about_the_login_keeps_it(store: TokenStore, run: Run, fake_gateway: FakeGateway) -> None:
    age(store, fake_gateway, -1)
    fake_gateway.answers[TOKEN] = 400, {"error": "invalid_request"}
    assert run("token").code == 2
    del fake_gateway.answers[TOKEN]
    assert run("token").code == 0


def test_a_token_that_ended_and_can_not_be_renewed_says_what_to_do(home: Path, run: Run) -> None:
    TokenStore(home / "portcullis").add(replace(LOGIN, expires_at=1_000_000_000, refresh_token=None))
    done = run("token")
    assert (done.code, done.out) == (2, "")
    assert "ended at 2001-09-09T01:46:40Z: run `portcullis login`" in done.err


def test_a_refresh_token_goes_to_nobody_but_who_gave_it(store: TokenStore, run: Run, fake_gateway: FakeGateway) -> None:
    """As a login of an older version, whose refresh token is a provider's."""
    store.renew(replace(age(store, fake_gateway, -1), issuer="https://sso.example.com", expires_at=0))
    asked = len(fake_gateway.asked)
    done = run("token")
    assert (done.code, "run `portcullis login` again" in done.err) == (2, True)
    assert [path for path, _, _ in fake_gateway.asked[asked:]] == [METADATA]


def test_a_command_that_is_killed_while_it_renews_leaves_the_lock_free(
    store: TokenStore, run: Run, fake_gateway: FakeGateway
) -> None:
    age(store, fake_gateway, -1)
    killed: list[subprocess.Popen[str]] = []

    def kill(_: str) -> tuple[int, dict[str, str]]:
        killed[0].kill()
        killed[0].wait()
        return 503, {}

    fake_gateway.answers[TOKEN] = kill
    killed.append(start("token"))
    assert finish(killed[0]).code != 0
    del fake_gateway.answers[TOKEN]
    assert run("token").code == 0
