"""A browser login through a real provider gives the token the gateway wants, and nothing else can end it."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest

from gateway.cli.token_store import Login, TokenStore
from tests.gateway.cli.conftest import Result, Run
from tests.gateway.cli.fake_gateway import FakeGateway
from tests.parts.oidc_provider import CLI_CLIENT_ID, OidcProvider

SCOPES = ["openid", "email", "profile", "groups"]
BROWSER = f"{sys.executable} {Path(__file__).with_name('browser.py')} %s"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider("ES256") as provider:
        yield provider


@pytest.fixture
def gateway(fake_gateway: FakeGateway, provider: OidcProvider) -> FakeGateway:
    fake_gateway.answers["/-/api/v1/login"] = 200, {"providers": [described("corp", provider, "access_token")]}
    return fake_gateway


def described(name: str, provider: OidcProvider, token: str) -> dict[str, object]:
    return {"name": name, "issuer": provider.issuer, "client_id": CLI_CLIENT_ID, "scopes": SCOPES, "token": token}


def start(home: Path, *arguments: str, browser: str | None = None) -> subprocess.Popen[str]:
    environment = os.environ | {"XDG_STATE_HOME": str(home)}
    if browser is not None:
        environment["BROWSER"] = browser
    command = [sys.executable, "-c", "import sys; from gateway.cli.main import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=30)
    return Result(process.returncode, out, err)


def login_address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("http"):
            return line.strip()
    raise AssertionError("no address was printed")


def authorization_response(browser: httpx.Client, address: str, redirect: str) -> dict[str, str]:
    """Log in as a browser would, but stop before the last redirect and return what it carries."""
    for _ in range(10):
        response = browser.get(address)
        address = urljoin(str(response.url), response.headers.get("location", ""))
        if address.startswith(redirect):
            return dict(httpx.URL(address).params)
    raise AssertionError(f"the login ended at {address}: {response.text}")


def claims(token: str) -> dict[str, object]:
    import base64

    payload = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


@pytest.mark.parametrize(("kind", "audience"), [("access_token", "portcullis"), ("id_token", CLI_CLIENT_ID)])
def test_a_browser_login_keeps_the_token_that_the_gateway_wants(
    home: Path, gateway: FakeGateway, provider: OidcProvider, kind: str, audience: str
) -> None:
    gateway.answers["/-/api/v1/login"] = 200, {"providers": [described("corp", provider, kind)]}
    done = finish(start(home, "login", "--gateway", gateway.url, browser=BROWSER))
    assert (done.code, done.out.split(";")[0]) == (0, f"Logged in at {gateway.url} through corp")
    kept = TokenStore(home / "portcullis").load(gateway.url)
    assert kept is not None
    found = claims(kept.token)
    assert (found["iss"], found["sub"], found["aud"]) == (provider.issuer, "alice", audience)


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA"])
def test_an_id_token_of_every_signature_kind_is_checked_and_kept(
    home: Path, fake_gateway: FakeGateway, algorithm: str
) -> None:
    with OidcProvider(algorithm) as other:  # type: ignore[arg-type]
        fake_gateway.answers["/-/api/v1/login"] = 200, {"providers": [described("corp", other, "id_token")]}
        done = finish(start(home, "login", "--gateway", fake_gateway.url, "--format", "json", browser=BROWSER))
    assert done.code == 0, done.err
    assert done.json["provider"] == "corp"
    assert done.json["expires_at"] > time.time()


def test_the_request_uses_pkce_state_nonce_and_a_loopback_redirect(home: Path, gateway: FakeGateway) -> None:
    """SECURITY-CASES 25."""
    process = start(home, "login", "--gateway", gateway.url, "--no-browser")
    query = {key: values[0] for key, values in parse_qs(urlsplit(login_address(process)).query).items()}
    process.terminate()
    finish(process)
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 32
    assert len(query["nonce"]) >= 32
    assert query["scope"] == " ".join(SCOPES)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/callback", query["redirect_uri"])


@pytest.mark.parametrize("change", [{"state": "guessed"}, {"iss": "https://evil.example.com"}, {"code": "stolen"}])
def test_an_answer_of_another_login_never_gives_a_token(
    home: Path, gateway: FakeGateway, provider: OidcProvider, change: dict[str, str]
) -> None:
    """SECURITY-CASES 25: a wrong state is not even heard; a wrong issuer (RFC 9207) or code ends the login."""
    process = start(home, "login", "--gateway", gateway.url, "--no-browser", "--timeout", "1")
    address = login_address(process)
    redirect = parse_qs(urlsplit(address).query)["redirect_uri"][0]
    with httpx.Client(trust_env=False) as browser:
        answer = authorization_response(browser, address, redirect) | change
        status = browser.get(f"{redirect}?{urlencode(answer)}").status_code
    done = finish(process)
    assert done.code == 2
    assert status == (404 if "state" in change else 200)
    assert "Traceback" not in done.err
    assert not list(home.rglob("login-*"))


def test_requests_that_are_no_answer_do_not_end_the_wait(home: Path, gateway: FakeGateway) -> None:
    """A page in the same browser can call any local port; only the login's own state is heard."""
    process = start(home, "login", "--gateway", gateway.url, "--no-browser")
    address = login_address(process)
    query = parse_qs(urlsplit(address).query)
    redirect, state = query["redirect_uri"][0], query["state"][0]
    with httpx.Client(trust_env=False) as browser:
        for path in ("?code=x&state=x", f"?code=x&state={state}&state={state}", "?error=access_denied", ""):
            assert browser.get(redirect + path).status_code == 404
        assert browser.get(redirect.replace("/callback", f"/favicon.ico?state={state}")).status_code == 404
    finished = subprocess.run([sys.executable, Path(__file__).with_name("browser.py"), address], check=False)
    assert finished.returncode == 0
    assert finish(process).code == 0


def test_a_refused_login_says_so(home: Path, gateway: FakeGateway, provider: OidcProvider) -> None:
    process = start(home, "login", "--gateway", gateway.url, "--no-browser")
    query = parse_qs(urlsplit(login_address(process)).query)
    answer = {
        "state": query["state"][0],
        "error": "access_denied",
        "error_description": "no\x1b[2J",
        "iss": provider.issuer,
    }
    httpx.get(f"{query['redirect_uri'][0]}?{urlencode(answer)}", trust_env=False)
    done = finish(process)
    assert done.code == 2
    assert "refused the login: no\\x1b[2J" in done.err


def test_an_id_token_made_for_another_nonce_is_refused(
    home: Path, gateway: FakeGateway, provider: OidcProvider
) -> None:
    """SECURITY-CASES 25: a code that was begun elsewhere (another nonce, same verifier) gives no login."""
    from gateway.cli.oauth import CodeFlow, LoginProvider, discover
    from gateway.cli.output import CommandError

    described_provider = LoginProvider("corp", provider.issuer, CLI_CLIENT_ID, tuple(SCOPES), "id_token")
    with httpx.Client(trust_env=False) as http:
        flow = CodeFlow(http, described_provider, discover(http, provider.issuer), "http://127.0.0.1:1/callback", "s")
        address = str(httpx.URL(flow.url).copy_set_param("nonce", "an-attackers"))
        answer = authorization_response(http, address, "http://127.0.0.1:1/callback")
        with pytest.raises(CommandError, match="nonce"):
            flow.finish(answer, gateway.url)


def test_the_login_is_kept_for_its_owner_alone(home: Path, gateway: FakeGateway) -> None:
    done = finish(start(home, "login", "--gateway", gateway.url, browser=BROWSER))
    assert done.code == 0
    (kept,) = home.rglob("login-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "eyJ" not in done.out + done.err


def test_a_token_that_ends_is_renewed_without_the_browser(
    home: Path, gateway: FakeGateway, provider: OidcProvider, run: Run
) -> None:
    assert finish(start(home, "login", "--gateway", gateway.url, browser=BROWSER)).code == 0
    store = TokenStore(home / "portcullis")
    kept = store.load(gateway.url)
    assert kept is not None
    store.save(replace(kept, expires_at=int(time.time()) - 1))
    token = run("token").out.strip()
    assert token != kept.token
    assert claims(token)["sub"] == "alice"
    assert run("token").out.strip() == token


def test_a_token_that_ended_and_can_not_be_renewed_says_what_to_do(
    home: Path, run: Run, provider: OidcProvider
) -> None:
    store = TokenStore(home / "portcullis")
    ended = login(provider.issuer, expires_at=1_000_000_000, refresh_token=None)
    store.save(ended)
    done = run("token")
    assert (done.code, done.out) == (2, "")
    assert "ended at 2001-09-09T01:46:40Z: run `portcullis login`" in done.err
    store.save(replace(ended, refresh_token="long-gone"))
    done = run("token")
    assert done.code == 2
    assert "run `portcullis login` again" in done.err
    assert "long-gone" not in done.err


def test_renewing_never_changes_the_person(home: Path, run: Run, gateway: FakeGateway, provider: OidcProvider) -> None:
    assert finish(start(home, "login", "--gateway", gateway.url, browser=BROWSER)).code == 0
    store = TokenStore(home / "portcullis")
    kept = store.load(gateway.url)
    assert kept is not None
    store.save(replace(kept, expires_at=0, token_subject="bob"))
    done = run("token")
    assert done.code == 2
    assert "somebody else" in done.err


def login(issuer: str, **fields: object) -> Login:
    kept = Login(
        gateway="https://gateway.example.com",
        provider="corp",
        issuer=issuer,
        client_id=CLI_CLIENT_ID,
        scopes=("openid",),
        token_kind="access_token",
        token="a-token",
        token_subject=None,
        expires_at=None,
        refresh_token=None,
    )
    return replace(kept, **fields)  # type: ignore[arg-type]


def test_logout_forgets_the_login(home: Path, run: Run) -> None:
    TokenStore(home / "portcullis").save(login("https://sso.example.com"))
    assert run("logout").out == "Logged out of https://gateway.example.com.\n"
    assert run("logout", "--format", "json").json == {"gateway": "https://gateway.example.com", "removed": False}
    assert run("token").code == 2


@pytest.mark.parametrize(
    ("providers", "arguments", "message"),
    [
        ([], (), "no provider that the command line can log in with"),
        (["a", "b"], (), "choose a provider with --provider: a, b"),
        (["a", "b"], ("--provider", "c"), "no provider 'c': choose one of a, b"),
    ],
)
def test_the_choice_of_a_provider_is_clear(
    run: Run, fake_gateway: FakeGateway, providers: list[str], arguments: tuple[str, ...], message: str
) -> None:
    listed = [
        {"name": name, "issuer": "https://sso.example.com", "client_id": "x", "scopes": [], "token": "access_token"}
        for name in providers
    ]
    fake_gateway.answers["/-/api/v1/login"] = 200, {"providers": listed}
    done = run("login", "--gateway", fake_gateway.url, *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_gateway_that_describes_providers_in_another_way_is_told(run: Run, fake_gateway: FakeGateway) -> None:
    fake_gateway.answers["/-/api/v1/login"] = 200, {"providers": [{"name": "corp"}]}
    done = run("login", "--gateway", fake_gateway.url)
    assert (done.code, "update it" in done.err) == (2, True)


def test_a_provider_that_is_not_its_issuer_is_not_used(run: Run, fake_gateway: FakeGateway) -> None:
    """SECURITY-CASES 25: metadata that names another issuer could lead the code to another provider."""
    entry = {"name": "corp", "issuer": fake_gateway.url, "client_id": "x", "scopes": [], "token": "access_token"}
    fake_gateway.answers["/-/api/v1/login"] = 200, {"providers": [entry]}
    fake_gateway.answers["/.well-known/openid-configuration"] = 200, {"issuer": "https://evil.example.com"}
    done = run("login", "--gateway", fake_gateway.url)
    assert (done.code, "not used" in done.err) == (2, True)
    metadata = {
        "issuer": fake_gateway.url,
        "authorization_endpoint": "http://evil.example.com/auth",
        "token_endpoint": f"{fake_gateway.url}/token",
        "jwks_uri": f"{fake_gateway.url}/jwks",
    }
    fake_gateway.answers["/.well-known/openid-configuration"] = 200, metadata
    done = run("login", "--gateway", fake_gateway.url)
    assert (done.code, "names no https authorization_endpoint" in done.err) == (2, True)
