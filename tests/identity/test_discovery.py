"""What a provider publishes: documents that can't be believed, answers that are none, and keys that move."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from identity.federation import Federation
from tests.identity.issuer import Issuer, World, code_of, in_world, json_response, until

BAD_METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example.com"}, "its issuer is not https://corp.example.com"),
    "a longer issuer": ({"issuer": "https://corp.example.com/"}, "its issuer is not https://corp.example.com"),
    "no issuer": ({"issuer": None}, "its issuer is not https://corp.example.com"),
    "no keys": ({"jwks_uri": None}, "it has no jwks_uri"),
    "keys over plain http": ({"jwks_uri": "http://corp.example.com/jwks"}, "jwks_uri must be https"),
    "keys on this machine": ({"jwks_uri": "http://127.0.0.1/jwks"}, "jwks_uri must be https, as the issuer is"),
    "keys that are no URL": ({"jwks_uri": ["https://corp.example.com/jwks"]}, "its jwks_uri is not a text"),
}


@pytest.mark.parametrize("case", BAD_METADATA)
def test_a_discovery_document_that_can_not_be_believed_is_not_used(case: str) -> None:
    changes, reason = BAD_METADATA[case]
    corp = Issuer()
    corp.metadata |= changes

    async def story(world: World) -> None:
        assert await code_of(world, corp.token()) == "unavailable"
        assert corp.key_fetches == 0
        (status,) = world.federation.status()
        assert not status.ready
        assert reason in status.detail

    in_world(story, corp)


def _bad_answers() -> dict[str, Callable[[], httpx.Response]]:
    return {
        "too large": lambda: json_response({"keys": [], "padding": "x" * 300_000}),
        "not a key set": lambda: json_response({"keys": {}}),
        "not JSON": lambda: httpx.Response(200, stream=httpx.ByteStream(b"<html>")),
        "nested": lambda: httpx.Response(200, stream=httpx.ByteStream(b'{"keys":' + b"[" * 50_000)),
        "a repeated key": lambda: httpx.Response(200, stream=httpx.ByteStream(b'{"keys":[],"keys":[]}')),
        "a redirect": lambda: httpx.Response(302, headers={"location": "https://evil.example.com/jwks"}),
        "an error": lambda: httpx.Response(500, stream=httpx.ByteStream(b'{"keys":[]}')),
        "compressed": lambda: httpx.Response(
            200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b")
        ),
    }


@pytest.mark.parametrize("case", _bad_answers())
def test_a_key_document_that_is_not_one_leaves_the_last_keys_in_force(case: str) -> None:
    """SECURITY-CASES 23: large and deeply nested documents are refused cheaply."""
    corp = Issuer()
    answers: list[httpx.Response] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jwks" and answers:
            return answers.pop()
        return await corp.answer(request)

    async def story() -> None:
        world = World(corp)
        federation = Federation(
            [corp.settings()], clock=world.clock, monotonic=world.monotonic, transport=httpx.MockTransport(answer)
        )
        await federation.start()
        await federation.first_attempts()
        answers.append(_bad_answers()[case]())
        await federation.refresh("corp")
        assert not answers
        (status,) = federation.status()
        assert status.ready
        assert "last known keys" in status.detail
        await federation.authenticate(corp.token())
        await federation.close()

    asyncio.run(story())


def test_a_provider_that_never_answers_is_given_up_on() -> None:
    corp = Issuer(gate=asyncio.Event())

    async def story(world: World) -> None:
        (status,) = world.federation.status()
        assert not status.ready
        assert "no answer within" in status.detail

    in_world(story, corp, settings=[corp.settings(fetch_timeout_s=0.05)])


def test_keys_that_are_gone_from_their_old_place_are_looked_for_through_discovery_at_once() -> None:
    corp = Issuer()
    moved = False

    async def answer(request: httpx.Request) -> httpx.Response:
        if moved and request.url.path == "/jwks":
            return httpx.Response(404, stream=httpx.ByteStream(b""))
        return await corp.answer(request)

    async def story() -> None:
        nonlocal moved
        federation = Federation([corp.settings()], transport=httpx.MockTransport(answer))
        await federation.start()
        await federation.first_attempts()
        moved = True
        corp.metadata["jwks_uri"] = "https://corp.example.com/new-keys"
        await federation.refresh("corp")
        assert "answered 404" in federation.status()[0].detail
        await federation.refresh("corp")
        assert federation.status()[0].detail == "ok"
        await federation.close()

    asyncio.run(story())


@pytest.mark.parametrize("discovery_works", [True, False])
def test_discovery_is_repeated_and_its_failure_leaves_the_keys_where_they_were(discovery_works: bool) -> None:
    corp = Issuer()
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return await corp.answer(request)

    async def story() -> None:
        world = World(corp)
        federation = Federation(
            [corp.settings()], clock=world.clock, monotonic=world.monotonic, transport=httpx.MockTransport(answer)
        )
        await federation.start()
        await federation.first_attempts()
        corp.metadata |= {"jwks_uri": "https://corp.example.com/new-keys"}
        if not discovery_works:
            corp.metadata["issuer"] = "https://evil.example.com"
        world.monotonic.now += 3600
        await federation.refresh("corp")
        assert asked[-1] == ("/new-keys" if discovery_works else "/jwks")
        await federation.authenticate(corp.token())
        await federation.close()

    asyncio.run(story())


def test_a_fault_that_nobody_foresaw_is_a_problem_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    corp = Issuer()
    faults = [RuntimeError("a fault")]

    async def answer(request: httpx.Request) -> httpx.Response:
        if faults:
            raise faults.pop()
        return await corp.answer(request)

    async def story() -> None:
        federation = Federation([corp.settings()], transport=httpx.MockTransport(answer))
        await federation.start()
        await federation.start()
        await federation.first_attempts()
        assert "RuntimeError" in federation.status()[0].detail
        await until(lambda: federation.status()[0].ready)
        await federation.close()

    asyncio.run(story())
    assert "a fault" in caplog.text
