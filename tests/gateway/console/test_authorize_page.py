"""A person lets the command line act as them, or does not."""

import asyncio
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from tests.gateway.console.people import (
    CONSOLE,
    SESSION,
    STATE,
    Person,
    answer_of,
    authorize_path,
    events,
    renewed,
    sent_to,
    tokens_for,
    whoami,
)
from tests.parts.http_browser import Page

CALLBACK = "http://127.0.0.1:49152/callback"


def consent(person: Person, **changes: str | None) -> Page:
    """Open the command line's address with nobody logged in or somebody, and log in where asked."""
    return person.open(authorize_path(**changes), stop_at=CALLBACK)


def allowed(person: Person, **changes: str | None) -> dict[str, str]:
    """Allow it, and return the authorization response."""
    page = person.browser.submit(consent(person, **changes), stop_at=CALLBACK, decision="allow")
    assert page.response.is_redirect, page.text
    return answer_of(sent_to(page))


def test_after_a_login_and_a_yes_the_command_line_acts_as_the_person(alice: Person) -> None:
    page = consent(alice)
    assert "The Portcullis command line wants to act as user:alice" in page.text
    assert "127.0.0.1:49152" in page.text and "alice at corp" in page.text
    answered = alice.browser.submit(page, stop_at=CALLBACK, decision="allow")
    assert answered.response.status_code == 303
    answer = answer_of(sent_to(answered))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == (STATE, alice.site.url)
    tokens = tokens_for(alice.site, answer["code"]).json()
    me = whoami(alice.site, tokens["access_token"]).json()
    assert (me["subject"], me["groups"]) == ("user:alice", ["group:corp:dev", "group:corp:on-call"])
    assert "Portcullis command line" in alice.open(CONSOLE).text


def test_before_anything_is_given_out_the_yes_is_recorded(alice: Person) -> None:
    allowed(alice)
    event = events(alice.site)[-1]
    assert (event["action"], event["result"], event["client"]) == ("login", "ok", "portcullis-cli")
    assert event["actor"]["subject"] == "user:alice"
    assert event["session"] == event["actor"]["session"] is not None


def test_a_no_is_told_to_the_command_line_and_recorded(alice: Person) -> None:
    page = alice.browser.submit(consent(alice), stop_at=CALLBACK, decision="deny")
    answer = answer_of(sent_to(page))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", STATE, alice.site.url)
    event = events(alice.site)[-1]
    assert (event["result"], event["detail"], event["actor"]["subject"]) == ("fail", "access_denied", "user:alice")


def test_neither_yes_nor_no_is_a_no(alice: Person) -> None:
    page = alice.browser.submit(consent(alice), stop_at=CALLBACK)
    assert answer_of(sent_to(page))["error"] == "access_denied"


def test_a_consent_is_good_once(alice: Person) -> None:
    page = consent(alice)
    alice.browser.submit(page, stop_at=CALLBACK, decision="allow")
    again = alice.browser.submit(page, stop_at=CALLBACK, decision="allow")
    assert again.status == 400
    assert "This question is over" in again.text


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_consent_is_good_once_whatever_cookie_the_browser_keeps(alice: Person, decision: str) -> None:
    """Else one login would give any number of sessions, of which only the first asks the provider again."""
    page = consent(alice)
    kept = dict(alice.jar)
    alice.browser.submit(page, stop_at=CALLBACK, decision=decision)
    before = len(events(alice.site))
    alice.jar.clear()
    alice.jar.update(kept)
    again = alice.browser.submit(page, stop_at=CALLBACK, decision="allow")
    assert again.status == 400
    assert "This question is over" in again.text
    assert len(events(alice.site)) == before
    consent(alice)
    assert any(hop.startswith(alice.site.corp.issuer) for hop in alice.browser.hops), "asked anew, they log in anew"


def test_of_many_consents_sent_at_once_one_counts(alice: Person) -> None:
    page = consent(alice)
    headers = {"cookie": f"{SESSION}={alice.jar[SESSION]}", "sec-fetch-site": "same-origin"}
    form = {"csrf": page.forms[0].fields["csrf"], "decision": "allow"}

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await asyncio.gather(*(http.post(page.url, data=form, headers=headers) for _ in range(8)))

    before = len(events(alice.site))
    answers = asyncio.run(send())
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * 7
    assert len(events(alice.site)) == before + 1


@pytest.mark.parametrize("token", ["", "0" * 64, "another path's", "another session's"])
def test_a_form_without_its_sessions_token_gives_nothing(alice: Person, bob: Person, token: str) -> None:
    """SECURITY-CASES 27."""
    page = consent(alice)
    if token == "another path's":
        token = alice.browser.open(alice.site.url + CONSOLE).form("/-/logout").fields["csrf"]
    elif token == "another session's":
        token = consent(bob).forms[0].fields["csrf"]
    before = len(events(alice.site))
    refused = alice.browser.submit(page, stop_at=CALLBACK, decision="allow", csrf=token)
    assert refused.status == 403
    assert "location" not in refused.response.headers
    assert len(events(alice.site)) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example.com"},
        {"origin": "http://127.0.0.1"},
        {"content-type": "application/json"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
)
def test_a_form_from_elsewhere_gives_nothing_even_with_the_token(alice: Person, headers: dict[str, str]) -> None:
    """SECURITY-CASES 27."""
    refused = alice.browser.submit(consent(alice), stop_at=CALLBACK, headers=headers, decision="allow")
    assert refused.status in (400, 403)
    assert "location" not in refused.response.headers


def test_a_form_with_a_field_given_twice_or_of_endless_length_gives_nothing(alice: Person) -> None:
    page = consent(alice)
    token = page.forms[0].fields["csrf"]
    for body, status in (
        (f"csrf={token}&decision=deny&decision=allow", 400),
        (f"csrf={token}&decision=allow&x={'a' * 70_000}", 413),
    ):
        response = alice.browser._http.post(
            page.url,
            content=body,
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "cookie": f"{SESSION}={alice.jar[SESSION]}",
            },
        )
        assert response.status_code == status


def test_where_the_session_has_ended_meanwhile_the_person_logs_in_again(alice: Person) -> None:
    page = consent(alice)
    alice.jar.clear()
    refused = alice.browser.submit(page, stop_at=CALLBACK, decision="allow")
    assert refused.status == 401
    assert refused.response.headers["www-authenticate"].startswith("Bearer")
    again = alice.open(refused.links["Log in"] + "&provider=corp")
    assert "wants to act as user:alice" in again.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"provider": "nobody"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"state": STATE, "scope": "x" * 2000}, "invalid_scope"),
        ({"resource": "http://127.0.0.1/" + "x" * 2000}, "invalid_target"),
    ],
)
def test_a_bad_request_is_told_to_the_command_line(alice: Person, changes: dict[str, str | None], error: str) -> None:
    answer = answer_of(sent_to(consent(alice, **changes)))
    assert (answer["error"], answer["state"], answer["iss"]) == (error, STATE, alice.site.url)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"redirect_uri": "https://evil.example.com/callback"},
        {"redirect_uri": "http://127.0.0.1:49152@evil.example.com/callback"},
        {"redirect_uri": "http://127.0.0.1:49152/callback/../x"},
        {"redirect_uri": None},
    ],
)
def test_a_request_of_nobody_we_know_stays_here(alice: Person, changes: dict[str, str | None]) -> None:
    """SECURITY-CASES 26."""
    page = consent(alice, **changes)
    assert page.status == 400
    assert "location" not in page.response.headers
    assert "evil" not in page.text


def test_each_session_of_a_command_line_begins_with_a_login_made_for_it(alice: Person) -> None:
    """The provider is asked even where the browser has a session, and its refresh token goes with that login."""
    alice.log_in()
    before = alice.jar[SESSION]
    page = consent(alice, provider=None)
    assert any(hop.startswith(alice.site.corp.issuer) for hop in alice.browser.hops)
    assert alice.jar[SESSION] != before
    assert "wants to act as user:alice" in page.text


def test_a_renewal_asks_the_provider_which_may_say_no(alice: Person) -> None:
    tokens = tokens_for(alice.site, allowed(alice)["code"]).json()
    asked = alice.site.corp.requests()["/token"]
    tokens = renewed(alice.site, tokens["refresh_token"]).json()
    assert alice.site.corp.requests()["/token"] == asked + 1
    alice.site.corp.end_sessions("alice", revoke=True)
    refused = renewed(alice.site, tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    assert whoami(alice.site, tokens["access_token"]).status_code == 401


def test_a_stronger_login_is_asked_for_where_the_command_line_wants_it(alice: Person) -> None:
    """Step-up (RFC 9470): the person lands at the consent that they came for."""
    alice.log_in()
    answer = allowed(alice, acr_values="urn:example:mfa", max_age="0")
    tokens = tokens_for(alice.site, answer["code"]).json()
    assert whoami(alice.site, tokens["access_token"]).status_code == 200
    assert events(alice.site)[-1]["actor"]["acr"] == "urn:example:mfa"


def test_where_the_provider_has_no_such_strength_the_command_line_is_told_instead_of_going_in_circles(
    alice: Person,
) -> None:
    page = consent(alice, acr_values="urn:example:unheard-of")
    assert answer_of(sent_to(page))["error"] == "unmet_authentication_requirements"


@pytest.mark.parametrize("changes", [{"max_age": "0"}, {"prompt": "login"}])
def test_a_fresh_login_is_asked_for_where_the_command_line_wants_it(alice: Person, changes: dict[str, str]) -> None:
    alice.log_in()
    page = consent(alice, **changes)
    (asked,) = [hop for hop in alice.browser.hops if hop.startswith(f"{alice.site.corp.issuer}/auth?")]
    assert "max_age=0" in asked and "prompt=login" in asked
    assert "wants to act as user:alice" in page.text


def test_prompt_none_never_shows_anything(alice: Person) -> None:
    """A consent is always asked for, so a client that wants no question gets an error."""
    login = "/-/login?" + urlencode({"provider": "corp", "return_to": authorize_path(prompt="none")})
    assert answer_of(sent_to(alice.open(login, stop_at=CALLBACK)))["error"] == "consent_required"


def test_select_account_offers_the_choice_of_providers(alice: Person) -> None:
    alice.log_in()
    page = consent(alice, prompt="select_account", provider=None)
    assert urlsplit(page.url).path == "/-/login"
    assert "prompt=select_account" in page.links["partner"]


def test_a_request_that_would_not_fit_into_a_cookie_is_refused(alice: Person) -> None:
    answer = answer_of(sent_to(consent(alice, ignored="x" * 2100)))
    assert answer["error"] == "invalid_request"
    longest = 2048 - len(authorize_path(ignored=""))
    assert "wants to act as user:alice" in consent(alice, ignored="x" * longest).text


def test_what_it_is_limited_to_is_shown(alice: Person) -> None:
    page = consent(alice, resource=f"{alice.site.url}/logs-prod", scope="action:query")
    assert "logs-prod" in page.text and "query" in page.text


@pytest.mark.parametrize(("host", "target"), [("127.0.0.1:49152", "http://127.0.0.1:49152"), ("[::1]:49152", "http:")])
def test_the_form_may_lead_to_the_command_line_and_nowhere_else(alice: Person, host: str, target: str) -> None:
    policy = consent(alice, redirect_uri=f"http://{host}/callback").response.headers["content-security-policy"]
    assert f"form-action 'self' {target};" in policy
