"""What every page has in common: nothing foreign runs, frames or keeps it, and everybody can read it."""

import re

import pytest

from gateway.console.page import PageError, page, sentence
from tests.gateway.console.people import CONSOLE, SESSION, Person, authorize_path
from tests.parts.login_site import LoginSite

HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{more}; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PAGES = [
    ("/-/login", "", 200),
    ("/-/login?provider=nobody", "", 404),
    ("/-/login/callback/corp", "", 400),
    ("/-/logout", "", 200),
    (CONSOLE, CONSOLE, 200),
    ("/-/logout", CONSOLE, 200),
    ("/-/device", "/-/device", 200),
    (authorize_path(), authorize_path(), 200),
    (authorize_path(client_id="nobody"), "", 400),
]


@pytest.mark.parametrize(("path", "logged_in_for", "status"), PAGES)
def test_a_page_can_not_be_scripted_framed_or_kept(alice: Person, path: str, logged_in_for: str, status: int) -> None:
    if logged_in_for:
        alice.log_in(logged_in_for)
    response = alice.browser.request("GET", alice.site.url + path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    more = " http://127.0.0.1:49152" if "authorize" in path and status == 200 else ""
    assert response.headers["content-security-policy"] == POLICY.format(more=more)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["portcullis-request-id"]
    text = response.text
    assert '<html lang="en">' in text
    assert 'name="viewport"' in text
    assert len(re.findall("<h1>", text)) == 1
    assert not re.search(r"<script|style=|\son[a-z]+=|https?://(?!127\.0\.0\.1)", text)
    labels = set(re.findall(r'<label for="([^"]+)"', text))
    for field in re.findall(r"<input([^>]*)>", text):
        assert 'type="hidden"' in field or re.search(r'id="([^"]+)"', field)[1] in labels  # type: ignore[index]


@pytest.mark.parametrize("path", [CONSOLE, "/-/device", authorize_path(), "/-/login?provider=corp"])
def test_a_redirect_is_not_kept_and_tells_nobody_where_it_came_from(alice: Person, path: str) -> None:
    response = alice.browser.request("GET", alice.site.url + path)
    assert response.status_code == 303
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_the_pages_look_comes_from_the_gateway_itself(site: LoginSite, alice: Person) -> None:
    for name, media_type in (("style.css", "text/css; charset=utf-8"), ("icon.svg", "image/svg+xml")):
        response = alice.browser.request("GET", f"{site.url}/-/console/{name}")
        assert (response.status_code, response.headers["content-type"]) == (200, media_type)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"url\(|@import|<script", response.text)
        assert SESSION not in response.headers.get("set-cookie", "")


def test_whatever_a_provider_says_is_text_and_not_markup() -> None:
    hostile = "\"><script>alert('x')</script>&"
    error = PageError(400, hostile, hostile, link=(hostile, hostile))
    for answer in (
        page("error.html", status=400, error=error, request_id=hostile),
        page("choose.html", choices=[(hostile, hostile, hostile)]),
        page("consent.html", client=hostile, subject=hostile, details=[(hostile, hostile)], address=hostile, token=""),
        page("device.html", subject=hostile, token=hostile, user_code=hostile, problem=hostile),
    ):
        text = bytes(answer.body).decode()
        assert "<script" not in text
        assert "&lt;script&gt;" in text


def test_a_forgotten_value_is_a_fault_and_not_an_empty_place() -> None:
    with pytest.raises(Exception, match="undefined"):
        page("choose.html")


def test_an_errors_words_become_a_sentence() -> None:
    assert sentence("the code is old: begin again") == "The code is old: begin again."
