"""Keys over time: rotation, floods of unknown key ids, and providers that are away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.federation import Federation
from tests.identity.issuer import Issuer, World, json_response, jwk, private_key, until


def _in_world(story: Callable[[World], Awaitable[None]], *issuers: Issuer, **options: Any) -> None:
    async def run() -> None:
        async with World(*issuers, **options) as world:
            await story(world)

    asyncio.run(run())


async def _code(world: World, token: bytes) -> str | None:
    try:
        await world.federation.authenticate(token)
    except InvalidCredentialError as error:
        return error.code
    except ProviderUnavailableError:
        return "unavailable"
    return None


def test_a_new_key_is_found_at_its_first_token_without_a_restart() -> None:
    """SECURITY-CASES 22: rotation works without a restart."""
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await _code(world, old) is None
        corp.rotate("corp-2", "k2", keep_old=True)
        world.monotonic.now += 10
        assert await _code(world, corp.token()) is None
        assert await _code(world, old) is None
        assert corp.key_fetches == 2

    _in_world(story, corp)


def test_a_token_of_a_removed_key_is_no_longer_good_though_it_was_cached() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await _code(world, old) is None
        corp.rotate("corp-2", "k2")
        await world.federation.refresh("corp")
        assert await _code(world, old) == "unknown_key"

    _in_world(story, corp)


def test_a_key_replaced_under_the_same_id_ends_the_tokens_of_the_old_one() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await _code(world, old) is None
        corp.rotate("corp-2", "k1")
        await world.federation.refresh("corp")
        assert await _code(world, old) == "bad_signature"
        assert await _code(world, corp.token()) is None

    _in_world(story, corp)


def test_a_refresh_that_changes_nothing_keeps_what_is_cached_and_others_caches_stay() -> None:
    corp, partner = Issuer("corp"), Issuer("partner")

    async def story(world: World) -> None:
        ours, theirs = corp.token(), partner.token()
        first, second = [await world.federation.authenticate(token) for token in (ours, theirs)]
        await world.federation.refresh("corp")
        assert await world.federation.authenticate(ours) is first
        corp.rotate("corp-2", "k2")
        await world.federation.refresh("corp")
        assert await world.federation.authenticate(theirs) is second

    _in_world(story, corp, partner)


def test_keys_are_refreshed_without_any_token() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await _code(world, old) is None
        corp.rotate("corp-2", "k2")
        async with asyncio.timeout(10):
            while await _code(world, old) is None:
                await asyncio.sleep(0.005)
        assert await _code(world, corp.token()) is None

    _in_world(story, corp, settings=[corp.settings(jwks_refresh_s=1)])


def test_a_flood_of_unknown_key_ids_causes_one_fetch_an_interval() -> None:
    """SECURITY-CASES 22: bounded key fetches, one after the other and all at once."""
    corp = Issuer()

    async def story(world: World) -> None:
        for second in range(100):
            world.monotonic.now = 1000.0 + second
            assert await _code(world, corp.token({"kid": f"unknown-{second}"})) == "unknown_key"
        assert corp.key_fetches <= 1 + 10

        before = corp.key_fetches
        world.monotonic.now += 100
        corp.gate = asyncio.Event()
        flood = [asyncio.create_task(_code(world, corp.token({"kid": f"flood-{n}"}))) for n in range(50)]
        await until(lambda: corp.key_fetches > before)
        assert await _code(world, corp.token()) is None
        corp.gate.set()
        assert set(await asyncio.gather(*flood)) == {"unknown_key"}
        assert corp.key_fetches == before + 1

    _in_world(story, corp)


def test_one_bad_token_sent_again_and_again_is_remembered_as_unknown() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        token = corp.token({"kid": "unknown"})
        for second in range(10, 40, 10):
            world.monotonic.now = 1000.0 + second
            assert await _code(world, token) == "unknown_key"
        assert corp.key_fetches == 2
        world.monotonic.now += 30
        assert await _code(world, token) == "unknown_key"
        assert corp.key_fetches == 3

    _in_world(story, corp)


def test_a_key_id_seen_before_its_key_was_looked_for_is_not_held_against_it() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        corp.rotate("corp-2", "k2", keep_old=True)
        world.monotonic.now += 9
        assert await _code(world, corp.token()) == "unknown_key"
        world.monotonic.now += 1
        assert await _code(world, corp.token()) is None

    _in_world(story, corp)


def test_an_unreachable_provider_does_not_stop_tokens_whose_keys_are_known() -> None:
    """SECURITY-CASES 22: stale while in error, for a bounded time, and never for unknown keys."""
    corp = Issuer()

    async def story(world: World) -> None:
        assert await _code(world, corp.token(jti="1")) is None
        corp.reachable = False
        world.monotonic.now += 3600
        await world.federation.refresh("corp")
        cached = corp.token(jti="2")
        assert await _code(world, cached) is None
        assert await _code(world, corp.token({"kid": "k2"})) == "unavailable"
        (status,) = world.federation.status()
        assert status.ready
        assert "last known keys" in status.detail

        world.monotonic.now += 86_400
        await world.federation.refresh("corp")
        assert await _code(world, cached) == "unavailable"
        assert not world.federation.status()[0].ready

        corp.reachable = True
        await world.federation.refresh("corp")
        assert await _code(world, cached) is None
        assert world.federation.status()[0].detail == "ok"

    _in_world(story, corp)


def test_one_provider_that_is_down_at_the_start_does_not_stop_the_others_and_is_tried_again() -> None:
    corp, partner = Issuer("corp"), Issuer("partner", reachable=False)

    async def story(world: World) -> None:
        assert await _code(world, corp.token()) is None
        assert await _code(world, partner.token()) == "unavailable"
        first, second = world.federation.status()
        assert (first.name, first.ready, first.keys) == ("corp", True, 1)
        assert (second.name, second.ready, second.keys) == ("partner", False, 0)
        assert "partner.example.com" in second.detail
        partner.reachable = True
        await until(lambda: world.federation.status()[1].ready)
        assert await _code(world, partner.token()) is None

    _in_world(story, corp, partner)


def test_before_the_first_answer_a_token_is_neither_good_nor_bad() -> None:
    corp = Issuer()
    world = World(corp)
    assert asyncio.run(_code(world, corp.token())) == "unavailable"


def test_a_provider_without_usable_keys_is_not_ready_and_says_why() -> None:
    corp = Issuer(published=[jwk(private_key("RS256"), use="enc")])

    async def story(world: World) -> None:
        (status,) = world.federation.status()
        assert not status.ready
        assert "no usable signing key" in status.detail
        assert "`use`" in status.detail
        assert await _code(world, corp.token()) == "unknown_key"

    _in_world(story, corp)


BAD_METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example.com"}, "its issuer is not https://corp.example.com"),
    "a longer issuer": ({"issuer": "https://corp.example.com/"}, "its issuer is not https://corp.example.com"),
    "no issuer": ({"issuer": None}, "its issuer is not https://corp.example.com"),
    "no keys": ({"jwks_uri": None}, "it has no jwks_uri"),
    "keys over plain http": ({"jwks_uri": "http://corp.example.com/jwks"}, "jwks_uri must be https"),
    "keys on this machine": ({"jwks_uri": "http://127.0.0.1/jwks"}, "jwks_uri must be https, as the issuer is"),
    "keys that are no URL": ({"jwks_uri": ["https://corp.example.com/jwks"]}, "jwks_uri is not a text"),
    "a login over plain http": (
        {"authorization_endpoint": "http://corp.example.com/auth"},
        "authorization_endpoint must be https",
    ),
}


@pytest.mark.parametrize("case", BAD_METADATA)
def test_a_discovery_document_that_can_not_be_believed_is_not_used(case: str) -> None:
    changes, reason = BAD_METADATA[case]
    corp = Issuer()
    corp.metadata |= changes

    async def story(world: World) -> None:
        assert await _code(world, corp.token()) == "unavailable"
        assert corp.key_fetches == 0
        (status,) = world.federation.status()
        assert not status.ready
        assert reason in status.detail

    _in_world(story, corp)


def _bad_answers() -> dict[str, Callable[[], httpx.Response]]:
    return {
        "too large": lambda: json_response({"keys": [], "padding": "x" * 300_000}),
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

    _in_world(story, corp, settings=[corp.settings(fetch_timeout_s=0.05)])


def test_keys_that_are_gone_from_their_old_place_are_looked_for_through_discovery_at_once() -> None:
    corp = Issuer()
    moved = False

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if moved and request.url.path == "/jwks" else await corp.answer(request)

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


def test_keys_that_moved_are_found_through_discovery() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        corp.metadata |= {
            "jwks_uri": "https://corp.example.com/new-keys",
            "token_endpoint": "https://corp.example.com/t",
        }
        assert world.federation.metadata("corp") is not None
        world.monotonic.now += 3600
        await world.federation.refresh("corp")
        metadata = world.federation.metadata("corp")
        assert metadata is not None
        assert metadata.jwks_uri == "https://corp.example.com/new-keys"
        assert metadata.token_endpoint == "https://corp.example.com/t"

    _in_world(story, corp)
