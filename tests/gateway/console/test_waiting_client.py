"""A program that waits for a login hears when it has failed; the person sees why, and nobody else is told anything."""

from urllib.parse import urlencode, urlsplit

import pytest

from tests.gateway.console.people import CONSOLE, STATE, Person, answer_of, authorize_path, device, polled
from tests.parts.http_browser import Page
from tests.parts.oidc_provider import CLIENT_SECRET

LOOPBACK = "http://127.0.0.1:49152/callback"
REFRESH = 'http-equiv="refresh"'


def refused_at_the_provider(person: Person, page: str, error: str = "access_denied") -> Page:
    """Begin a login for a page, and come back with the provider's refusal."""
    asked = person.browser.request(
        "GET", f"{person.site.url}/-/login?{urlencode({'return_to': page, 'provider': 'corp'})}"
    )
    answer = {"state": answer_of(asked.headers["location"])["state"], "iss": person.site.corp.issuer, "error": error}
    return person.browser.open(f"{person.site.url}/-/login/callback/corp?{urlencode(answer)}")


def told(page: Page) -> dict[str, str]:
    """Return what the client is told where the page leads on."""
    address = page.links["Tell it now"]
    assert f'content="3; url={address}"'.replace("&", "&amp;") in page.response.text
    assert address.partition("?")[0] == LOOPBACK
    return answer_of(address)


def test_a_cancelled_login_is_told_to_the_client_that_waits(alice: Person) -> None:
    page = refused_at_the_provider(alice, authorize_path())
    assert page.status == 400
    assert "The login was cancelled" in page.text
    assert "Begin again" not in page.links
    assert told(page) == {
        "error": "access_denied",
        "error_description": "the login was cancelled, or the provider does not let this account in",
        "state": STATE,
        "iss": alice.site.url,
    }


def test_what_is_the_gateways_or_the_providers_fault_is_no_denial(alice: Person) -> None:
    assert told(refused_at_the_provider(alice, authorize_path(), "server_error"))["error"] == "server_error"
    alice.site.corp.set_client(client_secret="the-new-secret-nobody-told-us")
    try:
        page = alice.browser.open(alice.callback(authorize_path()))
    finally:
        alice.site.corp.set_client(client_secret=CLIENT_SECRET)
    assert (page.status, told(page)["error"]) == (502, "server_error")


def test_a_person_who_is_not_let_in_is_denied(alice: Person) -> None:
    query = urlencode({"return_to": authorize_path(), "provider": "corp"})
    asked = alice.browser.request("GET", f"{alice.site.url}/-/login?{query}").headers["location"]
    page = alice.browser.open(asked.replace("nonce=", "nonce=another-"))
    assert (page.status, told(page)["error"]) == (403, "access_denied")


@pytest.mark.parametrize(
    "page",
    [
        CONSOLE,
        authorize_path(redirect_uri="https://evil.example.com/callback"),
        authorize_path(redirect_uri="http://127.0.0.1.example.com:1/callback"),
        authorize_path(client_id="nobody"),
        authorize_path(code_challenge=None),
        "/-/oauth/authorize",
    ],
)
def test_nobody_is_told_where_no_good_request_waits(alice: Person, page: str) -> None:
    """SECURITY-CASES 26: an address of somebody else's is never led to."""
    answer = refused_at_the_provider(alice, page)
    assert answer.status == 400
    assert REFRESH not in answer.response.text
    assert "Tell it now" not in answer.links
    assert urlsplit(answer.links["Begin again"]).path == "/-/login"


def test_a_login_that_this_browser_has_not_begun_is_told_to_nobody(alice: Person) -> None:
    answer = {"state": "0" * 64, "iss": alice.site.corp.issuer, "error": "access_denied"}
    page = alice.browser.open(f"{alice.site.url}/-/login/callback/corp?{urlencode(answer)}")
    assert (page.status, REFRESH in page.response.text) == (400, False)


def test_a_device_waits_on_where_a_login_beside_it_fails(alice: Person) -> None:
    """Only a no on the device's own page is one: anybody can open an address with its code."""
    waiting = device(alice.site)
    page = refused_at_the_provider(alice, f"/-/device?user_code={waiting['user_code']}")
    assert (page.status, REFRESH in page.response.text) == (400, False)
    assert "Begin again" in page.links
    assert polled(alice.site, waiting["device_code"]).json()["error"] == "authorization_pending"
