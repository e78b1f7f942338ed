"""Tells a story to an audit log over a store that can be told to fail."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from audit.log import AuditLog
from audit.record import Record
from audit.store import AuditUnavailableError
from audit.verify import verify_store
from tests.audit.memory_store import MemoryLog, MemoryReader, MemoryStore
from tests.audit.samples import NOW_US, SIGNER

DEADLINE_S = 20.0

Story = Callable[[AuditLog, MemoryStore], Awaitable[None]]


def new_log(store: MemoryStore, **options: Any) -> AuditLog:
    reader = MemoryReader(store.log)
    return AuditLog(store, reader, signer=SIGNER, instance="gw-1", version="0.1.0", clock_us=lambda: NOW_US, **options)


def run(story: Story, store: MemoryStore | None = None, **options: Any) -> MemoryLog:
    """Start a log over `store`, tell the story, close the log, and return what is durable."""
    store = store or MemoryStore(MemoryLog())

    async def main() -> None:
        log = new_log(store, **options)
        await log.start()
        async with asyncio.timeout(DEADLINE_S):
            await story(log, store)
        store.go_on.set()
        store.sign_on.set()
        await log.close()

    asyncio.run(main())
    return store.log


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def kinds(durable: MemoryLog) -> list[str]:
    return [row.kind for row in durable.rows]


def documents(durable: MemoryLog, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in durable.rows if row.kind == kind]


def assert_sound(durable: MemoryLog) -> None:
    report = verify_store(MemoryReader(durable), verifier=SIGNER.verifier)
    assert report.ok, report.findings


async def refused(log: AuditLog, entry: Record) -> AuditUnavailableError:
    with pytest.raises(AuditUnavailableError) as caught:
        await log.append(entry)
    return caught.value
