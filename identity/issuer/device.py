"""The device flow, in front of any provider (RFC 8628): a code shown here, entered in a browser somewhere else.

A user code is 8 of 20 consonants (no vowels, so no words): one of 25.6 thousand million, for ten minutes. Only somebody
who is logged in can enter one, and 10 wrong ones within ten minutes stop that person (RFC 8628, section 5.1). With
1,000 devices waiting, 10 guesses hit one of them with a chance of 1 in 2.5 million.

Anybody may begin one, so the requests that wait are bounded: 200 from one address and 2,000 altogether in ten
minutes and process; more are answered temporarily_unavailable. Behind a front all devices ask from its address.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from identity.issuer.allowance import Allowance
from identity.issuer.authorization import LoginWish, login_wish, unknown_provider
from identity.issuer.clients import Client
from identity.issuer.narrowing import limits_document, requested_limits, stored_limits
from identity.issuer.oauth_error import OAuthError, unavailable
from identity.issuer.parameters import Parameters
from identity.principal import Limits
from identity.secret_digest import secret_digest
from identity.state import DeviceRequest, DeviceStore, Grant, StateUnavailableError

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_LENGTH: Final = 8
LIFE_S: Final = 600
INTERVAL_S: Final = 5
WRONG_ENTRIES: Final = 10
WRONG_ENTRIES_BY_ALL: Final = 10_000
BEGUN_BY_ONE: Final = 200
BEGUN_BY_ALL: Final = 2_000

_CODES_TRIED: Final = 5


class TooManyGuessesError(Exception):
    """Somebody has entered too many wrong user codes and has to wait."""


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """What a device shows and polls with (RFC 8628, section 3.2)."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    verification_uri: str

    def document(self) -> dict[str, Any]:
        """Return the answer's JSON object."""
        query = urlencode({"user_code": self.user_code})
        return {
            "device_code": self.device_code,
            "user_code": self.user_code,
            "verification_uri": self.verification_uri,
            "verification_uri_complete": f"{self.verification_uri}?{query}",
            "expires_in": LIFE_S,
            "interval": INTERVAL_S,
        }


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device that waits for a person's word: what it is, where it asked from, and what it asks for.

    `user_code` is as people see it; times are whole seconds since the Unix epoch.
    """

    user_code: str
    client: str
    source: str
    limits: Limits
    wish: LoginWish
    created_at: int
    expires_at: int


class DeviceFlow:
    """Begins device logins, takes a person's word, and answers polls; belongs to one event loop.

    `providers` are those that people can log in at, where that is known: a login through another is not begun, as
    nobody could end it.
    """

    def __init__(
        self,
        devices: DeviceStore,
        *,
        issuer: str,
        providers: Collection[str] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices = devices
        self._issuer = issuer
        self._providers = providers
        self._clock = clock
        self._wrong = Allowance(limit=WRONG_ENTRIES, total=WRONG_ENTRIES_BY_ALL, window_s=LIFE_S, monotonic=monotonic)
        self._begun = Allowance(limit=BEGUN_BY_ONE, total=BEGUN_BY_ALL, window_s=LIFE_S, monotonic=monotonic)

    async def begin(self, parameters: Parameters, client: Client, source: str) -> DeviceAnswer:
        """Store a device's request and return its codes; raises OAuthError."""
        limits, wish = requested_limits(parameters, self._issuer), login_wish(parameters)
        if self._providers is not None and wish.provider is not None and wish.provider not in self._providers:
            raise unknown_provider(self._providers)
        if self._begun.is_spent(source):
            raise unavailable("too many device logins were begun: try again in ten minutes")
        self._begun.spend(source)
        now = int(self._clock())
        device_code = secrets.token_urlsafe(32)
        for _ in range(_CODES_TRIED):
            user_code = "".join(secrets.choice(ALPHABET) for _ in range(USER_CODE_LENGTH))
            request = DeviceRequest(
                device_digest=secret_digest(device_code),
                user_code=user_code,
                client=client.id,
                source=source,
                payload=_payload(limits, wish),
                created_at=now,
                expires_at=now + LIFE_S,
                interval_s=INTERVAL_S,
            )
            if await asyncio.to_thread(self._devices.add_device, request):
                return DeviceAnswer(device_code, shown(user_code), f"{self._issuer}/-/device")
        raise unavailable("no free user code was found: try again")

    async def lookup(self, entered: str, person: str) -> WaitingDevice | None:
        """Return the device that waits under a code as a person entered it, None where there is none.

        `person` is the policy subject of who entered it. Raises TooManyGuessesError.
        """
        if self._wrong.is_spent(person):
            raise TooManyGuessesError
        # Wrong until found right: guesses that are made at once would all pass a count that comes after the look-up.
        self._wrong.spend(person)
        user_code = _plain(entered)
        if user_code is None:
            return None
        try:
            request = await asyncio.to_thread(self._devices.device_by_user_code, user_code, int(self._clock()))
        except StateUnavailableError:
            self._wrong.give_back(person)
            raise
        if request is None:
            return None
        self._wrong.give_back(person)
        return _waiting(request)

    async def allow(self, device: WaitingDevice, grant: Grant) -> bool:
        """Give a grant, begun for the device's client, to it; False where the device does not wait any more."""
        return await self._decide(device, grant.id)

    async def deny(self, device: WaitingDevice) -> bool:
        """Send the device away; False where it does not wait any more."""
        return await self._decide(device, None)

    async def poll(self, device_code: str, client: Client) -> str:
        """Return the id of the grant that a device was given, once.

        Raises OAuthError (RFC 8628, section 3.5): authorization_pending, slow_down, access_denied, expired_token (also
        for a code that never was), invalid_grant where it is another client's.
        """
        poll = await asyncio.to_thread(self._devices.poll_device, secret_digest(device_code), self._clock())
        if poll is None:
            raise OAuthError("expired_token", "the code is not good any more: begin the login again")
        request = poll.request
        if request.client != client.id:
            raise OAuthError("invalid_grant", "the code is another client's")
        if request.status == "denied":
            raise OAuthError("access_denied", "the login was denied in the browser")
        if request.status == "allowed" and request.grant_id is not None:
            return request.grant_id
        if poll.too_soon:
            raise OAuthError("slow_down", "ask five seconds less often from now on")
        raise OAuthError("authorization_pending", "nobody has entered the code yet")

    async def _decide(self, device: WaitingDevice, grant_id: str | None) -> bool:
        user_code = _plain(device.user_code)
        assert user_code is not None
        return await asyncio.to_thread(self._devices.decide_device, user_code, int(self._clock()), grant_id)


def shown(user_code: str) -> str:
    """Return a user code as people see it: XXXX-XXXX."""
    return f"{user_code[:4]}-{user_code[4:]}"


def _plain(entered: str) -> str | None:
    """Return an entered code without hyphens and blanks and in upper case, None where it can't be one."""
    code = entered.replace("-", "").replace(" ", "").upper()
    good = entered.isascii() and len(code) == USER_CODE_LENGTH and all(letter in ALPHABET for letter in code)
    return code if good else None


def _payload(limits: Limits, wish: LoginWish) -> dict[str, Any]:
    # Stored for ten minutes at most: what another version has written may be refused.
    return {
        "limits": limits_document(limits),
        "provider": wish.provider,
        "acr_values": wish.acr_values,
        "max_age": wish.max_age,
    }


def _waiting(request: DeviceRequest) -> WaitingDevice:
    payload = request.payload
    return WaitingDevice(
        user_code=shown(request.user_code),
        client=request.client,
        source=request.source,
        limits=stored_limits(payload["limits"]),
        wish=LoginWish(payload["provider"], payload["acr_values"], payload["max_age"]),
        created_at=request.created_at,
        expires_at=request.expires_at,
    )
