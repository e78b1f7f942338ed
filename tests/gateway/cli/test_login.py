"""A browser login at the gateway is kept for the other commands, and nothing else can end it."""

import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from gateway.cli.token_store import TokenStore
from tests.gateway.cli.conftest import BROWSER, Run, address_to_open, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway

METADATA = "/.well-known/oauth-authorization-server"


def test_a_browser_login_is_kept_and_says_who_and_through_whom(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    done = finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER))
    assert done.code == 0, done.err
    told = f"Logged in at {fake_gateway.url} as user:alice through corp; the token ends at "
    assert done.out.startswith(told)
    assert "eyJ" not in done.out + done.err
    kept = TokenStore(home / "portcullis").load(fake_gateway.url)
    assert kept is not None
    assert (kept.issuer, run("token").out) == (fake_gateway.url, f"{kept.token}\n")
    assert 0 < (kept.expires_at or 0) - time.time() <= 600


def test_a_login_as_json(fake_gateway: FakeGateway, home: Path) -> None:
    done = finish(start("login", "--gateway", fake_gateway.url, "--format", "json", browser=BROWSER))
    told = done.json
    assert (told["gateway"], told["subject"], told["provider"]) == (fake_gateway.url, "user:alice", "corp")
    assert told["expires_at"] > time.time()


def test_a_new_login_ends_the_one_that_it_replaces(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    for _ in range(2):
        assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [True, False]
    assert run("token").code == 0


@pytest.mark.parametrize("fault", ["the gateway can't now", "the login is damaged"])
def test_a_login_that_can_not_be_ended_is_replaced_in_silence(
    home: Path, run: Run, fake_gateway: FakeGateway, fault: str
) -> None:
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    if fault == "the login is damaged":
        (path,) = home.rglob("login-*")
        path.write_text("{")
    else:
        fake_gateway.answers["/-/oauth/revoke"] = 503, {}
    done = finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER))
    assert (done.code, len(done.err.splitlines())) == (0, 2)
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [False, False]
    assert run("token").code == 0


def test_a_login_that_failed_ends_nothing(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 0
    fake_gateway.oauth.refusal = "access_denied"
    assert finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER)).code == 2
    assert [session.ended for session in fake_gateway.oauth.sessions.values()] == [False]
    assert run("token").code == 0


def test_the_request_uses_pkce_state_and_a_loopback_redirect(home: Path, fake_gateway: FakeGateway) -> None:
    """SECURITY-CASES 25."""
    arguments = ["--provider", "partner", "--acr", "mfa", "--acr", "hwk", "--max-age", "60"]
    process = start("login", "--gateway", fake_gateway.url, "--no-browser", *arguments)
    address = address_to_open(process)
    process.terminate()
    finish(process)
    query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(f"{fake_gateway.url}/-/oauth/authorize?")
    assert (query["client_id"], query["response_type"]) == ("portcullis-cli", "code")
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 32
    assert (query["provider"], query["acr_values"], query["max_age"]) == ("partner", "mfa hwk", "60")
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/callback", query["redirect_uri"])


@pytest.mark.parametrize(
    "change", [{"state": "guessed"}, {"iss": "https://evil.example.com"}, {"iss": None}, {"code": "stolen"}]
)
def test_an_answer_of_another_login_never_gives_a_token(
    home: Path, fake_gateway: FakeGateway, change: dict[str, str | None]
) -> None:
    """SECURITY-CASES 25: a wrong state is not even heard; a wrong or missing issuer (RFC 9207), or code, ends it."""
    process = start("login", "--gateway", fake_gateway.url, "--no-browser", "--timeout", "1")
    answer = httpx.get(address_to_open(process), trust_env=False).headers["location"]
    redirect, _, query = answer.partition("?")
    fields = {key: values[0] for key, values in parse_qs(query).items()} | change
    changed = urlencode({key: value for key, value in fields.items() if value is not None})
    status = httpx.get(f"{redirect}?{changed}", trust_env=False).status_code
    done = finish(process)
    assert done.code == 2
    assert status == (404 if "state" in change else 200)
    assert "Traceback" not in done.err
    assert not list(home.rglob("login-*"))


def test_requests_that_are_no_answer_do_not_end_the_wait(home: Path, fake_gateway: FakeGateway) -> None:
    """A page in the same browser can call any local port; only the login's own state is heard."""
    process = start("login", "--gateway", fake_gateway.url, "--no-browser")
    address = address_to_open(process)
    query = parse_qs(urlsplit(address).query)
    redirect, state = query["redirect_uri"][0], query["state"][0]
    with httpx.Client(trust_env=False) as browser:
        for path in ("?code=x&state=x", f"?code=x&state={state}&state={state}", "?error=access_denied", ""):
            assert browser.get(redirect + path).status_code == 404
        assert browser.get(redirect.replace("/callback", f"/favicon.ico?state={state}")).status_code == 404
    assert httpx.get(address, follow_redirects=True, trust_env=False).status_code == 200
    assert finish(process).code == 0


def test_a_refused_login_says_so_in_the_terminal_and_in_the_browser(home: Path, fake_gateway: FakeGateway) -> None:
    fake_gateway.oauth.refusal = "access_denied"
    process = start("login", "--gateway", fake_gateway.url, "--no-browser")
    page = httpx.get(address_to_open(process), follow_redirects=True, trust_env=False).text
    done = finish(process)
    assert done.code == 2
    assert "the login did not work: no\\x1b[2J" in done.err
    assert "The login did not work (no\\x1b[2J&lt;b&gt;)." in page


def test_a_browser_that_does_not_come_back_in_time_is_told(home: Path, fake_gateway: FakeGateway) -> None:
    done = finish(start("login", "--gateway", fake_gateway.url, "--no-browser", "--timeout", "1"))
    assert (done.code, "no browser came back within 1 s" in done.err) == (2, True)


def test_a_browser_that_can_not_be_started_leaves_the_address(home: Path, fake_gateway: FakeGateway) -> None:
    process = start("login", "--gateway", fake_gateway.url, "--timeout", "1", browser="false %s")
    done = finish(process)
    assert "open the address by hand, or run this again with --device" in done.err


@pytest.mark.parametrize(
    ("issuer", "accepted"),
    [
        ("{url}/", True),
        ("https://gateway.example.com", False),
        ("{url}.example.com", False),
        ("{url}/tenant", False),
        (None, False),
        (7, False),
    ],
)
def test_a_gateway_is_believed_only_about_itself(
    run: Run, fake_gateway: FakeGateway, issuer: object, accepted: bool
) -> None:
    """SECURITY-CASES 25: whoever answers for another gateway's metadata gets no login of it (RFC 8414 section 3.3)."""
    named = issuer.format(url=fake_gateway.url) if isinstance(issuer, str) else issuer
    fake_gateway.answers[METADATA] = 200, fake_gateway.oauth.metadata() | {"issuer": named}
    fake_gateway.answers["/-/oauth/device_authorization"] = 400, {"error": "invalid_request"}
    done = run("login", "--gateway", fake_gateway.url, "--device")
    assert done.code == 2
    if accepted:
        assert "gave no code for a device (invalid_request)" in done.err
    else:
        assert ("does not answer as a Portcullis gateway" if named is None else f"calls itself {named!r}") in done.err


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "device_authorization_endpoint"])
@pytest.mark.parametrize("endpoint", ["https://evil.example.com/x", "{url}.evil.example.com/x", None])
def test_an_endpoint_elsewhere_is_not_used(
    run: Run, fake_gateway: FakeGateway, name: str, endpoint: str | None
) -> None:
    elsewhere = endpoint.format(url=fake_gateway.url) if endpoint else None
    fake_gateway.answers[METADATA] = 200, fake_gateway.oauth.metadata() | {name: elsewhere}
    done = run("login", "--gateway", fake_gateway.url)
    assert (done.code, f"names no {name} of its own" in done.err) == (2, True)


def test_a_gateway_that_keeps_no_logins_says_why(run: Run, fake_gateway: FakeGateway) -> None:
    problem = {"code": "identity_state_missing", "detail": "identity.state is not configured"}
    fake_gateway.answers[METADATA] = 404, problem
    done = run("login", "--gateway", fake_gateway.url)
    assert (done.code, "404 identity_state_missing (identity.state is not configured)" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {"code": "x", "detail": "not today"}), "gave no token: not today"),
        ((200, {"access_token": 7, "token_type": "Bearer"}), "gave no token"),
        ((200, {"access_token": "x", "token_type": "DPoP"}), "a token of the type 'DPoP'"),
        ((200, b"<h1>A portal</h1>"), "gave no token: it answered 200"),
        ((302, b"https://evil.example.com/"), "gave no token: it answered 302"),
        ((503, {"error": "temporarily_unavailable"}), "can't answer now (503)"),
        ((400, {"error": "invalid_grant", "error_description": "no\x1b[2J"}), "gave no token (no\\x1b[2J)"),
    ],
)
def test_a_token_answer_that_is_none_is_told_in_plain_words(
    run: Run, home: Path, fake_gateway: FakeGateway, answer: tuple[int, object], message: str
) -> None:
    fake_gateway.answers["/-/oauth/token"] = answer
    done = finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(home.rglob("login-*"))


def test_a_login_weaker_than_asked_is_kept_and_told(home: Path, run: Run, fake_gateway: FakeGateway) -> None:
    """A provider may pass over `acr_values`: whoever asked must hear of it."""
    done = finish(start("login", "--gateway", fake_gateway.url, "--acr", "mfa", browser=BROWSER))
    assert done.code == 1
    assert "the login is kept, but not what was asked for" in done.err
    assert "its authentication context is pwd, not mfa" in done.err
    assert run("token").code == 0


def test_a_token_in_the_environment_that_hides_the_login_is_told(home: Path, fake_gateway: FakeGateway) -> None:
    done = finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER, PORTCULLIS_TOKEN="another"))
    assert (done.code, "PORTCULLIS_TOKEN is set" in done.err) == (0, True)


def test_device_and_browser_exclude_each_other(run: Run, fake_gateway: FakeGateway) -> None:
    done = run("login", "--gateway", fake_gateway.url, "--device", "--browser")
    assert (done.code, "leave out --browser" in done.err) == (2, True)
