"""A person lets a device in that has no browser (RFC 8628)."""

import asyncio
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from tests.gateway.console.people import SESSION, Person, device, events, polled, whoami
from tests.parts.http_browser import Page
from tests.parts.login_site import LoginSite

DEVICE = "/-/device"


def code_page(person: Person) -> Page:
    """Log in for the page where codes are entered."""
    return person.log_in(DEVICE)


def test_a_device_is_let_in_by_its_code(alice: Person) -> None:
    asked = device(alice.site)
    page = code_page(alice)
    assert "You are logged in as user:alice" in page.text
    entered = asked["user_code"].lower().replace("-", " ")
    confirm = alice.browser.submit(page, user_code=entered)
    assert "The Portcullis command line wants to act as user:alice" in confirm.text
    assert asked["user_code"] in confirm.text
    assert "Asked from 127.0.0.1" in confirm.text and "less than a minute ago" in confirm.text
    assert polled(alice.site, asked["device_code"]).json()["error"] == "authorization_pending"
    done = alice.browser.submit(confirm, decision="allow")
    assert "The device is let in" in done.text
    event = events(alice.site)[-1]
    assert (event["action"], event["result"], event["client"]) == ("login", "ok", "portcullis-cli")
    tokens = polled(alice.site, asked["device_code"]).json()
    assert whoami(alice.site, tokens["access_token"]).json()["subject"] == "user:alice"


def test_a_code_in_the_address_is_filled_in_and_still_has_to_be_confirmed(alice: Person) -> None:
    asked = device(alice.site)
    page = alice.log_in(urlsplit(asked["verification_uri_complete"])._replace(scheme="", netloc="").geturl())
    assert page.forms[0].fields["user_code"] == asked["user_code"]
    confirm = alice.browser.submit(page)
    assert "Nobody may ever ask you to enter a code for them" in confirm.text
    assert polled(alice.site, asked["device_code"]).json()["error"] == "authorization_pending"


def test_a_denied_device_is_told_so(alice: Person) -> None:
    asked = device(alice.site)
    confirm = alice.browser.submit(code_page(alice), user_code=asked["user_code"])
    done = alice.browser.submit(confirm, decision="deny")
    assert "The device is not let in" in done.text
    assert polled(alice.site, asked["device_code"]).json()["error"] == "access_denied"
    event = events(alice.site)[-2]
    assert (event["result"], event["detail"], event["actor"]["subject"]) == ("fail", "access_denied", "user:alice")


def test_a_code_is_good_for_one_device_and_one_login_for_one_code(alice: Person) -> None:
    first, second = device(alice.site), device(alice.site)
    page = code_page(alice)
    confirm = alice.browser.submit(page, user_code=first["user_code"])
    alice.browser.submit(confirm, decision="allow")
    again = alice.browser.submit(page, user_code=second["user_code"])
    assert again.status == 400
    assert "This question is over" in again.text
    page = alice.open(again.links["Log in again"] + "&provider=corp")
    assert page.forms[0].fields["user_code"] == second["user_code"]
    assert "No device waits under this code" in alice.browser.submit(page, user_code=first["user_code"]).text


def test_one_login_lets_one_device_in_whatever_cookie_the_browser_keeps(alice: Person) -> None:
    """Else one login would give any number of sessions, of which only the first asks the provider again."""
    first, second = device(alice.site), device(alice.site)
    page = code_page(alice)
    kept = dict(alice.jar)
    alice.browser.submit(page, user_code=first["user_code"], decision="allow")
    alice.jar.update(kept)
    again = alice.browser.submit(page, user_code=second["user_code"], decision="allow")
    assert again.status == 400
    assert "This question is over" in again.text
    assert polled(alice.site, second["device_code"]).json()["error"] == "authorization_pending"


def test_of_two_devices_let_in_at_once_by_one_login_one_is(alice: Person) -> None:
    asked = [device(alice.site) for _ in range(4)]
    page = code_page(alice)
    headers = {"cookie": f"{SESSION}={alice.jar[SESSION]}", "sec-fetch-site": "same-origin"}
    form = {"csrf": page.forms[0].fields["csrf"], "decision": "allow"}

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(trust_env=False) as http:
            forms = [form | {"user_code": each["user_code"]} for each in asked]
            return await asyncio.gather(*(http.post(page.url, data=each, headers=headers) for each in forms))

    assert sorted(answer.status_code for answer in asyncio.run(send())) == [200, 400, 400, 400]
    assert sum("access_token" in polled(alice.site, each["device_code"]).json() for each in asked) == 1


def test_nobody_but_a_person_who_is_logged_in_can_look_a_code_up(alice: Person) -> None:
    asked = device(alice.site)
    page = alice.open(f"{DEVICE}?{urlencode({'user_code': asked['user_code']})}")
    assert urlsplit(page.url).path == "/-/login"
    form = {"user_code": asked["user_code"], "decision": "allow", "csrf": "0" * 64}
    assert alice.browser.request("POST", alice.site.url + DEVICE, form=form).status_code == 401


def test_a_form_without_its_sessions_token_lets_nothing_in(alice: Person) -> None:
    """SECURITY-CASES 27."""
    asked = device(alice.site)
    page = code_page(alice)
    refused = alice.browser.submit(page, user_code=asked["user_code"], decision="allow", csrf="0" * 64)
    assert refused.status == 403
    cross_site = {"sec-fetch-site": "cross-site"}
    refused = alice.browser.submit(page, user_code=asked["user_code"], decision="allow", headers=cross_site)
    assert refused.status == 403
    assert polled(alice.site, asked["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("entered", ["", "BBBB-BBBB", "A" * 40, "<script>", "..", "BCDF-GHJ1"])
def test_a_wrong_code_says_so_and_shows_no_more_than_was_entered(alice: Person, entered: str) -> None:
    page = alice.browser.submit(code_page(alice), user_code=entered)
    assert page.status == 400
    assert "No device waits under this code" in page.text
    assert "<script>" not in page.response.text


def test_who_enters_many_wrong_codes_has_to_wait_whatever_browser_they_use(bob: Person) -> None:
    page = code_page(bob)
    statuses = [bob.browser.submit(page, user_code="BBBB-BBBB").status for _ in range(11)]
    assert statuses == [400] * 10 + [429]
    refused = bob.browser.submit(code_page(bob), user_code=device(bob.site)["user_code"])
    assert refused.status == 429
    assert refused.response.headers["retry-after"] == "600"


def test_a_device_that_asks_for_a_stronger_login_gets_one(alice: Person) -> None:
    """Step-up (RFC 9470): the person lands at the code that they entered."""
    asked = device(alice.site, acr_values="urn:example:mfa")
    page = alice.browser.submit(code_page(alice), user_code=asked["user_code"])
    assert page.status == 403
    refused = alice.browser.submit(alice.open(DEVICE), user_code=asked["user_code"], decision="allow")
    assert refused.status == 403
    page = alice.open(refused.links["Log in again"] + "&provider=corp")
    assert page.forms[0].fields["user_code"] == asked["user_code"]
    confirm = alice.browser.submit(page)
    alice.browser.submit(confirm, decision="allow")
    assert events(alice.site)[-1]["actor"]["acr"] == "urn:example:mfa"
    assert "access_token" in polled(alice.site, asked["device_code"]).json()


def test_a_device_that_asks_for_another_provider_is_let_in_through_that(alice: Person) -> None:
    asked = device(alice.site, provider="partner")
    page = alice.browser.submit(code_page(alice), user_code=asked["user_code"])
    assert page.status == 403
    page = alice.open(page.links["Log in again"])
    assert "user:partner:alice" in page.text


def test_a_device_that_asks_for_a_provider_that_is_not_there_is_told_so_at_once(site: LoginSite) -> None:
    form = {"client_id": "portcullis-cli", "provider": "nobody"}
    refused = httpx.post(site.url + "/-/oauth/device_authorization", data=form, trust_env=False)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_an_old_login_does_not_do_where_a_fresh_one_is_asked_for(alice: Person) -> None:
    asked = device(alice.site, max_age="300")
    alice.site.corp.logins_are_old(3600)
    try:
        page = alice.browser.submit(code_page(alice), user_code=asked["user_code"])
        assert page.status == 403
        page = alice.open(page.links["Log in again"] + "&provider=corp")
    finally:
        alice.site.corp.logins_are_old(0)
    assert alice.browser.submit(page).status == 200
    assert SESSION in alice.jar
