"""Who asks the introspection endpoint (RFC 6749, section 2.3.1): by HTTP Basic or by two parameters, never by both."""

import base64
import binascii
from urllib.parse import unquote_plus

from gateway.exchange import Exchange
from identity.issuer.introspection import IntrospectionClients
from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters


def check_introspection_client(exchange: Exchange, parameters: Parameters, clients: IntrospectionClients) -> None:
    """Raise OAuthError (invalid_client, invalid_request) unless a configured client asks."""
    assert exchange.headers is not None
    authorization, secret = exchange.headers.authorization, parameters.get("client_secret")
    if authorization is not None:
        if secret is not None:
            raise OAuthError("invalid_request", "the client's secret is given in two places")
        client_id, known = _basic(authorization, clients)
        named = parameters.get("client_id")
        if known and named in (None, client_id):
            return
    elif clients.knows(parameters.get("client_id") or "", secret or ""):
        return
    raise OAuthError("invalid_client", "no such client, or another secret", status=401)


def _basic(authorization: bytes, clients: IntrospectionClients) -> tuple[str, bool]:
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return "", False
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return "", False
    # Many clients leave out the form encoding that the standard asks for.
    decoded = unquote_plus(client_id), unquote_plus(secret)
    if clients.knows(*decoded):
        return decoded[0], True
    return client_id, clients.knows(client_id, secret)
