"""Which gateway a command means, and the token to show there."""

import time
from datetime import UTC, datetime

from gateway.cli.client_settings import ClientSettings
from gateway.cli.gateway_client import gateway_url
from gateway.cli.http_client import http_client
from gateway.cli.oauth import renewed
from gateway.cli.output import CommandError
from gateway.cli.token_store import Login, TokenStore

# A token that ends while a request is under way is of no use.
_MARGIN_S = 30


class Caller:
    """A person at a terminal: their environment and their logins."""

    def __init__(self) -> None:
        self._settings = ClientSettings()
        self.store = TokenStore(self._settings.state_directory)

    def gateway(self, chosen: str | None) -> str:
        """Return the base URL: the one chosen, else PORTCULLIS_GATEWAY, else the last login's."""
        url = chosen or self._settings.gateway or self.store.last_gateway()
        if url is None:
            raise CommandError(
                "no gateway is known: give --gateway URL, set PORTCULLIS_GATEWAY, or log in with --gateway URL"
            )
        return gateway_url(url)

    def token(self, gateway: str) -> str:
        """Return PORTCULLIS_TOKEN, else the login's token, renewed first where it ends soon and can be.

        Raises CommandError where there is none that is still good.
        """
        if self._settings.token is not None:
            return self._settings.token.get_secret_value()
        login = self._login(gateway)
        if _is_fresh(login):
            return login.token
        if login.refresh_token is None:
            raise CommandError(f"the login at {gateway} ended at {moment(login.expires_at)}: run `portcullis login`")
        with self.store.exclusive(), http_client() as http:
            login = self._login(gateway)
            if not _is_fresh(login):
                login = renewed(http, login)
                self.store.save(login)
        return login.token

    def _login(self, gateway: str) -> Login:
        login = self.store.load(gateway)
        if login is None:
            raise CommandError(f"not logged in at {gateway}: run `portcullis login --gateway {gateway}`")
        return login


def moment(time_s: int | None) -> str:
    """Return a time as people read it (RFC 3339, UTC), `an unknown time` for None."""
    return "an unknown time" if time_s is None else datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_fresh(login: Login) -> bool:
    return login.expires_at is None or login.expires_at > time.time() + _MARGIN_S
