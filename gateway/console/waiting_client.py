"""The program that waits for a login which came to nothing: it is told, so that it does not wait in vain.

RFC 6749, section 4.1.2.1. Only a client whose request is good in itself is told, at the redirect URI that it may name.
"""

from typing import Final

from gateway.console.services import ConsoleServices
from identity.issuer.authorization import BadAuthorizationRequestError
from identity.issuer.oauth_error import OAuthError

AUTHORIZE_PAGE: Final = "/-/oauth/authorize"

# By the status of the page that the person sees. Whatever else it is, nobody is let in.
_ERRORS: Final = {502: "server_error", 503: "temporarily_unavailable"}


def client_address(services: ConsoleServices, return_to: str, status: int, detail: str) -> str | None:
    """Return the address at which a client hears that its login failed, None where no client waits for it.

    `return_to` is the page that the login was made for. A device is not told: a login that fails beside its code is
    nobody's no.
    """
    path, _, query = return_to.partition("?")
    if path != AUTHORIZE_PAGE:
        return None
    try:
        asked = services.authorization.request(query.encode("ascii"))
    except BadAuthorizationRequestError:
        return None
    return services.authorization.deny(asked, OAuthError(_ERRORS.get(status, "access_denied"), _plain(detail)))


def _plain(detail: str) -> str:
    # What a description may hold, by the section above.
    return "".join(character if " " <= character <= "~" and character not in '"\\' else "'" for character in detail)
