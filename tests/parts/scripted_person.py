"""What a person does with login pages, done by a script: signs in at the provider, enters a code, says yes.

`python -m tests.parts.scripted_person ADDRESS` is what `BROWSER` can name. `ACCOUNTS` in its environment is a JSON
object from a provider's address to the account there, as a browser would remember it.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from tests.parts.http_browser import Form, HttpBrowser, Page, http_browser

_MAX_FORMS = 6


def go_through(
    browser: HttpBrowser,
    address: str,
    accounts: Mapping[str, str] | None = None,
    *,
    provider: str = "",
    decision: str = "allow",
) -> Page:
    """Open an address and fill in what comes, until there is nothing left to fill in; returns the last page.

    The gateway's pages ask for a provider where there are several, for a device's code, which the address must hold,
    and for a decision; a provider's form asks for the account (`sub`).
    """
    page = browser.open(address)
    if urlsplit(page.url).path == "/-/login" and provider in page.links:
        page = browser.open(urljoin(page.url, page.links[provider]))
    code_was_entered = False
    for _ in range(_MAX_FORMS):
        form = _form_to_fill(page)
        if form is None:
            return page
        changes = {"decision": decision}
        if "sub" in form.fields:
            parts = urlsplit(page.url)
            changes = {"sub": (accounts or {})[f"{parts.scheme}://{parts.netloc}"]}
        elif "user_code" in form.fields and not code_was_entered:
            code_was_entered, changes = True, {}
        page = browser.submit(page, replace(form, fields=form.fields | changes))
    raise AssertionError(f"more than {_MAX_FORMS} forms: {page.url}")


def remembered_accounts() -> Mapping[str, str]:
    """Return the accounts that the variable `ACCOUNTS` holds."""
    accounts: Mapping[str, str] = json.loads(os.environ.get("ACCOUNTS", "{}"))
    return accounts


def _form_to_fill(page: Page) -> Form | None:
    # The account page has forms too, which end sessions: only those of a login are filled in.
    for form in page.forms:
        if "sub" in form.fields or "user_code" in form.fields or "/-/oauth/authorize" in form.action:
            return form
    return None


if __name__ == "__main__":
    with http_browser() as mine:
        last = go_through(mine, sys.argv[1], remembered_accounts())
    if last.status >= 400:
        raise SystemExit(f"{last.url} answered {last.status}: {last.text}")
