"""Where a browser may be sent after a login."""

import string
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity.return_to import MAX_RETURN_TO_BYTES, is_own_page

GATEWAY = "https://gateway.example.com"

OWN_PAGES = [
    "/-/console/",
    "/-/console/audit",
    "/-/console/audit/2026-11.html",
    "/-/console/?page=2",
    "/-/device",
    "/-/device?user_code=WDJB-MJHT",
    "/-/oauth/authorize?response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2Fcallback&scope=a+b",
]

ELSEWHERE = [
    "",
    "/",
    "//evil.example.com",
    "///evil.example.com",
    "//evil.example.com/-/console/",
    "/\\evil.example.com",
    "\\\\evil.example.com/-/console/",
    "/-/console\\..\\..\\evil.example.com",
    "/-/console/\\evil.example.com",
    "https://evil.example.com/-/console/",
    "https:evil.example.com",
    "HTTPS://gateway.example.com/-/console/",
    "https://gateway.example.com/-/console/",
    "https://gateway.example.com.evil.example.com/-/console/",
    "https://gateway.example.com:8443/-/console/",
    "https://gateway.example.com@evil.example.com/-/console/",
    "javascript:alert(1)//-/console/",
    "data:text/html,/-/console/",
    "/-/console/@evil.example.com",
    ".evil.example.com/-/console/",
    ":8443/-/console/",
    "@evil.example.com/-/console/",
    "/-/console.evil.example.com",
    "/-/consoles/",
    "/-/console/../../logs-prod/",
    "/-/console/..",
    "/-/console/.",
    "/-/console//evil.example.com",
    "/-/console/%2e%2e/",
    "/-/console/%2fevil.example.com",
    "/-/console/%5cevil.example.com",
    "/-/console%2f..",
    "/%2fevil.example.com/-/console/",
    "/-/./console/",
    "/-/device/",
    "/-/device?user_code=%",
    "/-/device?user_code=%0",
    "/-/device#fragment",
    "/-/device?a\\b",
    "/-/device?a\r\nSet-Cookie:x=1",
    "/-/console/\t",
    "/-/console/\n",
    "\n/-/console/",
    "\t//evil.example.com",
    " /-/console/",
    "/-/console/\x00",
    "/-/console/\x7f",
    "/-/console/\u2024\u2024/",
    "/\uff0fevil.example.com",
    "/-/login?provider=corp",
    "/-/login/callback/corp?code=x",
    "/-/logout",
    "/-/api/v1/whoami",
    "/-/oauth/authorize/x",
    "/logs-prod/-/console/",
]


@pytest.mark.parametrize("address", OWN_PAGES)
def test_the_gateways_own_pages_are_returned_to(address: str) -> None:
    assert is_own_page(address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_suffix_port_userinfo_slash_backslash_and_escape_tricks_lead_nowhere(address: str) -> None:
    """SECURITY-CASES 26."""
    assert not is_own_page(address)


def test_an_address_that_would_not_fit_into_the_cookie_is_refused() -> None:
    assert is_own_page("/-/device?" + "a" * (MAX_RETURN_TO_BYTES - 10))
    assert not is_own_page("/-/device?" + "a" * (MAX_RETURN_TO_BYTES - 9))


ODD = st.sampled_from(
    [
        "//",
        "\\",
        "/",
        "..",
        ".",
        "%2f",
        "%5c",
        "%00",
        "\t",
        "\n",
        "@",
        ":",
        "?",
        "#",
        "evil.example.com",
        "https:",
        "/-/",
    ]
)
PIECES = st.one_of(ODD, st.sampled_from(["/-/console/", "/-/device", "/-/oauth/authorize"]), st.text(max_size=6))


@given(st.lists(PIECES, max_size=8).map("".join))
@example("/-/console/")
def test_whatever_is_accepted_stays_on_this_host_in_every_reading(address: str) -> None:
    """A browser's reading (backslash is a slash, tabs and line ends vanish) included. SECURITY-CASES 26."""
    if not is_own_page(address):
        return
    browsers = "".join(character for character in address if character not in "\t\r\n").replace("\\", "/")
    for reading in (address, browsers, browsers.strip()):
        parts = urlsplit(urljoin(GATEWAY + "/-/login/callback/corp", reading))
        assert (parts.scheme, parts.netloc) == ("https", "gateway.example.com")
        assert parts.path.startswith(("/-/console/", "/-/device", "/-/oauth/authorize"))
        assert "/../" not in parts.path and not parts.fragment


@given(st.sampled_from(OWN_PAGES), st.characters(exclude_characters=string.ascii_letters + string.digits), st.data())
def test_no_single_odd_character_turns_a_page_into_another_host(page: str, odd: str, data: st.DataObject) -> None:
    """SECURITY-CASES 26."""
    position = data.draw(st.integers(0, len(page)))
    address = page[:position] + odd + page[position:]
    if is_own_page(address):
        parts = urlsplit(urljoin(GATEWAY, address))
        assert parts.netloc == "gateway.example.com" and odd.isascii() and odd.isprintable()
