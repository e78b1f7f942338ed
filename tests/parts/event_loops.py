"""Run a test's coroutine on asyncio's own event loop and on uvloop, and see that it leaves nothing behind."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

on_both_loops = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run(main: Coroutine[Any, Any, None], loop_factory: LoopFactory = uvloop.new_event_loop) -> None:
    """Run `main`; fails where a task is left over, or an exception reached nobody."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(30):
            await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left over: {left}"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(watched())
    assert not complaints, f"the event loop complained: {complaints}"
