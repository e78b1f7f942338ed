"""Whether a form was sent from a page of the gateway's own, at the wish of the person who is logged in."""

import hmac
from hashlib import sha256

from fastapi import Request

from gateway.api.forms import form_of
from gateway.console.browser_session import BrowserSession, current_session
from gateway.console.page import PageError
from gateway.console.services import ConsoleServices
from identity.issuer.parameters import Parameters


def csrf_token(session: BrowserSession, path: str) -> str:
    """Return the hidden field for the session's forms that are sent to `path`."""
    return hmac.new(session.secret.encode(), b"csrf\0" + path.encode(), sha256).hexdigest()


async def own_form(services: ConsoleServices, request: Request, login: str) -> tuple[BrowserSession, Parameters]:
    """Return who sent a form, and what it holds; `login` is where somebody goes on whose session has ended.

    `Sec-Fetch-Site` decides where it is sent. Our `no-referrer` policy makes browsers send `Origin: null`, so without
    `Sec-Fetch-Site` that says nothing, and the token alone counts. Raises PageError and OAuthError.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin") or origin not in (None, "null", services.public_url):
        raise _foreign()
    form = await form_of(request)
    session = await current_session(services, request)
    if session is None:
        raise PageError(
            401,
            "Your session has ended",
            "Nothing was done. Log in again to go on.",
            link=("Log in", login),
            # RFC 9110 section 15.5.2 wants a challenge. Browsers don't know this one and show the page.
            headers={"www-authenticate": 'Bearer realm="portcullis"'},
        )
    expected = csrf_token(session, request.url.path)
    if not hmac.compare_digest((form.get("csrf") or "").encode(), expected.encode()):
        raise _foreign()
    return session, form


def _foreign() -> PageError:
    text = "Nothing was done: the form did not come from a page of this gateway, or from an older login. Open it anew."
    return PageError(403, "This form is not ours", text, link=("Your account", "/-/console/"))
