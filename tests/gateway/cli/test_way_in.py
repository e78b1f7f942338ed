"""The whole way on real parts: a certified provider, a gateway that issues, a person at a browser or a device.

What is tested against a fake gateway elsewhere in this directory is held to be true of the real one here.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway.cli.assurance import unverified_claims
from gateway.cli.token_store import Login, TokenStore
from tests.gateway.cli.conftest import BROWSER, ROOT, Run, address_to_open, finish, start
from tests.gateway.cli.file_keyring import MODULE
from tests.gateway.cli.test_step_up import Terminal
from tests.parts.gateway import bearer
from tests.parts.http_browser import HttpBrowser, http_browser
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import CLIENT_SECRET
from tests.parts.scripted_person import go_through

MFA = "urn:example:mfa"
RULES = [
    "p, group:corp:dev, prod, logs-prod/app/**, use, allow,",
    f"p, group:corp:dev, prod, logs-prod/secret/**, use, allow, acr == '{MFA}'",
    f"p, user:alice, control, -/sessions/*, read, allow, acr == '{MFA}'",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginSite]:
    with LoginSite(tmp_path_factory.mktemp("site")) as site:
        before = digest(site)
        (site.site.policies / "rules" / "rules.csv").write_text("\n".join(RULES) + "\n")
        site.gateway.wait_until(lambda: digest(site) != before, "the rules are in force")
        yield site


@pytest.fixture
def browser() -> Iterator[HttpBrowser]:
    with http_browser() as browser:
        yield browser


@pytest.fixture
def store(home: Path) -> TokenStore:
    return TokenStore(home / "portcullis")


@pytest.fixture
def logged_in(site: LoginSite, store: TokenStore) -> Login:
    """Alice, logged in by browser at corp."""
    done = finish(start("login", "--gateway", site.url, "--provider", "corp", browser=BROWSER))
    assert done.code == 0, done.err
    return kept(store, site)


def digest(site: LoginSite) -> str:
    found: str = httpx.get(f"{site.url}/-/readyz").json()["policy"]["digest"]
    return found


def kept(store: TokenStore, site: LoginSite) -> Login:
    login = store.load(site.url)
    assert login is not None
    return login


def status(site: LoginSite, token: str) -> int:
    return httpx.get(f"{site.url}/-/api/v1/whoami", headers=bearer(token)).status_code


def test_login_by_browser_asks_and_logout(home: Path, run: Run, site: LoginSite, store: TokenStore) -> None:
    done = finish(start("login", "--gateway", site.url, "--provider", "corp", browser=BROWSER))
    assert done.code == 0, done.err
    assert done.out.startswith(f"Logged in at {site.url} as user:alice through corp; the token ends at ")
    token = kept(store, site).token
    who = run("whoami", "--format", "json").json
    assert (who["subject"], who["provider"]) == ("user:alice", "corp")
    assert run("can-i", "use", "logs-prod/app/x").code == 0
    assert run("can-i", "use", "logs-prod/other/x").code == 1
    assert run("logout").out == f"Logged out of {site.url}.\n"
    assert "not logged in" in run("whoami").err
    assert status(site, token) == 401


def test_login_at_the_provider_that_is_named(home: Path, run: Run, site: LoginSite) -> None:
    assert finish(start("login", "--gateway", site.url, "--provider", "partner", browser=BROWSER)).code == 0
    assert run("whoami", "--format", "json").json["provider"] == "partner"
    done = finish(start("login", "--gateway", site.url, "--provider", "nowhere", browser=BROWSER))
    told = "nobody can log in through that provider, only through corp, partner"
    assert (done.code, told in done.err) == (2, True)
    device = run("login", "--gateway", site.url, "--provider", "nowhere", "--device")
    assert (device.code, told in device.err) == (2, True)


def test_login_on_another_device(home: Path, run: Run, site: LoginSite, browser: HttpBrowser) -> None:
    process = start("login", "--gateway", site.url, "--device", "--provider", "corp")
    assert address_to_open(process) == f"{site.url}/-/device"
    page = go_through(browser, address_to_open(process), provider="corp")
    assert "The device is let in" in page.text
    done = finish(process)
    assert done.code == 0, done.err
    assert "as user:alice through corp" in done.out
    assert run("whoami").code == 0


def test_a_login_that_is_denied_on_the_other_device(home: Path, site: LoginSite, browser: HttpBrowser) -> None:
    process = start("login", "--gateway", site.url, "--device", "--provider", "corp")
    address_to_open(process)
    page = go_through(browser, address_to_open(process), provider="corp", decision="deny")
    assert "The device is not let in" in page.text
    done = finish(process)
    assert (done.code, "was denied on the other device" in done.err) == (2, True)


def test_a_new_login_ends_the_session_of_the_one_it_replaces(
    run: Run, site: LoginSite, store: TokenStore, logged_in: Login
) -> None:
    done = finish(start("login", "--gateway", site.url, "--provider", "corp", browser=BROWSER))
    assert done.code == 0, done.err
    url = f"{site.url}/-/api/v1/whoami"
    assert httpx.get(url, headers=bearer(logged_in.token), trust_env=False).status_code == 401
    assert httpx.get(url, headers=bearer(kept(store, site).token), trust_env=False).status_code == 200


def test_a_login_that_is_denied_in_the_browser(home: Path, site: LoginSite, browser: HttpBrowser) -> None:
    process = start("login", "--gateway", site.url, "--provider", "corp", "--no-browser")
    page = go_through(browser, address_to_open(process), decision="deny")
    assert "The login did not work (the person said no)." in page.text
    done = finish(process)
    assert (done.code, "the login did not work: the person said no" in done.err) == (2, True)


def test_a_login_that_fails_at_the_provider_ends_the_command_with_the_reason(
    home: Path, site: LoginSite, browser: HttpBrowser
) -> None:
    process = start("login", "--gateway", site.url, "--provider", "corp", "--no-browser")
    site.corp.set_client(client_secret="the-new-secret-nobody-told-us")
    try:
        page = browser.open(address_to_open(process))
    finally:
        site.corp.set_client(client_secret=CLIENT_SECRET)
    reason = "the gateway can't identify itself to the provider corp: tell the platform team"
    assert reason[1:] in page.text
    assert reason[1:] in browser.open(page.links["Tell it now"]).text
    done = finish(process)
    assert (done.code, f"the login did not work: {reason}" in done.err) == (2, True)


def test_a_login_is_renewed_and_a_refresh_token_that_comes_twice_ends_it(
    run: Run, site: LoginSite, store: TokenStore, logged_in: Login
) -> None:
    store.renew(replace(logged_in, expires_at=0))
    renewed = run("token").out.strip()
    assert renewed != logged_in.token
    assert status(site, renewed) == 200
    # Whoever has copied the file uses the old one again.
    store.renew(replace(logged_in, expires_at=0))
    done = run("token")
    assert (done.code, f"the login at {site.url} is over" in done.err) == (2, True)
    assert "run `portcullis login`" in done.err
    assert status(site, renewed) == 401


def test_many_commands_at_once_renew_once(site: LoginSite, store: TokenStore, logged_in: Login) -> None:
    store.renew(replace(logged_in, expires_at=0))
    done = [finish(process) for process in [start("token") for _ in range(3)]]
    assert len({each.out for each in done}) == 1
    assert status(site, done[0].out.strip()) == 200


def test_sessions_are_listed_and_one_is_ended(run: Run, site: LoginSite, logged_in: Login) -> None:
    session = unverified_claims(logged_in.token)["sid"]
    listed = run("sessions", "--format", "json").json
    assert listed["subject"] == "user:alice"
    [current] = [each for each in listed["sessions"] if each["current"]]
    assert (current["id"], current["client"], current["provider"]) == (session, "portcullis-cli", "corp")
    assert "this one" in run("sessions").out
    done = run("revoke", "--session", session)
    assert (done.code, done.out) == (0, f"Revoked: session {session}; 1 session ended.\n")
    assert status(site, logged_in.token) == 401
    done = run("whoami")
    assert (done.code, "does not accept the token" in done.err) == (2, True)


def test_a_person_revokes_all_that_they_were_given(run: Run, site: LoginSite, logged_in: Login) -> None:
    assert run("revoke", "--person", "user:alice").code == 0
    revoked_at = int(time.time())
    assert status(site, logged_in.token) == 401
    # What is issued within the same second counts as before: the next test's login must not be.
    site.gateway.wait_until(lambda: int(time.time()) > revoked_at, "the next second")


def test_nobody_revokes_others_without_a_rule(run: Run, logged_in: Login) -> None:
    done = run("revoke", "--person", "user:bob")
    assert (done.code, "denied" in done.err) == (1, True)


def test_an_exchanged_token_is_good_for_its_backend_and_action_only(
    run: Run, site: LoginSite, logged_in: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrowed = run("exchange", "--backend", "logs-prod", "--action", "us*").out.strip()
    claims = unverified_claims(narrowed)
    assert (claims["aud"], claims["scope"], claims["sub"]) == ([f"{site.url}/logs-prod"], "action:us*", "user:alice")
    done = run("exchange", "--backend", "nowhere")
    assert (done.code, "(invalid_target)" in done.err) == (2, True)
    monkeypatch.setenv("PORTCULLIS_TOKEN", narrowed)
    done = run("exchange", "--action", "other")
    assert (done.code, "(invalid_scope)" in done.err) == (2, True)


def test_a_job_exchanges_a_providers_token(
    run: Run, site: LoginSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(site.corp.tokens("alice").access_token)
    monkeypatch.setenv("PORTCULLIS_GATEWAY", site.url)
    done = run("exchange", "--subject-token-file", str(tmp_path / "token"), "--format", "json")
    assert done.code == 0, done.err
    assert status(site, done.json["token"]) == 200


def test_a_stronger_login_is_asked_for_and_made(run: Run, site: LoginSite, logged_in: Login) -> None:
    denied = run("can-i", "use", "logs-prod/secret/x")
    assert denied.code == 1
    assert f"would need a stronger login: `portcullis login --acr {MFA}" in denied.out
    told = run("sessions", "--person", "user:bob")
    assert (told.code, f"run `portcullis login --acr {MFA}" in told.err) == (1, True)
    done = Terminal().run("sessions", "--person", "user:bob")
    assert (done.code, done.out) == (0, "user:bob has 0 sessions.\n"), done.err
    assert unverified_claims(run("token").out)["acr"] == MFA
    assert run("can-i", "use", "logs-prod/secret/x").code == 0


def test_token_of_a_fresh_and_strong_login(run: Run, site: LoginSite, logged_in: Login) -> None:
    done = Terminal().run("token", "--acr", MFA, "--max-age", "60")
    assert done.code == 0, done.err
    claims = unverified_claims(done.out)
    assert claims["acr"] == MFA
    assert time.time() - claims["auth_time"] < 60


def test_an_assurance_that_the_provider_does_not_have(site: LoginSite, home: Path) -> None:
    done = finish(start("login", "--gateway", site.url, "--provider", "corp", "--acr", "urn:x", browser=BROWSER))
    assert (done.code, "the provider gave no login as strong as asked" in done.err) == (2, True)


def test_a_keyring_holds_the_tokens(home: Path, run: Run, site: LoginSite, tmp_path: Path) -> None:
    keyring = {"PYTHON_KEYRING_BACKEND": f"{MODULE}.FileKeyring", "TEST_KEYRING": str(tmp_path / "keyring.json")}
    done = finish(start("login", "--gateway", site.url, "--provider", "corp", browser=BROWSER, **keyring))
    assert done.code == 0, done.err
    assert len(json.loads((tmp_path / "keyring.json").read_text())) == 2
    assert finish(start("whoami", **keyring)).code == 0
    assert finish(start("logout", **keyring)).code == 0
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}


def test_another_address_of_the_gateway_is_not_its_own(run: Run, site: LoginSite) -> None:
    other = site.url.replace("127.0.0.1", "localhost")
    done = run("login", "--gateway", other)
    assert done.code == 2
    assert f"the gateway at {other} calls itself {site.url!r}" in done.err


def test_the_scripted_person_is_a_program_too(home: Path, site: LoginSite) -> None:
    """It says where it got stuck: here, at a link that leads elsewhere."""
    command = [sys.executable, "-m", "tests.parts.scripted_person", f"{site.url}/-/login?return_to=//evil.example.com"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "answered 400" in done.stderr
