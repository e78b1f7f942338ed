"""The metrics page and the counters that it reads."""

import asyncio
import threading
from collections.abc import ItemsView
from types import SimpleNamespace
from typing import Any, cast

import httpx
from fastapi import FastAPI

from gateway.api import metrics
from gateway.api.services import Services
from gateway.counters import Counters


class WatchedDict(dict[Any, int]):
    """Notes which threads iterate over it."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[int] = set()

    def items(self) -> ItemsView[Any, int]:  # type: ignore[override]
        self.readers.add(threading.get_ident())
        return super().items()


def page(counters: Counters) -> str:
    """The metrics page over `counters` and an audit log with three open decisions."""
    figures = SimpleNamespace(size=9, queued=0, batches=4, dropped=0, open_decisions=3)
    services = SimpleNamespace(
        counters=counters,
        audit=SimpleNamespace(counters=figures, problem=None),
        policy=SimpleNamespace(problem=None, engine=SimpleNamespace(revision=SimpleNamespace(commit="c", digest="d"))),
        federation=SimpleNamespace(status=lambda: []),
        instance="gw-1",
    )
    app = FastAPI()
    app.include_router(metrics.router(cast(Services, services)))

    async def fetch() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return (await client.get("/-/metrics")).text

    return asyncio.run(fetch())


def test_counters_are_read_on_the_event_loop_which_is_where_they_change() -> None:
    counters = Counters()
    counters.decisions, counters.responses = decisions, responses = WatchedDict(), WatchedDict()
    counters.decided("denied")
    assert 'portcullis_decisions_total{verdict="denied"} 1.0' in page(counters)
    assert decisions.readers == responses.readers == {threading.get_ident()}


def test_every_forwarded_request_is_counted_by_its_answer_or_as_unanswered() -> None:
    counters = Counters()
    for status in (200, 502, None, 200, None):
        counters.forwarded(status, 500_000)
    lines = page(counters).splitlines()
    assert 'portcullis_responses_total{status="200"} 2.0' in lines
    assert 'portcullis_responses_total{status="502"} 1.0' in lines
    assert "portcullis_forward_unanswered_total 2.0" in lines
    assert "portcullis_forward_duration_seconds_total 2.5" in lines


def test_open_decisions_are_a_metric() -> None:
    assert "portcullis_audit_open_decisions 3.0" in page(Counters()).splitlines()
