"""Logging in and out with a browser, at real providers."""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.gateway.console.people import CONSOLE, LOGIN, SESSION, Person, answer_of, events
from tests.parts.gateway import stored_rows
from tests.parts.http_browser import http_browser
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import CLIENT_SECRET


def changed(address: str, **changes: str | None) -> str:
    """Return an address with query parameters replaced, or taken out by None."""
    parts = urlsplit(address)
    fields: dict[str, str | None] = {name: values[0] for name, values in parse_qs(parts.query).items()}
    query = urlencode({name: value for name, value in {**fields, **changes}.items() if value is not None})
    return parts._replace(query=query).geturl()


def provider_address(person: Person, provider: str = "corp") -> str:
    """Begin a login and return where the gateway sends the browser."""
    response = person.browser.request("GET", f"{person.site.url}/-/login?provider={provider}")
    assert response.status_code == 303
    return response.headers["location"]


def test_a_page_that_needs_a_login_leads_to_the_choice_of_providers_and_back(alice: Person) -> None:
    chooser = alice.open("/-/console/?page=2")
    assert urlsplit(chooser.url).path == "/-/login"
    assert {"corp", "partner"} <= chooser.links.keys()
    page = alice.open(chooser.links["partner"])
    assert (page.status, page.url) == (200, alice.site.url + CONSOLE)
    assert "user:partner:alice" in page.text
    assert "group:partner:dev" in page.text


def test_with_one_provider_there_is_nothing_to_choose(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LoginSite(tmp_path_factory.mktemp("one"), only=("corp",)) as site, http_browser() as browser:
        page = browser.open(site.url + CONSOLE)
        assert page.url == site.url + CONSOLE
        assert "user:alice" in page.text


def test_cookies_are_for_this_host_alone_and_out_of_reach_of_scripts(alice: Person) -> None:
    """SECURITY-CASES 27."""
    provider_address(alice)
    (pending,) = [name for name in alice.jar if name.startswith(LOGIN)]
    assert "Max-Age=600" in alice.browser.given[pending]
    alice.log_in()
    for name in (pending, SESSION):
        attributes = [part.strip() for part in alice.browser.given[name].split(";")[1:]]
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)
    assert "Max-Age=43200" in alice.browser.given[SESSION]


def test_an_answer_is_no_login_in_a_browser_that_did_not_ask_for_it(alice: Person, bob: Person) -> None:
    """Replay of a `state` elsewhere, and login CSRF: bob can't have alice use his account. SECURITY-CASES 25."""
    address = bob.callback()
    assert alice.browser.open(address).status == 400
    assert not alice.is_logged_in()
    alice.log_in()
    page = alice.browser.open(address)
    assert page.status == 400
    assert "This browser has begun no such login" in page.text
    assert "user:alice" in alice.open(CONSOLE).text
    assert events(alice.site)[-1] | {"request_id": "", "time_us": 0, "instance": ""} == {
        "kind": "authn",
        "v": 1,
        "action": "login",
        "result": "fail",
        "actor": None,
        "client": "console",
        "detail": "login_not_begun",
        "provider": "",
        "session": None,
        "source": "127.0.0.1",
        "request_id": "",
        "time_us": 0,
        "instance": "",
    }


def test_somebody_elses_code_is_no_login(alice: Person, bob: Person) -> None:
    """Code injection: PKCE ties a code to the login that it was made in. SECURITY-CASES 25."""
    stolen = answer_of(bob.callback())["code"]
    page = alice.browser.open(changed(alice.callback(), code=stolen))
    assert page.status == 400
    assert SESSION not in alice.jar
    assert events(alice.site)[-1]["detail"] == "invalid_grant"


def test_an_id_token_for_another_nonce_is_no_login(alice: Person) -> None:
    """SECURITY-CASES 25."""
    asked = changed(provider_address(alice), nonce="another-nonce")
    page = alice.browser.open(asked)
    assert page.status == 403
    assert SESSION not in alice.jar
    assert "nonce" in events(alice.site)[-1]["detail"]


def test_a_request_whose_challenge_was_taken_out_on_the_way_is_no_login(alice: Person) -> None:
    """PKCE downgrade. SECURITY-CASES 25."""
    asked = changed(provider_address(alice), code_challenge=None, code_challenge_method=None)
    page = alice.browser.open(asked)
    assert page.status == 400
    assert SESSION not in alice.jar


@pytest.mark.parametrize("issuer", ["partner", None])
def test_an_answer_that_names_another_provider_or_none_is_no_login(alice: Person, issuer: str | None) -> None:
    """Mix-up: the code isn't sent to anybody (RFC 9207). SECURITY-CASES 25."""
    site = alice.site
    before = [provider.requests().get("/token", 0) for provider in (site.corp, site.partner)]
    page = alice.browser.open(changed(alice.callback(), iss=site.partner.issuer if issuer else None))
    assert page.status == 400
    assert SESSION not in alice.jar
    assert events(site)[-1]["detail"] == "wrong_issuer"
    assert [provider.requests().get("/token", 0) for provider in (site.corp, site.partner)] == before


def test_a_provider_that_sends_the_browser_on_to_another_one_does_not_get_its_code(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Mix-up where no provider sends `iss`: each has its own redirect URI (RFC 9700, 4.4.2.2). SECURITY-CASES 25.

    The partner's authorization endpoint leads alice on to corp, which knows her, with what mallory's own login at corp
    asks: were her code sent to the partner, mallory could finish his login with it, as alice.
    """
    with (
        LoginSite(tmp_path_factory.mktemp("mix-up"), sends_issuer=False) as site,
        http_browser() as hers,
        http_browser() as his,
    ):
        alice, mallory = Person(site, hers, "alice"), Person(site, his, "mallory")
        alice.log_in()
        assert "iss" not in answer_of(alice.callback())
        alice.jar.clear()
        before = [provider.requests().get("/token", 0) for provider in (site.corp, site.partner)]
        state = answer_of(provider_address(alice, "partner"))["state"]
        led_on = changed(provider_address(mallory), state=state)
        with alice.at_the_provider():
            page = alice.browser.open(led_on)
        stolen = answer_of(alice.browser.hops[-1])
        assert stolen["state"] == state and stolen["code"], "corp gave a code"
        assert urlsplit(page.url).path == "/-/login/callback/corp"
        assert (page.status, SESSION in alice.jar) == (400, False)
        assert "did not come from the provider that was asked" in page.text
        assert events(site)[-1]["detail"] == "wrong_issuer"
        assert [provider.requests().get("/token", 0) for provider in (site.corp, site.partner)] == before
        elsewhere = changed(led_on, redirect_uri=f"{site.url}/-/login/callback/partner")
        refused = alice.browser.open(elsewhere)
        assert (refused.status, urlsplit(refused.url).netloc) == (400, urlsplit(site.corp.issuer).netloc)


@pytest.mark.parametrize(("provider", "status"), [("partner", 400), ("nobody", 400), ("corp/", 404), ("", 404)])
def test_an_answer_counts_at_its_providers_own_address_alone(alice: Person, provider: str, status: int) -> None:
    """SECURITY-CASES 25."""
    answer = urlsplit(alice.callback()).query
    asked = alice.site.corp.requests()["/token"]
    page = alice.browser.open(f"{alice.site.url}/-/login/callback/{provider}?{answer}")
    assert page.status == status
    assert SESSION not in alice.jar
    assert alice.site.corp.requests()["/token"] == asked


def test_an_answer_is_not_read_at_an_address_of_no_provider(alice: Person) -> None:
    answer = urlsplit(alice.callback()).query
    assert alice.browser.open(f"{alice.site.url}/-/login/callback?{answer}").status == 404
    assert SESSION not in alice.jar


def test_a_stranger_has_the_provider_asked_once_for_a_login(alice: Person) -> None:
    """However often, and with whatever codes, one login is answered: the provider would shut the gateway out."""
    address = provider_address(alice)
    fields = {"state": answer_of(address)["state"], "iss": alice.site.corp.issuer}
    cookies = dict(alice.jar)
    asked = alice.site.corp.requests()["/token"]
    for number in range(5):
        alice.jar.update(cookies)
        query = urlencode({**fields, "code": f"made-up-{number}"})
        page = alice.browser.open(f"{alice.site.url}/-/login/callback/corp?{query}")
        assert page.status == 400
        assert events(alice.site)[-1]["detail"] == ("login_not_begun" if number else "invalid_grant")
    assert alice.site.corp.requests()["/token"] == asked + 1


def test_an_answer_is_good_once(alice: Person) -> None:
    address = alice.callback()
    assert alice.browser.open(address).status == 200
    assert alice.browser.open(address).status == 400
    assert alice.is_logged_in()


def test_an_answer_with_a_parameter_given_twice_is_no_login(alice: Person) -> None:
    page = alice.browser.open(alice.callback() + "&code=another")
    assert page.status == 400
    assert SESSION not in alice.jar


def test_a_login_that_the_provider_refuses_says_so_in_the_gateways_own_words(alice: Person) -> None:
    state = answer_of(provider_address(alice))["state"]
    refusal = {"state": state, "iss": alice.site.corp.issuer, "error": "access_denied", "error_description": "<b>Call"}
    page = alice.browser.open(f"{alice.site.url}/-/login/callback/corp?{urlencode(refusal)}")
    assert page.status == 400
    assert "cancelled" in page.text and "Call" not in page.text
    assert events(alice.site)[-1]["detail"] == "access_denied"
    assert not any(name.startswith(LOGIN) for name in alice.jar)


def test_an_expired_client_secret_is_named_in_the_log_and_not_on_the_page(alice: Person) -> None:
    site = alice.site
    site.corp.set_client(client_secret="the-new-secret-nobody-told-us")
    try:
        page = alice.browser.open(alice.callback())
    finally:
        site.corp.set_client(client_secret=CLIENT_SECRET)
    assert page.status == 502
    assert "tell the platform team" in page.text and "CLIENT_SECRET" not in page.text
    assert "identity.providers, corp" in site.gateway.log
    assert "client_secret_env (CLIENT_SECRET)" in site.gateway.log
    assert events(site)[-1]["detail"] == "client_refused"


def test_two_tabs_log_in_side_by_side(alice: Person) -> None:
    first, second = provider_address(alice), provider_address(alice, "partner")
    assert "user:partner:alice" in alice.browser.open(second).text
    assert "user:alice" in alice.browser.open(first).text


def test_logins_that_are_never_finished_do_not_pile_up_in_the_browser(alice: Person) -> None:
    for _ in range(9):
        newest = provider_address(alice)
    pending = [name for name in alice.jar if name.startswith(LOGIN)]
    assert len(pending) == 5
    assert LOGIN + answer_of(newest)["state"][:8] in pending
    alice.jar[LOGIN + "00000000"] = "bm90IG91cnM"
    provider_address(alice)
    assert LOGIN + "00000000" not in alice.jar


def test_a_session_is_a_new_one_after_each_login(alice: Person) -> None:
    """Session fixation: what the browser had before is worth nothing afterwards. SECURITY-CASES 27."""
    alice.log_in()
    before = alice.jar[SESSION]
    alice.log_in()
    assert alice.jar[SESSION] != before
    assert alice.is_logged_in()
    alice.jar[SESSION] = before
    assert not alice.is_logged_in()


@pytest.mark.parametrize("planted", ["x", "", "AAAA", "A" * 300, "%00", 'a"b', "a.b.c"])
def test_a_cookie_that_is_not_ours_is_no_session_and_never_anybody(alice: Person, planted: str) -> None:
    """SECURITY-CASES 15, 27."""
    alice.log_in()
    token = alice.open(CONSOLE).form("/-/logout").fields["csrf"]
    good = alice.jar[SESSION]
    alice.jar[SESSION] = planted
    assert urlsplit(alice.open(CONSOLE).url).path == "/-/login"
    form = {"csrf": token}
    assert alice.browser.request("POST", alice.site.url + "/-/logout", form=form).status_code == 401
    # Two of one name come from no browser: neither counts.
    alice.jar.clear()
    for first, last in ((good, planted), (planted, good)):
        twice = {"cookie": f"{SESSION}={first}; {SESSION}={last}"}
        assert alice.browser.request("GET", alice.site.url + CONSOLE, headers=twice).status_code == 303


def test_a_sealed_login_is_no_session(alice: Person) -> None:
    provider_address(alice)
    (pending,) = [value for name, value in alice.jar.items() if name.startswith(LOGIN)]
    alice.jar[SESSION] = pending
    assert not alice.is_logged_in()


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example.com/",
        "//evil.example.com/-/console/",
        "/\\evil.example.com",
        "/-/console/@evil.example.com/..",
        "/-/console/%2f%2fevil.example.com",
        "/-/console/\r\nSet-Cookie: x=1",
        "/logs-prod/",
        "/-/login?return_to=/-/console/",
    ],
)
def test_a_login_leads_to_no_other_place_than_the_gateways_pages(alice: Person, return_to: str) -> None:
    """SECURITY-CASES 26."""
    response = alice.browser.request(
        "GET", f"{alice.site.url}/-/login?provider=corp&return_to={quote(return_to, safe='')}"
    )
    assert response.status_code == 400
    assert "location" not in response.headers and "set-cookie" not in response.headers
    assert "evil" not in response.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("provider=nobody", 404),
        ("max_age=1e3", 400),
        ("max_age=-1", 400),
        ("acr_values=a%20%20b", 400),
        ("acr_values=" + "a" * 257, 400),
        ("provider=corp&provider=partner", 400),
        ("return_to=%ff", 400),
        ("prompt=none", 400),
    ],
)
def test_a_login_that_is_asked_for_wrongly_is_not_begun(alice: Person, query: str, status: int) -> None:
    response = alice.browser.request("GET", f"{alice.site.url}/-/login?{query}")
    assert response.status_code == status
    assert "set-cookie" not in response.headers


def test_a_stronger_login_is_passed_on_and_leads_back(alice: Person) -> None:
    alice.log_in()
    assert "urn:example:pwd" in alice.open(CONSOLE).text
    page = alice.open("/-/login?provider=corp&acr_values=urn:example:mfa&max_age=0")
    assert page.url == alice.site.url + CONSOLE
    assert "urn:example:mfa" in page.text and "pwd, otp" in page.text


def test_logging_out_ends_the_session_and_not_only_the_cookie(alice: Person) -> None:
    account = alice.log_in()
    kept = alice.jar[SESSION]
    page = alice.browser.submit(account, account.form("/-/logout"))
    assert page.url == alice.site.url + "/-/logout"
    assert "You are logged out" in page.text
    assert SESSION not in alice.jar
    alice.jar[SESSION] = kept
    assert not alice.is_logged_in()
    last = events(alice.site)[-1]
    assert (last["action"], last["result"], last["actor"]["subject"]) == ("logout", "ok", "user:alice")
    assert last["session"] == last["actor"]["session"] is not None


def test_a_link_can_not_log_anybody_out(alice: Person) -> None:
    alice.log_in()
    page = alice.open("/-/logout")
    assert "Log out?" in page.text
    assert alice.is_logged_in()
    alice.browser.submit(page)
    assert not alice.is_logged_in()


def test_a_login_is_recorded_with_whom_where_and_how_and_without_secrets(alice: Person) -> None:
    """SECURITY-CASES 24."""
    address = alice.callback()
    code = answer_of(address)["code"]
    alice.browser.open(address)
    login = events(alice.site)[-1]
    assert (login["action"], login["result"], login["client"]) == ("login", "ok", "console")
    assert (login["provider"], login["source"]) == ("corp", "127.0.0.1")
    actor = login["actor"]
    assert (actor["subject"], actor["acr"], actor["amr"]) == ("user:alice", "urn:example:pwd", ["pwd"])
    assert actor["session"] == login["session"]
    stored = b"".join(row.body for row in stored_rows(alice.site.site)).decode() + alice.site.gateway.log
    for secret in (code, alice.jar[SESSION], CLIENT_SECRET):
        assert secret not in stored
