"""What logins may ask of a provider: a code once, so many at once and a second, and never at the renewals' expense."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from identity.authenticator import ProviderUnavailableError
from identity.issuer.grants import new_grant
from identity.login import LOGIN_WITHIN_S, RelyingParty
from identity.principal import UNLIMITED
from identity.provider_client import MAX_CONNECTIONS
from identity.relying_party_messages import LoginError
from identity.state import Grant
from identity.token_calls import (
    MAX_REDEEMED_PER_S,
    MAX_REMEMBERED,
    REDEEMED_AT_ONCE,
    REDEEMED_BURST,
    REDEMPTIONS_WAITING,
    RENEWALS_WAITING,
    RENEWED_AT_ONCE,
    TokenCalls,
)
from tests.identity.login_provider import (
    NOW,
    Clock,
    TokenEndpoint,
    principal,
    provider_settings,
    refused,
    relying_party,
    tokens,
)

ANSWER = {"code": "c-1", "iss": "https://corp.example.com"}


@contextmanager
def refusal(code: str) -> Iterator[None]:
    with pytest.raises(LoginError) as raised:
        yield
    assert raised.value.code == code
    assert "begin again" in raised.value.detail or "try again in a minute" in raised.value.detail


def calls_of(clock: Clock) -> TokenCalls:
    return TokenCalls("corp", login_within_s=LOGIN_WITHIN_S, monotonic=clock)


def grant() -> Grant:
    return new_grant(
        principal(),
        client="portcullis-cli",
        source="127.0.0.1",
        limits=UNLIMITED,
        confirmation=None,
        now=NOW,
        expires_at=NOW + 3600,
    )


def test_a_login_is_answered_once_however_many_answers_come_at_once() -> None:
    endpoint = TokenEndpoint(lambda _: refused("invalid_grant"))

    async def story() -> None:
        party = relying_party(endpoint=endpoint)
        begun = party.begin("corp", "/-/console/")
        pending = party.pending(begun.state, begun.sealed)
        answers = [party.finish(pending, {**ANSWER, "code": f"c-{number}"}, came_to="corp") for number in range(50)]
        results = await asyncio.gather(*answers, return_exceptions=True)
        codes = [each.code for each in results if isinstance(each, LoginError)]
        assert sorted(codes) == ["invalid_grant"] + ["login_not_begun"] * 49
        with refusal("login_not_begun"):
            await party.finish(pending, ANSWER, came_to="corp")

    asyncio.run(story())
    assert len(endpoint.requests) == 1


def test_made_up_codes_use_up_a_budget_of_their_provider_and_good_ones_do_not() -> None:
    good = TokenEndpoint()
    bad = TokenEndpoint(lambda _: refused("invalid_grant"))
    clock = Clock(0)

    async def answered(party: RelyingParty, provider: str, times: int) -> list[str]:
        codes = []
        for _ in range(times):
            begun = party.begin(provider, "/-/console/")
            pending = party.pending(begun.state, begun.sealed)
            answer = {"code": "c-1", "iss": f"https://{provider}.example.com"}
            try:
                await party.finish(pending, answer, came_to=provider)
            except LoginError as error:
                codes.append(error.code)
            else:
                codes.append("ok")
        return codes

    async def story() -> None:
        party = relying_party(endpoint=good, monotonic=clock)
        assert set(await answered(party, "corp", 3 * REDEEMED_BURST)) == {"ok"}
        both = (provider_settings(), provider_settings("partner"))
        party = relying_party(*both, endpoint=bad, monotonic=clock)
        codes = await answered(party, "corp", REDEEMED_BURST + 5)
        assert codes == ["invalid_grant"] * REDEEMED_BURST + ["too_many_logins"] * 5
        assert len(bad.requests) == REDEEMED_BURST
        assert await answered(party, "partner", 1) == ["invalid_grant"], "the other provider's logins go on"
        clock.now += 1
        codes = await answered(party, "corp", 30)
        assert codes.count("invalid_grant") == MAX_REDEEMED_PER_S

    asyncio.run(story())


def test_a_login_that_had_no_turn_may_come_again() -> None:
    async def story() -> None:
        clock = Clock(0)
        calls = calls_of(clock)
        for number in range(REDEEMED_BURST):
            with pytest.raises(LookupError):
                async with calls.redemption(f"made-up-{number}"):
                    raise LookupError
        with refusal("too_many_logins"):
            async with calls.redemption("alice's"):
                pass
        clock.now += 1
        async with calls.redemption("alice's"):
            pass
        with refusal("login_not_begun"):
            async with calls.redemption("alice's"):
                pass

    asyncio.run(story())


def test_a_flood_within_the_budget_makes_no_answered_login_forgotten() -> None:
    async def story() -> None:
        clock = Clock(0)
        calls = calls_of(clock)
        async with calls.redemption("the first"):
            pass
        for _ in range(LOGIN_WITHIN_S - 1):
            clock.now += 1
            for number in range(int(MAX_REDEEMED_PER_S)):
                async with calls.redemption(f"{clock.now} {number}"):
                    pass
        with refusal("login_not_begun"):
            async with calls.redemption("the first"):
                pass

    assert LOGIN_WITHIN_S * MAX_REDEEMED_PER_S + REDEEMED_BURST <= MAX_REMEMBERED
    asyncio.run(story())


def test_only_so_many_codes_are_redeemed_at_once_and_wait() -> None:
    async def story() -> None:
        clock, gate = Clock(0), asyncio.Event()
        calls, running = calls_of(clock), 0

        async def redeem(state: str) -> None:
            nonlocal running
            async with calls.redemption(state):
                running += 1
                await gate.wait()

        held = [asyncio.create_task(redeem(str(number))) for number in range(REDEEMED_AT_ONCE + REDEMPTIONS_WAITING)]
        await _until(lambda: running == REDEEMED_AT_ONCE)
        with refusal("too_many_logins"):
            await redeem("one more")
        async with calls.renewal():
            pass
        assert running == REDEEMED_AT_ONCE
        gate.set()
        await asyncio.gather(*held)

    asyncio.run(story())


def test_callbacks_that_hang_at_the_provider_keep_nobody_from_renewing() -> None:
    """Whoever is at work renews while strangers' codes fill every turn that there is for them."""

    async def story() -> None:
        gate, hanging = asyncio.Event(), 0

        async def provider(request: httpx.Request) -> httpx.Response:
            nonlocal hanging
            if b"authorization_code" in request.content:
                hanging += 1
                await gate.wait()
                return _streamed(refused("invalid_grant"))
            return _streamed(tokens())

        party = relying_party(transport=httpx.MockTransport(provider))

        async def callback() -> None:
            begun = party.begin("corp", "/-/console/")
            await party.finish(party.pending(begun.state, begun.sealed), ANSWER, came_to="corp")

        flood = [asyncio.create_task(callback()) for _ in range(200)]
        await _until(lambda: hanging == REDEEMED_AT_ONCE)
        assert await party.renew(grant(), "the-refresh-token") == (principal(), "again")
        gate.set()
        done = await asyncio.gather(*flood, return_exceptions=True)
        assert {each.code for each in done if isinstance(each, LoginError)} == {"invalid_grant", "too_many_logins"}
        assert hanging == REDEEMED_AT_ONCE + REDEMPTIONS_WAITING

    # The two never wait for each other's connections either.
    assert REDEEMED_AT_ONCE + RENEWED_AT_ONCE <= MAX_CONNECTIONS
    asyncio.run(story())


def test_renewals_beyond_their_queue_find_the_provider_unavailable_and_end_no_session() -> None:
    async def story() -> None:
        gate, waiting = asyncio.Event(), 0

        async def provider(request: httpx.Request) -> httpx.Response:
            nonlocal waiting
            waiting += 1
            await gate.wait()
            return _streamed(tokens())

        party = relying_party(transport=httpx.MockTransport(provider))
        within = RENEWED_AT_ONCE + RENEWALS_WAITING
        held = [asyncio.create_task(party.renew(grant(), "the-refresh-token")) for _ in range(within)]
        await _until(lambda: waiting == RENEWED_AT_ONCE)
        with pytest.raises(ProviderUnavailableError, match="too many renewals"):
            await party.renew(grant(), "the-refresh-token")
        gate.set()
        assert {renewed for _, renewed in await asyncio.gather(*held)} == {"again"}

    asyncio.run(story())


async def _until(done: Callable[[], bool]) -> None:
    """Let the others run until something is so."""
    async with asyncio.timeout(20):
        while not done():
            await asyncio.to_thread(lambda: None)


def _streamed(answer: httpx.Response) -> httpx.Response:
    # As from a network: not read yet.
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
