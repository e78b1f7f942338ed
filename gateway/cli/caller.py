"""Which gateway a command means, and the token to show there."""

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from gateway.cli.assurance import Assurance, unverified_claims
from gateway.cli.client_settings import ClientSettings
from gateway.cli.gateway_client import RefusedTokenError, StrongerLoginError, UnreachableError, ask, gateway_url
from gateway.cli.http_client import http_client
from gateway.cli.oauth import RefusedError, renewed
from gateway.cli.output import CommandError, print_error
from gateway.cli.token_store import Login, TokenStore

# A token that ends while a request is under way is of no use.
_MARGIN_S = 30


class Caller:
    """A person at a terminal: their environment and their logins."""

    def __init__(self) -> None:
        try:
            self._settings = ClientSettings()
        except ValidationError as error:
            raise CommandError("PORTCULLIS_TOKEN_STORE is not one of auto, keyring and file: correct it") from error
        self.store = TokenStore(self._settings.state_directory, self._settings.token_store)

    @property
    def has_token_of_its_own(self) -> bool:
        """Whether PORTCULLIS_TOKEN stands in for every login."""
        return self._settings.token is not None

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
            return self._settings.token.get_secret_value().strip()
        login = self._login(gateway)
        if _lives(login, _MARGIN_S):
            return login.token
        if login.refresh_token is None:
            raise CommandError(f"the login at {gateway} ended at {moment(login.expires_at)}: run `portcullis login`")
        with self.store.exclusive():
            # Another command may have renewed it while this one waited.
            login = self._login(gateway)
            return login.token if _lives(login, _MARGIN_S) else self._renewed(login).token

    def ask(
        self,
        gateway: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Ask the gateway as this person, after a stronger login where it wants one; raises what `ask` raises."""
        token = self.token(gateway)
        try:
            return ask(gateway, path, token=token, params=params, body=body)
        except RefusedTokenError as error:
            if not self.has_token_of_its_own:
                raise
            remedy = "it is that of PORTCULLIS_TOKEN: put another there, or unset it and run `portcullis login`"
            raise CommandError(f"{error.why}; {remedy}") from error
        except StrongerLoginError as error:
            token = self._stronger(gateway, error)
        return ask(gateway, path, token=token, params=params, body=body)

    def token_of(self, gateway: str, assurance: Assurance) -> str:
        """Return a token as strong as that, after another login where the present one is not.

        Raises StrongerLoginError where nobody is there to log in, or the new login is not strong enough either.
        """
        token = self.token(gateway)
        lacking = assurance.lacking(unverified_claims(token), time.time())
        if lacking is None:
            return token
        token = self._stronger(gateway, StrongerLoginError(f"the login is not strong enough: {lacking}", assurance))
        require(assurance, token)
        return token

    def _stronger(self, gateway: str, error: StrongerLoginError) -> str:
        if self.has_token_of_its_own:
            raise StrongerLoginError(f"{error.why}, and PORTCULLIS_TOKEN stands in for it", error.assurance) from error
        if not _is_attended():
            raise error
        from gateway.cli.sign_in import Wish, sign_in

        login = self._login(gateway)
        provider = unverified_claims(login.token).get("idp")
        print_error(f"{error.why[:1].upper()}{error.why[1:]}. Log in again for it.")
        wish = Wish(provider=provider if isinstance(provider, str) else None, assurance=error.assurance)
        return sign_in(self.store, gateway, wish).token

    def _renewed(self, login: Login) -> Login:
        try:
            with http_client() as http:
                renewal = renewed(http, login)
        except UnreachableError:
            if _lives(login, 0):
                return login
            raise
        except RefusedError as error:
            if error.code != "invalid_grant":
                raise
            self.store.remove(login.gateway)
            raise CommandError(
                f"the login at {login.gateway} is over ({error.reason}): run `portcullis login`"
            ) from error
        # The old refresh token is used up. A crash before this line is done loses the login, never the new tokens to
        # anybody else: the gateway ends the session when the old one comes again.
        self.store.renew(renewal)
        return renewal

    def _login(self, gateway: str) -> Login:
        login = self.store.load(gateway)
        if login is None:
            raise CommandError(f"not logged in at {gateway}: run `portcullis login --gateway {gateway}`")
        return login


def require(assurance: Assurance, token: str) -> None:
    """Raise StrongerLoginError where a token that a login has just given is not as strong as was asked."""
    lacking = assurance.lacking(unverified_claims(token), time.time())
    if lacking is not None:
        raise StrongerLoginError(f"the login is kept, but not what was asked for: {lacking}", assurance)


def moment(time_s: int | None) -> str:
    """Return a time as people read it (RFC 3339, UTC), `an unknown time` for None."""
    return "an unknown time" if time_s is None else datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lives(login: Login, margin_s: int) -> bool:
    return login.expires_at is None or login.expires_at > time.time() + margin_s


def _is_attended() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
