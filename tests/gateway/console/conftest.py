"""One gateway with two providers for all tests of the pages, and people with browsers."""

from collections.abc import Iterator

import pytest

from tests.gateway.console.people import Person
from tests.parts.http_browser import http_browser
from tests.parts.login_site import LoginSite


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginSite]:
    """Start the site once; a test leaves providers and configuration as it found them."""
    with LoginSite(tmp_path_factory.mktemp("pages")) as site:
        yield site


@pytest.fixture
def alice(site: LoginSite) -> Iterator[Person]:
    """Alice, not logged in."""
    with http_browser() as browser:
        yield Person(site, browser, "alice")


@pytest.fixture
def bob(site: LoginSite) -> Iterator[Person]:
    """Bob, not logged in."""
    with http_browser() as browser:
        yield Person(site, browser, "bob")
