"""The pages in a real browser: cookies, redirects, policies and forms as Chromium takes them."""

import base64
import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from gateway.cli.redirect import LoopbackRedirect
from tests.gateway.console.people import CONSOLE, SESSION, device, polled, whoami
from tests.parts.chromium import chromium, page_errors
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import CLIENT_SECRET


@pytest.fixture
def page() -> Iterator[Page]:
    # Without scripts: nothing on the pages may need any.
    with chromium(javascript=False) as page:
        yield page


def consent_address(site: LoginSite, redirect: LoopbackRedirect, state: str, verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    parameters = {
        "response_type": "code",
        "client_id": "portcullis-cli",
        "redirect_uri": redirect.uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{site.url}/-/oauth/authorize?{urlencode(parameters)}"


def test_a_person_logs_in_lets_the_command_line_in_and_logs_out(site: LoginSite, page: Page) -> None:
    """Choose a provider, log in, consent, see the account, log out; `__Host-` cookies and the policies hold."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    with LoopbackRedirect(state) as redirect:
        page.goto(consent_address(site, redirect, state, verifier))
        expect(page.get_by_role("heading")).to_have_text("Log in")
        page.get_by_role("link", name="corp").click()
        expect(page.get_by_role("heading")).to_have_text("The Portcullis command line wants to act as user:alice")
        page.get_by_role("button", name="Allow").click()
        answer = redirect.wait(10)
        expect(page.get_by_text("Go back to the terminal")).to_be_visible()
    assert answer is not None and answer["iss"] == site.url and answer["code"]
    page.goto(site.url + CONSOLE)
    expect(page.get_by_role("heading", level=1)).to_have_text("user:alice")
    expect(page.get_by_text("Portcullis command line").first).to_be_visible()
    (cookie,) = [each for each in page.context.cookies(site.url) if each["name"] == SESSION]
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("You are logged out")
    assert not [each for each in page.context.cookies(site.url) if each["name"].startswith("__Host-")]
    assert page_errors(page) == []


def test_a_person_who_says_no_leaves_the_command_line_with_an_error(site: LoginSite, page: Page) -> None:
    state = secrets.token_urlsafe(32)
    with LoopbackRedirect(state) as redirect:
        page.goto(consent_address(site, redirect, state, "v" * 43))
        page.get_by_role("link", name="partner").click()
        page.get_by_role("button", name="Deny").click()
        answer = redirect.wait(10)
    assert answer is not None and answer["error"] == "access_denied"
    assert page_errors(page) == []


def test_a_login_that_fails_is_read_and_then_told_to_the_command_line(site: LoginSite, page: Page) -> None:
    state = secrets.token_urlsafe(32)
    site.corp.set_client(client_secret="the-new-secret-nobody-told-us")
    try:
        with LoopbackRedirect(state) as redirect:
            page.goto(consent_address(site, redirect, state, "v" * 43))
            page.get_by_role("link", name="corp").click()
            expect(page.get_by_role("heading")).to_have_text("The login did not work")
            expect(page.get_by_role("alert")).to_contain_text("tell the platform team")
            answer = redirect.wait(10)
            expect(page.get_by_text("Go back to the terminal")).to_be_visible()
            expect(page.get_by_text("tell the platform team")).to_be_visible()
    finally:
        site.corp.set_client(client_secret=CLIENT_SECRET)
    assert answer is not None and (answer["error"], answer["iss"]) == ("server_error", site.url)


def test_a_person_lets_a_device_in_by_its_code(site: LoginSite, page: Page) -> None:
    asked = device(site)
    page.goto(asked["verification_uri"])
    page.get_by_role("link", name="corp").click()
    page.get_by_label("Code").fill(asked["user_code"].lower())
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text(asked["user_code"])).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading")).to_have_text("The device is let in")
    token = polled(site, asked["device_code"]).json()["access_token"]
    page.get_by_role("link", name="Your sessions").click()
    page.get_by_role("button", name="End all sessions").click()
    expect(page.get_by_role("heading")).to_have_text("You are logged out")
    assert whoami(site, token).status_code == 401
    assert page_errors(page) == []


@contextmanager
def another_site(body: str) -> Iterator[int]:
    """Serve a page from another port of this machine; `127.0.0.1` makes it the same site, `localhost` a foreign one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("action", ["/-/logout", "/-/console/sessions"])
def test_a_form_on_another_page_can_not_act_for_the_person(site: LoginSite, page: Page, host: str, action: str) -> None:
    """SECURITY-CASES 27."""
    page.goto(site.url + CONSOLE)
    page.get_by_role("link", name="corp").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("user:alice")
    fields = '<input name="session" value="all"><button>Win</button>'
    with another_site(f'<form method="post" action="{site.url}{action}">{fields}</form>') as port:
        page.goto(f"http://{host}:{port}/")
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("heading")).to_have_text("This form is not ours")
    page.goto(site.url + CONSOLE)
    expect(page.get_by_role("heading", level=1)).to_have_text("user:alice")


def test_no_page_is_shown_inside_another_ones_frame(site: LoginSite, page: Page) -> None:
    addresses = {}
    for path in ("/-/login", "/-/console/style.css"):
        with another_site(f'<iframe src="{site.url}{path}"></iframe>') as port:
            page.goto(f"http://127.0.0.1:{port}/")
            addresses[path] = page.frames[-1].url
    assert addresses["/-/login"].startswith("chrome-error:")
    # What is no page may be: so the browser does show frames here.
    assert addresses["/-/console/style.css"] == site.url + "/-/console/style.css"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_follow_its_colours(site: LoginSite, scheme: str) -> None:
    with chromium(scheme="dark" if scheme == "dark" else "light", width=360, height=640) as page:
        page.goto(site.url + CONSOLE)
        page.get_by_role("link", name="corp").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("user:alice")
        widest = page.evaluate("document.documentElement.scrollWidth")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert widest <= 360
    assert background == ("rgb(20, 24, 26)" if scheme == "dark" else "rgb(246, 246, 243)")
