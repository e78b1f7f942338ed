"""The pages while something they need is away: nobody is let in, and people are told in plain words."""

import asyncio
import sqlite3
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from tests.gateway.console.people import (
    CONSOLE,
    LOGIN,
    SESSION,
    Person,
    answer_of,
    authorize_path,
    device,
    events,
    polled,
    renewed,
    sent_to,
    tokens_for,
)
from tests.parts.gateway import GatewayProcess
from tests.parts.http_browser import HttpBrowser, http_browser
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import CLIENT_SECRET


@pytest.fixture
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginSite]:
    """Start a site that may be broken."""
    with LoginSite(tmp_path_factory.mktemp("outages")) as site:
        yield site


@pytest.fixture
def browser() -> Iterator[HttpBrowser]:
    with http_browser() as browser:
        yield browser


def test_a_provider_that_can_not_be_reached_is_503_and_no_login(own_site: LoginSite, browser: HttpBrowser) -> None:
    alice = Person(own_site, browser, "alice")
    address = alice.callback(provider="partner")
    own_site.partner.stop()
    page = browser.open(address)
    assert page.status == 503
    assert "partner" in page.text and own_site.partner.issuer not in page.text
    assert SESSION not in alice.jar
    assert events(own_site)[-1]["detail"] == "provider_unavailable"


def test_a_client_hears_what_is_away(own_site: LoginSite, browser: HttpBrowser) -> None:
    alice = Person(own_site, browser, "alice")
    waits = authorize_path(provider="partner")
    store, log = own_site.site.directory / "identity.db", own_site.site.database
    for away in (store, log):
        address = alice.callback(waits, "partner")
        away.rename(away.with_suffix(".gone"))
        page = browser.open(address)
        away.with_suffix(".gone").rename(away)
        assert (page.status, answer_of(page.links["Tell it now"])["error"]) == (503, "temporarily_unavailable")
        assert page.response.headers["retry-after"] == "5"
        assert str(away) not in page.text
    assert "a login can't be finished, the identity state can't be used" in own_site.gateway.log
    address = alice.callback(waits, "partner")
    own_site.partner.stop()
    page = browser.open(address)
    told = answer_of(page.links["Tell it now"])
    assert (page.status, told["error"]) == (503, "temporarily_unavailable")
    assert told["error_description"] == "the provider partner can't be reached now: try again in a moment"
    own_site.gateway.stop()
    environment = {"CLIENT_SECRET": CLIENT_SECRET}
    with GatewayProcess(own_site.site, environment=environment):
        page = alice.open("/-/login?" + urlencode({"return_to": waits, "provider": "partner"}))
        assert (page.status, answer_of(page.links["Tell it now"])["error"]) == (503, "temporarily_unavailable")


def test_strangers_with_made_up_codes_are_told_to_wait_and_stop_nobody_who_is_at_work(
    own_site: LoginSite, browser: HttpBrowser
) -> None:
    """A flood of callbacks reaches the provider in part only, and renewals go on."""
    alice = Person(own_site, browser, "alice")
    consent = alice.browser.submit(alice.log_in(authorize_path()), stop_at="http://127.0.0.1:49152", decision="allow")
    refresh_token = tokens_for(own_site, answer_of(sent_to(consent))["code"]).json()["refresh_token"]
    begun = []
    for _ in range(200):
        with http_browser() as stranger:
            address = stranger.request("GET", own_site.url + "/-/login?provider=corp").headers["location"]
            (jar,) = stranger.cookies.values()
            (cookie,) = [f"{name}={value}" for name, value in jar.items() if name.startswith(LOGIN)]
            begun.append((answer_of(address)["state"], cookie))
    asked = own_site.corp.requests()["/token"]

    async def flood() -> list[httpx.Response]:
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=httpx.Limits(max_connections=200)) as http:

            async def callback(state: str, cookie: str) -> httpx.Response:
                query = urlencode({"state": state, "code": "made-up", "iss": own_site.corp.issuer})
                url = f"{own_site.url}/-/login/callback/corp?{query}"
                return await http.get(url, headers={"cookie": cookie})

            return await asyncio.gather(*(callback(*each) for each in begun))

    answers = asyncio.run(flood())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {400, 503}
    told = next(answer for answer in answers if answer.status_code == 503)
    assert "try again in a minute" in told.text and told.headers["content-type"].startswith("text/html")
    assert own_site.corp.requests()["/token"] - asked == statuses.count(400)
    assert "too_many_logins" in {event["detail"] for event in events(own_site)}
    assert renewed(own_site, refresh_token).status_code == 200


def test_what_can_not_be_recorded_is_not_done(own_site: LoginSite, browser: HttpBrowser) -> None:
    """No cookie, no code and no device comes of a login that left no record."""
    alice = Person(own_site, browser, "alice")
    consent = alice.log_in(authorize_path())
    waiting = device(own_site)
    with http_browser() as another:
        carol = Person(own_site, another, "alice")
        address = carol.callback()
        confirm = carol.log_in("/-/device")
        confirm = another.submit(confirm, user_code=waiting["user_code"])
        own_site.site.database.rename(own_site.site.database.with_suffix(".gone"))
        assert another.open(address).status == 503
        assert another.submit(confirm, decision="allow").status == 503
    refused = browser.submit(consent, decision="allow")
    assert refused.status == 503
    assert "location" not in refused.response.headers
    assert "can't be recorded" in refused.text
    assert polled(own_site, waiting["device_code"]).json()["error"] in ("authorization_pending", "slow_down")
    kept = dict(alice.jar)
    page = alice.open("/-/login?provider=corp")
    assert page.status == 503
    assert alice.jar[SESSION] == kept[SESSION]


def test_without_the_identity_store_nobody_is_known_and_nobody_logged_out(
    own_site: LoginSite, browser: HttpBrowser
) -> None:
    alice = Person(own_site, browser, "alice")
    alice.log_in()
    kept = alice.jar[SESSION]
    store = own_site.site.directory / "identity.db"
    store.rename(store.with_suffix(".gone"))
    page = alice.open(CONSOLE)
    assert page.status == 503
    assert page.response.headers["retry-after"] == "5"
    assert "user:alice" not in page.text
    assert "ERROR gateway.console.page a page can't be shown" in own_site.gateway.log
    assert str(store) in own_site.gateway.log and str(store) not in page.text
    assert alice.browser.open(alice.callback()).status == 503
    assert alice.jar[SESSION] == kept
    store.with_suffix(".gone").rename(store)
    assert alice.is_logged_in()


def test_state_of_another_version_keeps_everybody_out_and_the_log_says_so(
    own_site: LoginSite, browser: HttpBrowser
) -> None:
    own_site.gateway.stop()
    with sqlite3.connect(own_site.site.directory / "identity.db") as shell:
        shell.execute("UPDATE identity_schema SET version = 2")
    shell.close()
    with GatewayProcess(own_site.site, wait_ready=False, environment={"CLIENT_SECRET": CLIENT_SECRET}) as gateway:
        assert browser.open(Person(own_site, browser, "alice").callback()).status == 503
        ready = httpx.get(f"{gateway.url}/-/readyz", trust_env=False)
        assert ready.status_code == 503
        assert "schema version 2, this program works with 1: run the Portcullis version that made it" in gateway.log
        assert "ERROR portcullis.identity nobody is let in" in gateway.log
