"""A login on another device: where the command runs there is no browser (RFC 8628)."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from gateway.cli.authorization_server import AuthorizationServer
from gateway.cli.gateway_client import UnreachableError
from gateway.cli.oauth import CLIENT_ID, RefusedError, Tokens, json_object, post, request_tokens
from gateway.cli.output import CommandError

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL_S = 5
_SLOWER_S = 5
_MAX_LIFE_S = 3600


class DeviceFlow:
    """One login: a person opens `address` on any device and enters `user_code`, or opens `complete_address`.

    `pause` waits for so many seconds. `expires_in_s` is how long the code is good for.
    """

    def __init__(
        self,
        http: httpx.Client,
        server: AuthorizationServer,
        parameters: Mapping[str, str],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._server = server
        self._pause = pause
        response = post(http, server.device_authorization_endpoint, {"client_id": CLIENT_ID, **parameters})
        answer = json_object(response)
        if response.status_code != 200:
            reason = answer.get("error_description") or answer.get("detail") or answer.get("error")
            raise CommandError(f"the gateway gave no code for a device ({reason or response.status_code})")
        self._device_code = _text(answer, "device_code")
        self.user_code = _text(answer, "user_code")
        self.address = self._own(_text(answer, "verification_uri"))
        complete = answer.get("verification_uri_complete")
        self.complete_address = self._own(complete) if isinstance(complete, str) else None
        self.expires_in_s = min(_number(answer.get("expires_in"), _MAX_LIFE_S), _MAX_LIFE_S)
        self._interval_s = _number(answer.get("interval"), _INTERVAL_S)

    def wait(self, timeout_s: float) -> Tokens:
        """Return the tokens once the person has said yes; raises CommandError where they say no, or nothing in time."""
        ends_at = time.monotonic() + min(timeout_s, self.expires_in_s)
        interval_s = self._interval_s
        fields = {"grant_type": _GRANT_TYPE, "client_id": CLIENT_ID, "device_code": self._device_code}
        while True:
            self._pause(interval_s)
            try:
                return request_tokens(self._http, self._server, fields)
            except RefusedError as error:
                if error.code == "slow_down":
                    interval_s += _SLOWER_S
                elif error.code != "authorization_pending":
                    raise _end(error) from error
            except UnreachableError:
                # A gateway that restarts does not end the login; what is overloaded is asked less often (section 3.5).
                interval_s = min(interval_s * 2, 60)
            if time.monotonic() >= ends_at:
                raise CommandError("nobody entered the code in time: run `portcullis login` again")

    def _own(self, address: str) -> str:
        # A person signs in there: it must be the gateway's own page.
        if not address.startswith(f"{self._server.issuer.rstrip('/')}/"):
            raise CommandError(f"the gateway sends people to {address!r}, which is not its own: not used")
        return address


def _end(error: RefusedError) -> CommandError:
    if error.code == "access_denied":
        return CommandError("the login was denied on the other device")
    if error.code == "expired_token":
        return CommandError("the code is no longer good: run `portcullis login` again")
    return error


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise CommandError(f"the gateway's answer holds no {name}: update portcullis")
    return value


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise
