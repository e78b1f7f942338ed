"""A deadline passes when it was last told to, not when its timer happened to be set."""

import asyncio

from adapters.deadline import Deadline
from tests.parts.event_loops import LoopFactory, on_both_loops, run

# uvloop's clock has milliseconds.
GRAIN_S = 0.002


@on_both_loops
def test_a_later_deadline_is_not_passed_by_the_timer_of_the_earlier(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        passed = asyncio.Event()
        deadline = Deadline(loop, passed.set)
        deadline.set(0.02)
        start = loop.time()
        deadline.set(0.08)
        await passed.wait()
        assert loop.time() - start >= 0.08 - GRAIN_S

    run(main(), loop_factory)


@on_both_loops
def test_an_earlier_deadline_passes_early(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        passed = asyncio.Event()
        deadline = Deadline(asyncio.get_running_loop(), passed.set)
        deadline.set(60)
        deadline.set(0.01)
        await passed.wait()
        deadline.stop()

    run(main(), loop_factory)


@on_both_loops
def test_a_deadline_passes_once_and_can_be_set_again(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        passed: asyncio.Queue[None] = asyncio.Queue()
        deadline = Deadline(asyncio.get_running_loop(), lambda: passed.put_nowait(None))
        for _ in range(2):
            deadline.set(0.01)
            await passed.get()
            await asyncio.sleep(0.02)
            assert passed.empty()

    run(main(), loop_factory)


@on_both_loops
def test_a_cleared_or_stopped_deadline_does_not_pass(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        passed = asyncio.Event()
        cleared = Deadline(asyncio.get_running_loop(), passed.set)
        cleared.set(0.01)
        cleared.clear()
        stopped = Deadline(asyncio.get_running_loop(), passed.set)
        stopped.set(0.01)
        stopped.stop()
        stopped.set(0.01)
        await asyncio.sleep(0.03)
        assert not passed.is_set()

    run(main(), loop_factory)
