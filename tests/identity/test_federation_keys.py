"""Keys over time: rotation, floods of unknown key ids, and providers that are away."""

import asyncio

import pytest

from identity.provider_keys import MAX_ABSENT_KEYS
from tests.identity.issuer import Issuer, World, code_of, in_world, jwk, private_key, until


def test_a_new_key_is_found_at_its_first_token_without_a_restart() -> None:
    """SECURITY-CASES 22: rotation works without a restart."""
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await code_of(world, old) is None
        corp.rotate("corp-2", "k2", keep_old=True)
        world.monotonic.now += 10
        assert await code_of(world, corp.token()) is None
        assert await code_of(world, old) is None
        assert corp.key_fetches == 2

    in_world(story, corp)


def test_a_token_of_a_removed_key_is_no_longer_good_though_it_was_cached() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await code_of(world, old) is None
        corp.rotate("corp-2", "k2")
        await world.federation.refresh("corp")
        assert await code_of(world, old) == "unknown_key"

    in_world(story, corp)


def test_a_key_replaced_under_the_same_id_ends_the_tokens_of_the_old_one() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await code_of(world, old) is None
        corp.rotate("corp-2", "k1")
        await world.federation.refresh("corp")
        assert await code_of(world, old) == "bad_signature"
        assert await code_of(world, corp.token()) is None

    in_world(story, corp)


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

    in_world(story, corp, partner)


def test_keys_are_refreshed_without_any_token() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        old = corp.token()
        assert await code_of(world, old) is None
        corp.rotate("corp-2", "k2")
        async with asyncio.timeout(10):
            while await code_of(world, old) is None:
                await asyncio.sleep(0.005)
        assert await code_of(world, corp.token()) is None

    in_world(story, corp, settings=[corp.settings(jwks_refresh_s=1)])


def test_a_flood_of_unknown_key_ids_causes_one_fetch_an_interval() -> None:
    """SECURITY-CASES 22: bounded key fetches, one after the other and all at once."""
    corp = Issuer()

    async def story(world: World) -> None:
        for second in range(100):
            world.monotonic.now = 1000.0 + second
            assert await code_of(world, corp.token({"kid": f"unknown-{second}"})) == "unknown_key"
        assert corp.key_fetches <= 1 + 10

        before = corp.key_fetches
        world.monotonic.now += 100
        corp.gate = asyncio.Event()
        flood = [asyncio.create_task(code_of(world, corp.token({"kid": f"flood-{n}"}))) for n in range(50)]
        await until(lambda: corp.key_fetches > before)
        assert await code_of(world, corp.token()) is None
        corp.gate.set()
        assert set(await asyncio.gather(*flood)) == {"unknown_key"}
        assert corp.key_fetches == before + 1

    in_world(story, corp)


def test_one_bad_token_sent_again_and_again_is_remembered_as_unknown() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        token = corp.token({"kid": "unknown"})
        for second in range(10, 40, 10):
            world.monotonic.now = 1000.0 + second
            assert await code_of(world, token) == "unknown_key"
        assert corp.key_fetches == 2
        world.monotonic.now += 30
        assert await code_of(world, token) == "unknown_key"
        assert corp.key_fetches == 3

    in_world(story, corp)


def test_a_key_id_seen_before_its_key_was_looked_for_is_not_held_against_it() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        corp.rotate("corp-2", "k2", keep_old=True)
        world.monotonic.now += 9
        assert await code_of(world, corp.token()) == "unknown_key"
        world.monotonic.now += 1
        assert await code_of(world, corp.token()) is None

    in_world(story, corp)


def test_an_unreachable_provider_does_not_stop_tokens_whose_keys_are_known() -> None:
    """SECURITY-CASES 22: stale while in error, for a bounded time, and never for unknown keys."""
    corp = Issuer()

    async def story(world: World) -> None:
        assert await code_of(world, corp.token(jti="1")) is None
        corp.reachable = False
        world.monotonic.now += 3600
        await world.federation.refresh("corp")
        cached = corp.token(jti="2")
        assert await code_of(world, cached) is None
        assert await code_of(world, corp.token({"kid": "k2"})) == "unavailable"
        (status,) = world.federation.status()
        assert status.ready
        assert "last known keys" in status.detail

        world.monotonic.now += 86_400
        await world.federation.refresh("corp")
        assert await code_of(world, cached) == "unavailable"
        assert not world.federation.status()[0].ready

        corp.reachable = True
        await world.federation.refresh("corp")
        assert await code_of(world, cached) is None
        assert world.federation.status()[0].detail == "ok"

    in_world(story, corp)


def test_one_provider_that_is_down_at_the_start_does_not_stop_the_others_and_is_tried_again() -> None:
    corp, partner = Issuer("corp"), Issuer("partner", reachable=False)

    async def story(world: World) -> None:
        assert await code_of(world, corp.token()) is None
        assert await code_of(world, partner.token()) == "unavailable"
        first, second = world.federation.status()
        assert (first.name, first.ready, first.keys) == ("corp", True, 1)
        assert (second.name, second.ready, second.keys) == ("partner", False, 0)
        assert "partner.example.com" in second.detail
        partner.reachable = True
        await until(lambda: world.federation.status()[1].ready)
        assert await code_of(world, partner.token()) is None

    in_world(story, corp, partner)


def test_before_the_first_answer_a_token_is_neither_good_nor_bad() -> None:
    corp = Issuer()
    world = World(corp)
    assert asyncio.run(code_of(world, corp.token())) == "unavailable"


def test_a_provider_without_usable_keys_is_not_ready_and_says_why() -> None:
    corp = Issuer(published=[jwk(private_key("RS256"), use="enc")])

    async def story(world: World) -> None:
        (status,) = world.federation.status()
        assert not status.ready
        assert "no usable signing key" in status.detail
        assert "`use`" in status.detail
        assert await code_of(world, corp.token()) == "unknown_key"

    in_world(story, corp)


def test_what_is_remembered_about_unknown_keys_is_bounded() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        for number in range(2 * MAX_ABSENT_KEYS):
            world.monotonic.now += 10
            assert await code_of(world, corp.token({"kid": f"unknown-{number}"})) == "unknown_key"
        assert await code_of(world, corp.token()) is None
        with pytest.raises(KeyError):
            await world.federation.refresh("nobody")

    in_world(story, corp)
