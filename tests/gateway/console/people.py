"""What people do with the gateway's pages, and what a command line and a device do beside them."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

from tests.parts.gateway import bearer, stored_rows
from tests.parts.http_browser import HttpBrowser, Page
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import OidcProvider

SESSION = "__Host-portcullis-session"
LOGIN = "__Host-portcullis-login-"
CONSOLE = "/-/console/"
STATE = "a-state-of-the-command-line"
VERIFIER = "a-verifier-of-the-command-line-that-is-long-enough"


@dataclass
class Person:
    """Somebody with an account of that name at both providers, and a browser."""

    site: LoginSite
    browser: HttpBrowser
    name: str

    @property
    def jar(self) -> dict[str, str]:
        """The browser's cookies of the gateway."""
        return self.browser.cookies.setdefault(urlsplit(self.site.url).netloc, {})

    @contextmanager
    def at_the_provider(self, provider: OidcProvider | None = None) -> Iterator[None]:
        """Have the provider take whoever comes for this person."""
        provider = provider or self.site.corp
        provider.sign_in_as(self.name)
        try:
            yield
        finally:
            provider.sign_in_as("alice")

    def open(self, path: str, *, stop_at: str | None = None) -> Page:
        """Open one of the gateway's pages, and follow where it leads."""
        with self.at_the_provider():
            return self.browser.open(self.site.url + path, stop_at=stop_at)

    def log_in(self, path: str = CONSOLE, provider: str = "corp") -> Page:
        """Log in through a provider, for a page."""
        page = self.open("/-/login?" + urlencode({"return_to": path, "provider": provider}))
        assert SESSION in self.jar, page.text
        return page

    def callback(self, path: str = CONSOLE, provider: str = "corp") -> str:
        """Log in at the provider, and return the address that the browser would go back to."""
        page = self.open(
            "/-/login?" + urlencode({"return_to": path, "provider": provider}),
            stop_at=self.site.url + "/-/login/callback",
        )
        assert page.response.is_redirect
        return self.browser.hops[-1]

    def is_logged_in(self) -> bool:
        """Tell whether the account page knows this browser."""
        return self.browser.request("GET", self.site.url + CONSOLE).status_code == 200


def authorize_path(**changes: str | None) -> str:
    """Return the address that a command line opens; a change replaces a parameter, None takes it out."""
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "portcullis-cli",
        "redirect_uri": "http://127.0.0.1:49152/callback",
        "state": STATE,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "provider": "corp",
        **changes,
    }
    return "/-/oauth/authorize?" + urlencode({name: value for name, value in parameters.items() if value is not None})


def answer_of(location: str) -> dict[str, str]:
    """Return an authorization response's parameters."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def sent_to(page: Page) -> str:
    """Return where a page's answer sends the browser."""
    return urljoin(page.url, page.response.headers["location"])


def tokens_for(site: LoginSite, code: str) -> httpx.Response:
    """Redeem a code as the command line does."""
    return httpx.post(
        site.url + "/-/oauth/token",
        data={
            "grant_type": "authorization_code",
            "client_id": "portcullis-cli",
            "code": code,
            "redirect_uri": "http://127.0.0.1:49152/callback",
            "code_verifier": VERIFIER,
        },
        trust_env=False,
    )


def renewed(site: LoginSite, refresh_token: str) -> httpx.Response:
    """Use a refresh token as the command line does."""
    return httpx.post(
        site.url + "/-/oauth/token",
        data={"grant_type": "refresh_token", "client_id": "portcullis-cli", "refresh_token": refresh_token},
        trust_env=False,
    )


def whoami(site: LoginSite, token: str) -> httpx.Response:
    """Ask the gateway's API with a token."""
    return httpx.get(site.url + "/-/api/v1/whoami", headers=bearer(token), trust_env=False)


def device(site: LoginSite, **wishes: str) -> dict[str, Any]:
    """Begin a device's login."""
    response = httpx.post(
        site.url + "/-/oauth/device_authorization", data={"client_id": "portcullis-cli", **wishes}, trust_env=False
    )
    document: dict[str, Any] = response.json()
    assert response.status_code == 200, document
    return document


def polled(site: LoginSite, device_code: str) -> httpx.Response:
    """Ask for a device's tokens."""
    return httpx.post(
        site.url + "/-/oauth/token",
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": "portcullis-cli",
            "device_code": device_code,
        },
        trust_env=False,
    )


def events(site: LoginSite) -> list[dict[str, Any]]:
    """Return the records of logins and logouts, oldest first."""
    return [record for row in stored_rows(site.site) if (record := json.loads(row.body))["kind"] == "authn"]
