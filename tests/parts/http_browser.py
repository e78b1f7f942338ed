"""A browser without an engine: keeps cookies as browsers do, follows redirects one by one, fills in forms.

browser = HttpBrowser()
page = browser.open(url)                    # follows redirects, across hosts
page = browser.submit(page, decision="allow")
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx

MAX_HOPS = 12


@dataclass
class Form:
    """A form as it stands in a page: where it goes, and what its fields hold. Buttons are not in `fields`."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """What a request got in the end: after redirects, the last answer."""

    url: str
    response: httpx.Response
    forms: list[Form]
    links: dict[str, str]
    text: str

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status_code

    def form(self, action: str) -> Form:
        """Return the first form that goes to a path."""
        return next(form for form in self.forms if urlsplit(form.action).path == action)


class HttpBrowser:
    """One person's browser. `cookies` are those of each origin, by name; `given` is how each was set last.

    Cookies with `Secure` go to 127.0.0.1 over plain http too, as in browsers, and none to another port than its own:
    on one host two providers would otherwise share theirs.
    """

    def __init__(self) -> None:
        self.cookies: dict[str, dict[str, str]] = {}
        self.given: dict[str, str] = {}
        self.hops: list[str] = []
        self._http = httpx.Client(trust_env=False, timeout=20)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request with this browser's cookies, and keep the answer's."""
        origin = urlsplit(url).netloc
        jar = self.cookies.setdefault(origin, {})
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        response = self._http.request(method, url, data=form, headers={**sent, **(headers or {})})
        for header in response.headers.get_list("set-cookie"):
            name, _, rest = header.partition("=")
            value = rest.partition(";")[0]
            self.given[name] = header
            attributes = header.lower()
            if "max-age=0" in attributes or "expires=thu, 01 jan 1970" in attributes:
                jar.pop(name, None)
            else:
                jar[name] = value
        return response

    def follow(self, url: str, *, stop_at: str | None = None) -> Iterator[httpx.Response]:
        """Yield the answers on the way from `url`; ends with the first that is no redirect, or leads to `stop_at`."""
        for _ in range(MAX_HOPS):
            self.hops.append(url)
            response = self.request("GET", url)
            yield response
            if not response.is_redirect:
                return
            url = urljoin(url, response.headers["location"])
            if stop_at is not None and url.startswith(stop_at):
                self.hops.append(url)
                return
        raise AssertionError(f"more than {MAX_HOPS} redirects: {self.hops[-3:]}")

    def open(self, url: str, *, stop_at: str | None = None) -> Page:
        """Open an address as if typed in; `hops` are the addresses on the way."""
        self.hops = []
        response = list(self.follow(url, stop_at=stop_at))[-1]
        return _page(self.hops[-1], response)

    def submit(
        self,
        page: Page,
        form: Form | None = None,
        *,
        stop_at: str | None = None,
        headers: Mapping[str, str] | None = None,
        **changes: str,
    ) -> Page:
        """Send a form (the page's first) as a browser does, `changes` filled in, and follow where it leads."""
        form = form or page.forms[0]
        assert form.method == "post"
        origin = {"origin": "null", "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
        url = urljoin(page.url, form.action)
        response = self.request("POST", url, form={**form.fields, **changes}, headers={**origin, **(headers or {})})
        if not response.is_redirect:
            return _page(url, response)
        url = urljoin(url, response.headers["location"])
        if stop_at is not None and url.startswith(stop_at):
            self.hops = [url]
            return _page(url, response)
        return self.open(url, stop_at=stop_at)


@contextmanager
def http_browser() -> Iterator[HttpBrowser]:
    """Give a new browser, and close it."""
    browser = HttpBrowser()
    try:
        yield browser
    finally:
        browser.close()


def _page(url: str, response: httpx.Response) -> Page:
    reader = _Reader()
    if response.headers.get("content-type", "").startswith("text/html"):
        reader.feed(response.text)
    return Page(url, response, reader.forms, reader.links, " ".join(" ".join(reader.words).split()))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._link: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("method", "get").lower(), values.get("action", "")))
        elif tag == "input" and "name" in values:
            self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif tag == "a":
            self._link = values.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._link is not None and data.strip():
            self.links.setdefault(" ".join(data.split()), self._link)
