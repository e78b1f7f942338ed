"""Bounds on calls: so many at once, so many waiting, so many a second, and a memory that does not grow."""

import asyncio

import pytest

from identity.call_limits import CallBudget, CallQueue, RecentKeys, TooManyCallsError
from tests.identity.issuer import Clock


def test_so_many_run_so_many_wait_and_the_rest_is_refused_at_once() -> None:
    async def story() -> None:
        queue, gate = CallQueue(at_once=2, waiting=1), asyncio.Event()
        running: list[int] = []

        async def call(number: int) -> int:
            async with queue.turn():
                running.append(number)
                await gate.wait()
                return number

        calls = [asyncio.create_task(call(number)) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert running == [0, 1]
        with pytest.raises(TooManyCallsError):
            await call(3)
        calls[2].cancel()
        await asyncio.gather(calls[2], return_exceptions=True)
        late = asyncio.create_task(call(4))
        gate.set()
        assert list(await asyncio.gather(calls[0], calls[1], late)) == [0, 1, 4], "who gave up has left its place"

    asyncio.run(story())


def test_a_budget_is_used_up_fills_again_and_never_overflows() -> None:
    monotonic = Clock(0)
    budget = CallBudget(per_second=2, burst=4, monotonic=monotonic)

    def spent() -> int:
        for number in range(100):
            try:
                budget.spend()
            except TooManyCallsError:
                return number
        return 100

    assert spent() == 4
    monotonic.now += 1
    assert spent() == 2
    monotonic.now += 3600
    assert spent() == 4
    budget.give_back()
    assert spent() == 1
    for _ in range(10):
        budget.give_back()
    assert spent() == 4


def test_keys_are_remembered_for_a_while_and_never_too_many() -> None:
    monotonic = Clock(0)
    keys = RecentKeys(100, monotonic=monotonic)
    keys.remember(b"first", 10)
    assert b"first" in keys
    monotonic.now += 10
    assert b"first" not in keys
    for number in range(1000):
        keys.remember(b"%d" % number, 10)
    assert len(keys) <= 200
    assert b"999" in keys
    assert b"0" not in keys
    keys.forget(b"999")
    assert b"999" not in keys
