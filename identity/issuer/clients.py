"""The OAuth clients that the gateway knows: its own command line, and nobody else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105  # a grant type's name
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # a grant type's name

CONSOLE: Final = "console"
"""What the grants of browser sessions have for a client: it gets no tokens."""

_PORT: Final = r":(?P<port>[1-9][0-9]{0,4})"


@dataclass(frozen=True, slots=True)
class Client:
    """A public client (RFC 6749, section 2.1): it has no secret, so PKCE stands in for one.

    `loopback_path` is where it listens on the machine's own addresses, at any port (RFC 8252, section 7.3).
    """

    id: str
    name: str
    loopback_path: str

    def may_redirect_to(self, uri: str) -> bool:
        """Tell whether an authorization response may go there: compared as text, but for the port."""
        pattern = rf"http://(?:127\.0\.0\.1|\[::1\]){_PORT}{re.escape(self.loopback_path)}"
        match = re.fullmatch(pattern, uri, re.ASCII)
        return match is not None and int(match["port"]) <= 65535


COMMAND_LINE: Final = Client("portcullis-cli", "the Portcullis command line", "/callback")
CLIENTS: Final[Mapping[str, Client]] = {COMMAND_LINE.id: COMMAND_LINE}


def client_of(parameters: Parameters) -> Client:
    """Return the client that a request names; raises OAuthError (invalid_request, invalid_client)."""
    client = CLIENTS.get(parameters.required("client_id", longest=128))
    if client is None:
        raise OAuthError("invalid_client", "no such client is known here", status=401)
    return client
