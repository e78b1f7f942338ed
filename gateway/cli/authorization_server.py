"""What a gateway says of itself as an authorization server (RFC 8414), believed only about itself."""

from dataclasses import dataclass

from gateway.cli.gateway_client import ask, gateway_url
from gateway.cli.output import CommandError

_METADATA = "/.well-known/oauth-authorization-server"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint")


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """A gateway's endpoints. `issuer` is its own name, character for character as its answers carry it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str
    revocation_endpoint: str


def discover(gateway: str) -> AuthorizationServer:
    """Fetch the metadata of the gateway at this base URL; raises CommandError where it can't be had or is not its own.

    The gateway may call itself by another spelling of the same URL, by no other URL: whoever answers under an address
    that is not the gateway's own must not be handed a login there (RFC 8414 section 3.3). The same holds for endpoints.
    """
    document = ask(gateway, _METADATA)
    issuer = document.get("issuer")
    if issuer is None:
        raise CommandError(f"{gateway} does not answer as a Portcullis gateway does: check the URL")
    if not isinstance(issuer, str) or _origin(issuer) != gateway:
        raise CommandError(
            f"the gateway at {gateway} calls itself {issuer!r}: where that is the one you mean, give it with --gateway"
        )
    endpoints: dict[str, str] = {}
    for name in _ENDPOINTS:
        endpoint = document.get(name)
        if not isinstance(endpoint, str) or not endpoint.startswith(f"{issuer.rstrip('/')}/"):
            raise CommandError(f"the gateway at {gateway} names no {name} of its own: not used")
        endpoints[name] = endpoint
    return AuthorizationServer(issuer=issuer, **endpoints)


def _origin(url: str) -> str | None:
    try:
        return gateway_url(url)
    except CommandError:
        return None
