"""Who I am, and where I am logged in."""

import pytest

from tests.gateway.console.people import (
    CONSOLE,
    SESSION,
    Person,
    answer_of,
    authorize_path,
    events,
    sent_to,
    tokens_for,
    whoami,
)
from tests.parts.http_browser import Form, Page, http_browser

SESSIONS = "/-/console/sessions"
CALLBACK = "http://127.0.0.1:49152/callback"


def session_forms(page: Page) -> dict[str, Form]:
    """Return the forms that end sessions, by session, in the order of the page."""
    return {form.fields["session"]: form for form in page.forms if form.action == SESSIONS}


def command_line(person: Person) -> str:
    """Let the command line act as the person; return its access token."""
    page = person.open(authorize_path(), stop_at=CALLBACK)
    answered = person.browser.submit(page, stop_at=CALLBACK, decision="allow")
    token: str = tokens_for(person.site, answer_of(sent_to(answered))["code"]).json()["access_token"]
    return token


def test_the_page_says_how_the_gateway_knows_somebody(alice: Person) -> None:
    text = alice.log_in().text
    for fact in (
        "user:alice",
        "Provider corp",
        "Account there alice",
        "group:corp:dev group:corp:on-call",
        "Strength (acr) urn:example:pwd",
        "Methods (amr) pwd",
        "At the provider since",
        "this browser",
        "From 127.0.0.1, through corp",
    ):
        assert fact in text


def test_an_ended_session_is_over_at_once(alice: Person) -> None:
    alice.log_in()
    token = command_line(alice)
    assert whoami(alice.site, token).status_code == 200
    newest = events(alice.site)[-1]["session"]
    # The login for the command line gave the browser a new session too.
    page = alice.open(CONSOLE)
    page = alice.browser.submit(page, session_forms(page)[newest])
    assert page.url == alice.site.url + CONSOLE
    assert newest not in session_forms(page)
    assert whoami(alice.site, token).status_code == 401
    assert alice.is_logged_in()
    event = events(alice.site)[-1]
    assert (event["action"], event["session"], event["client"]) == ("logout", newest, "portcullis-cli")


def test_a_session_ended_from_another_browser_is_out_at_the_next_request(alice: Person) -> None:
    """SECURITY-CASES 28."""
    alice.log_in()
    with http_browser() as browser:
        elsewhere = Person(alice.site, browser, "alice")
        page = elsewhere.log_in()
        elsewhere.browser.submit(page, session_forms(page)["all"])
    assert not alice.is_logged_in()


def test_ending_all_sessions_ends_this_one_too(alice: Person) -> None:
    alice.log_in()
    token = command_line(alice)
    page = alice.open(CONSOLE)
    page = alice.browser.submit(page, session_forms(page)["all"])
    assert "You are logged out" in page.text
    assert SESSION not in alice.jar
    assert whoami(alice.site, token).status_code == 401


def test_nobody_can_end_the_sessions_of_somebody_else(alice: Person, bob: Person) -> None:
    alices = next(iter(session_forms(alice.log_in())))
    page = bob.log_in()
    assert alices not in session_forms(page)
    refused = bob.browser.submit(page, session_forms(page)["all"], session=alices)
    assert refused.status == 404
    assert alice.is_logged_in() and bob.is_logged_in()


@pytest.mark.parametrize("changes", [{"csrf": ""}, {"csrf": "0" * 64}, {"session": ""}, {"session": "*"}])
def test_a_form_that_is_not_ours_or_names_no_session_ends_nothing(alice: Person, changes: dict[str, str]) -> None:
    """SECURITY-CASES 27."""
    page = alice.log_in()
    form = session_forms(page)["all"]
    form.fields |= changes
    refused = alice.browser.submit(page, form)
    assert refused.status in (400, 403, 404)
    assert alice.is_logged_in()


def test_somebody_who_logs_out_at_the_provider_is_out_here(alice: Person) -> None:
    """Back-channel logout reaches the browser's session. SECURITY-CASES 28."""
    alice.log_in(provider="partner")
    # The provider also knows sessions that she has had in other browsers.
    assert {each["status"] for each in alice.site.partner.end_sessions("alice")} == {200}
    assert not alice.is_logged_in()
