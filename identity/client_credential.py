"""How the gateway proves to a provider which client it is (RFC 6749, section 2.3.1)."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from identity.provider_settings import ClientAuth, ProviderSettings
from identity.secret import read_secret


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """One client of ours at a provider; `secret` is None where it has none, and is in no text that this class makes."""

    client_id: str
    secret: str | None = field(repr=False)
    method: ClientAuth

    def sign_in(self, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the form to send so that the provider knows the client."""
        if self.method == "client_secret_basic":
            # Each part is form-encoded first, so that a colon in an id can't move the border between the two. Authlib
            # leaves that out, and with it every secret that holds a `%`.
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret or '')}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, dict(form)
        signed = {**form, "client_id": self.client_id}
        if self.method == "client_secret_post":
            signed["client_secret"] = self.secret or ""
        return {}, signed


def own_credential(settings: ProviderSettings) -> ClientCredential:
    """Return the gateway's own client, its secret read anew, so that a renewed one needs no restart.

    Raises SecretError where the secret can't be read, ValueError where the provider has no `client_id`.
    """
    if settings.client_id is None:
        raise ValueError(f"the provider {settings.name} has no client_id")
    if not settings.has_client_secret:
        return ClientCredential(settings.client_id, None, "none")
    place = f"identity.providers, {settings.name}, client_secret"
    secret = read_secret(place, settings.client_secret_file, settings.client_secret_env)
    return ClientCredential(
        settings.client_id, secret.get_secret_value(), settings.client_auth or "client_secret_basic"
    )


def introspection_credential(settings: ProviderSettings) -> ClientCredential:
    """Return the client that introspects: its own where one is configured, else the gateway's.

    Raises SecretError where the secret can't be read, ValueError where the provider does not introspect.
    """
    introspection = settings.introspection
    if introspection is None:
        raise ValueError(f"the provider {settings.name} does not introspect")
    if introspection.client_id is None:
        return own_credential(settings)
    place = f"identity.providers, {settings.name}, introspection.client_secret"
    secret = read_secret(place, introspection.client_secret_file, introspection.client_secret_env)
    return ClientCredential(
        introspection.client_id, secret.get_secret_value(), settings.client_auth or "client_secret_basic"
    )
