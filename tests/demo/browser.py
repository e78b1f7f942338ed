"""A browser without a person: opens the login page, signs in with this person's account there, follows every redirect.

The command line opens it through the BROWSER variable, as it would open a real one. DEMO_ACCOUNTS is a JSON object from
a provider's address to the account there, as a browser would remember it.
"""

import json
import os
import sys
import urllib.parse
import urllib.request


def sign_in(login_page: str, accounts: dict[str, str]) -> None:
    """Submit the provider's login form and follow the redirect back to whoever asked for the login."""
    parts = urllib.parse.urlsplit(login_page)
    account = accounts[f"{parts.scheme}://{parts.netloc}"]
    with urllib.request.urlopen(login_page, timeout=10) as page:
        if b'name="sub"' not in page.read():
            raise SystemExit(f"no login form at {page.url}")
    form = urllib.parse.urlencode({"sub": account}).encode()
    with urllib.request.urlopen(page.url, data=form, timeout=10) as landing:
        landing.read()


if __name__ == "__main__":
    sign_in(sys.argv[1], json.loads(os.environ["DEMO_ACCOUNTS"]))
