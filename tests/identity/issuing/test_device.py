"""The device flow: a person's word for a code, polled for within bounds (RFC 8628)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from identity.issuer.authorization import LoginWish
from identity.issuer.clients import COMMAND_LINE
from identity.issuer.device import (
    ALPHABET,
    BEGUN_BY_ONE,
    INTERVAL_S,
    LIFE_S,
    WRONG_ENTRIES,
    TooManyGuessesError,
    WaitingDevice,
)
from identity.issuer.oauth_error import OAuthError
from identity.principal import UNLIMITED, Limits
from identity.state import DeviceRequest, StateUnavailableError
from tests.identity.issuer import NOW
from tests.parts.issuing import PUBLIC_URL, Issuing, form

ALICE = "user:corp:alice"


def in_issuing(tmp_path: Path, story: Callable[[Issuing], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Issuing(tmp_path) as world:
            await story(world)

    asyncio.run(run())


async def begun(world: Issuing, source: str = "192.0.2.1", **parameters: str) -> tuple[str, str]:
    """Return a device code and its user code."""
    answer = await world.devices.begin(form(client_id="portcullis-cli", **parameters), COMMAND_LINE, source)
    return answer.device_code, answer.user_code


async def waiting(world: Issuing, user_code: str) -> WaitingDevice:
    device = await world.devices.lookup(user_code, ALICE)
    assert device is not None
    return device


async def poll_error(world: Issuing, device_code: str) -> str:
    with pytest.raises(OAuthError) as raised:
        await world.devices.poll(device_code, COMMAND_LINE)
    return raised.value.error


def test_a_device_is_told_what_to_show_and_how_often_to_ask(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        answer = await world.devices.begin(form(), COMMAND_LINE, "192.0.2.1")
        document = answer.document()
        left, _, right = document["user_code"].partition("-")
        assert set(left + right) <= set(ALPHABET) and (len(left), len(right)) == (4, 4)
        assert document["verification_uri"] == f"{PUBLIC_URL}/-/device"
        assert document["verification_uri_complete"] == f"{PUBLIC_URL}/-/device?user_code={document['user_code']}"
        assert (document["expires_in"], document["interval"]) == (LIFE_S, INTERVAL_S)
        assert answer.device_code not in repr(answer) and answer.user_code not in repr(answer)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    "spelling", [str, str.lower, lambda code: code.replace("-", ""), lambda code: f" {code.replace('-', ' ')} "]
)
def test_a_code_is_read_however_a_person_types_it(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    async def story(world: Issuing) -> None:
        _, user_code = await begun(world, resource=f"{PUBLIC_URL}/aws-prod", acr_values="mfa", max_age="60")
        device = await world.devices.lookup(spelling(user_code), ALICE)
        assert device == WaitingDevice(
            user_code=user_code,
            client="portcullis-cli",
            source="192.0.2.1",
            limits=Limits(("aws-prod",)),
            wish=LoginWish(None, "mfa", 60),
            created_at=NOW,
            expires_at=NOW + LIFE_S,
        )

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("entered", ["", "BCDF-GHJ", "BCDF-GHJKL", "AEIO-UAEI", "\u0392CDF-GHJK", "\u017fBCDFGHJ", "%"])
def test_what_can_t_be_a_code_is_none(tmp_path: Path, entered: str) -> None:
    """SECURITY-CASES 21: look-alikes of other alphabets are not folded into ours."""

    async def story(world: Issuing) -> None:
        assert await world.devices.lookup(entered, ALICE) is None

    in_issuing(tmp_path, story)


def test_a_device_polls_until_the_person_has_said_yes_and_gets_its_session_once(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        assert await poll_error(world, device_code) == "authorization_pending"
        device = await waiting(world, user_code)
        grant = await world.begin(limits=device.limits)
        assert await world.devices.allow(device, grant)
        assert await world.devices.poll(device_code, COMMAND_LINE) == grant.id
        assert await poll_error(world, device_code) == "expired_token"
        answer = await world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
        assert (await world.federation.authenticate(answer.access_token.encode())).subject == ALICE

    in_issuing(tmp_path, story)


def test_a_device_that_asks_too_often_is_told_to_slow_down(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, _ = await begun(world)
        assert await poll_error(world, device_code) == "authorization_pending"
        world.clock.now += INTERVAL_S - 1
        assert await poll_error(world, device_code) == "slow_down"
        world.clock.now += INTERVAL_S
        assert await poll_error(world, device_code) == "slow_down"
        world.clock.now += 3 * INTERVAL_S
        assert await poll_error(world, device_code) == "authorization_pending"

    in_issuing(tmp_path, story)


def test_a_denied_device_is_told_so_and_can_t_be_allowed_any_more(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        device = await waiting(world, user_code)
        assert await world.devices.deny(device)
        assert not await world.devices.allow(device, await world.begin())
        assert await poll_error(world, device_code) == "access_denied"

    in_issuing(tmp_path, story)


def test_only_the_first_answer_to_a_device_counts(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        device = await waiting(world, user_code)
        grants = [await world.begin(), await world.begin()]
        taken = await asyncio.gather(*(world.devices.allow(device, grant) for grant in grants))
        assert sorted(taken) == [False, True]
        assert await world.devices.poll(device_code, COMMAND_LINE) == grants[taken.index(True)].id

    in_issuing(tmp_path, story)


def test_codes_end_after_ten_minutes(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        device = await waiting(world, user_code)
        world.clock.now += LIFE_S
        assert await world.devices.lookup(user_code, ALICE) is None
        assert not await world.devices.allow(device, await world.begin())
        assert await poll_error(world, device_code) == "expired_token"
        assert await poll_error(world, "never-was") == "expired_token"

    in_issuing(tmp_path, story)


def test_no_client_gets_anothers_session(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        assert await world.devices.allow(await waiting(world, user_code), await world.begin())
        with pytest.raises(OAuthError, match="invalid_grant"):
            await world.devices.poll(device_code, replace(COMMAND_LINE, id="other"))

    in_issuing(tmp_path, story)


def test_wrong_codes_stop_whoever_enters_them_and_nobody_else(tmp_path: Path) -> None:
    """RFC 8628, section 5.1"""

    async def story(world: Issuing) -> None:
        _, user_code = await begun(world)
        wrong = "ZZZZ-ZZZZ" if user_code != "ZZZZ-ZZZZ" else "XXXX-XXXX"
        for _ in range(WRONG_ENTRIES):
            assert await world.devices.lookup(wrong, "user:mallory") is None
        with pytest.raises(TooManyGuessesError):
            await world.devices.lookup(user_code, "user:mallory")
        await waiting(world, user_code)
        world.monotonic.now += LIFE_S
        assert await world.devices.lookup(user_code, "user:mallory") is not None

    in_issuing(tmp_path, story)


def test_guesses_that_are_made_at_once_are_counted_before_they_are_looked_up(tmp_path: Path) -> None:
    """RFC 8628, section 5.1"""

    async def story(world: Issuing) -> None:
        _, user_code = await begun(world)
        last = "Z" if not user_code.endswith("Z") else "X"
        guesses = [f"{user_code[:-3]}{first}{second}{last}" for first in ALPHABET for second in ALPHABET]
        look_up, looked_up = world.state.device_by_user_code, []

        def counted(user_code: str, now: int) -> DeviceRequest | None:
            looked_up.append(user_code)
            return look_up(user_code, now)

        world.state.device_by_user_code = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(
            *(world.devices.lookup(guess, "user:mallory") for guess in guesses), return_exceptions=True
        )
        assert [answer for answer in answers if answer is None] == [None] * WRONG_ENTRIES
        assert all(isinstance(answer, TooManyGuessesError) for answer in answers[WRONG_ENTRIES:])
        assert len(looked_up) == WRONG_ENTRIES

    in_issuing(tmp_path, story)


def test_right_codes_are_not_counted_and_neither_is_what_the_store_could_not_look_up(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, user_code = await begun(world)
        for _ in range(2 * WRONG_ENTRIES):
            await waiting(world, user_code)
        look_up = world.state.device_by_user_code

        def away(user_code: str, now: int) -> DeviceRequest | None:
            raise StateUnavailableError("the database is away")

        world.state.device_by_user_code = away  # type: ignore[method-assign]
        for _ in range(2 * WRONG_ENTRIES):
            with pytest.raises(StateUnavailableError):
                await waiting(world, user_code)
        world.state.device_by_user_code = look_up  # type: ignore[method-assign]
        await waiting(world, user_code)

    in_issuing(tmp_path, story)


def test_strangers_can_t_fill_the_store_with_devices(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        for _ in range(BEGUN_BY_ONE):
            await begun(world)
        with pytest.raises(OAuthError, match="temporarily_unavailable"):
            await begun(world)
        await begun(world, source="192.0.2.2")
        world.monotonic.now += LIFE_S
        await begun(world)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"scope": "openid"}, "invalid_scope"),
        ({"resource": "https://other.example.com/x"}, "invalid_target"),
        ({"max_age": "x"}, "invalid_request"),
    ],
)
def test_a_request_that_can_t_be_served_is_refused(tmp_path: Path, parameters: dict[str, Any], error: str) -> None:
    async def story(world: Issuing) -> None:
        with pytest.raises(OAuthError, match=error):
            await begun(world, **parameters)

    in_issuing(tmp_path, story)


def test_a_user_code_that_is_taken_is_not_given_twice(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        taken: list[str] = []
        add = world.state.add_device

        def taken_twice(request: DeviceRequest) -> bool:
            taken.append(request.user_code)
            return len(taken) > 2 and add(request)

        world.state.add_device = taken_twice  # type: ignore[method-assign]
        _, user_code = await begun(world)
        assert user_code.replace("-", "") == taken[2]
        world.state.add_device = lambda request: False  # type: ignore[method-assign]
        with pytest.raises(OAuthError, match="temporarily_unavailable"):
            await begun(world)

    in_issuing(tmp_path, story)


def test_no_device_code_can_be_read_from_the_store(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        device_code, user_code = await begun(world)
        assert (await waiting(world, user_code)).limits == UNLIMITED
        for path in tmp_path.iterdir():
            assert device_code.encode() not in path.read_bytes()

    in_issuing(tmp_path, story)
