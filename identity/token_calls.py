"""Bounds on the token requests that logins and renewals send to one provider.

Anybody can begin a login and come back with made-up codes, and each would be a request in the gateway's name: enough of
them, and the provider shuts the gateway out. So a login's code is redeemed once, MAX_REDEEMED_PER_S are redeemed in a
second after a burst, REDEEMED_AT_ONCE at a time. A code that turns out to be good counts for nothing. Renewals have a
queue of their own, so such a flood does not stop who is at work already. Each process counts by itself.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from identity.authenticator import ProviderUnavailableError
from identity.call_limits import CallBudget, CallQueue, RecentKeys, TooManyCallsError
from identity.relying_party_messages import LoginError

# Together no more than provider_client.MAX_CONNECTIONS, or the one would wait for the other's connections.
REDEEMED_AT_ONCE: Final = 8
RENEWED_AT_ONCE: Final = 16
REDEMPTIONS_WAITING: Final = 64
RENEWALS_WAITING: Final = 256
MAX_REDEEMED_PER_S: Final = 20.0
REDEEMED_BURST: Final = 100
# More than a flood within the budget can make in the ten minutes that a login lives.
MAX_REMEMBERED: Final = 16_384


class TokenCalls:
    """Gives turns at one provider's token endpoint; belongs to one event loop.

    `login_within_s` is how long a login can be answered; `monotonic` is a clock in seconds.
    """

    def __init__(self, provider: str, *, login_within_s: float, monotonic: Callable[[], float]) -> None:
        self._provider = provider
        self._login_within_s = login_within_s
        self._redeemed = RecentKeys(MAX_REMEMBERED, monotonic=monotonic)
        self._budget = CallBudget(per_second=MAX_REDEEMED_PER_S, burst=REDEEMED_BURST, monotonic=monotonic)
        self._redemptions = CallQueue(at_once=REDEEMED_AT_ONCE, waiting=REDEMPTIONS_WAITING)
        self._renewals = CallQueue(at_once=RENEWED_AT_ONCE, waiting=RENEWALS_WAITING)

    @asynccontextmanager
    async def redemption(self, state: str) -> AsyncIterator[None]:
        """Hold a turn to redeem the code of the login of that `state`, which has no second one.

        Raises LoginError: login_not_begun where it has had its turn, too_many_logins where no more are given now.
        """
        digest = hashlib.sha256(state.encode()).digest()
        if digest in self._redeemed:
            raise LoginError("login_not_begun", "this login was answered before: begin again")
        # Before there is anything to wait for: of many answers at once to one login none but the first passes.
        self._redeemed.remember(digest, self._login_within_s)
        try:
            self._budget.spend()
            async with self._redemptions.turn():
                yield
        except TooManyCallsError:
            self._redeemed.forget(digest)
            detail = f"too many people log in through the provider {self._provider} just now: try again in a minute"
            raise LoginError("too_many_logins", detail) from None
        self._budget.give_back()

    @asynccontextmanager
    async def renewal(self) -> AsyncIterator[None]:
        """Hold a turn to renew a login; raises ProviderUnavailableError where too many wait already."""
        try:
            async with self._renewals.turn():
                yield
        except TooManyCallsError:
            raise ProviderUnavailableError(self._provider, "too many renewals wait for its answer") from None
