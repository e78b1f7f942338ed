"""Keys are replaced in time, known before they sign, and known for as long as anything they signed is good."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from identity.compact_jws import parse_compact_jws
from identity.issuer.signing_keys import (
    LATE_S,
    LEEWAY_S,
    LONGEST_TOKEN_S,
    PUBLISHED_AHEAD_S,
    NoSigningKeyError,
    SigningKeys,
)
from identity.sealing import Sealer
from identity.state import SealedKey, SigningKeyStore, StateUnavailableError
from tests.identity.issuer import NOW, Clock
from tests.parts.issuing import PUBLIC_URL, SIGNING_KEY_S


@dataclass
class Store:
    """A `SigningKeyStore` in memory, which several replicas may share."""

    rows: list[SealedKey] = field(default_factory=list)
    away: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def signing_keys(self, now: int) -> Sequence[SealedKey]:
        if self.away:
            raise StateUnavailableError("the database is away")
        return [row for row in self.rows if row.published_until > now]

    def add_signing_key(self, key: SealedKey, *, newest_before: int) -> bool:
        if self.away:
            raise StateUnavailableError("the database is away")
        with self.lock:
            if any(row.signs_from >= newest_before for row in self.rows):
                return False
            self.rows.append(key)
        return True


def keys_of(
    store: SigningKeyStore, clock: Clock, *, secret: bytes = bytes(32), signing_key_s: int = SIGNING_KEY_S
) -> SigningKeys:
    return SigningKeys(store, Sealer(secret), issuer=PUBLIC_URL, signing_key_s=signing_key_s, clock=clock)


def token_by(keys: SigningKeys, clock: Clock, life_s: int = 600) -> str:
    return keys.sign({"iss": PUBLIC_URL, "exp": int(clock.now) + life_s})


def key_id_of(token: str) -> str:
    key_id = parse_compact_jws(token.encode()).key_id
    assert key_id is not None
    return key_id


def is_verified_by(keys: SigningKeys, token: str) -> bool:
    jws = parse_compact_jws(token.encode())
    key = keys.find(jws.key_id)
    return key is not None and key.verify(jws.signing_input, jws.signature)


def published(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


def test_the_first_key_signs_at_once_what_others_can_verify() -> None:
    async def story() -> None:
        clock = Clock()
        keys = keys_of(Store(), clock)
        await keys.load()
        token = token_by(keys, clock)
        published_keys: Any = keys.jwks()
        header = jwt.decode(token, KeySet.import_key_set(published_keys), algorithms=["ES256"]).header
        assert header == {"alg": "ES256", "typ": "at+jwt", "kid": published(keys)[0]}
        assert is_verified_by(keys, token)

    asyncio.run(story())


def test_only_public_members_are_published() -> None:
    async def story() -> None:
        keys = keys_of(Store(), Clock())
        await keys.load()
        (key,) = keys.jwks()["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}

    asyncio.run(story())


def test_a_key_is_published_before_it_signs_and_until_its_last_token_is_over() -> None:
    async def story() -> None:
        clock = Clock()
        keys = keys_of(Store(), clock)
        await keys.load()
        (old,) = published(keys)
        clock.now = NOW + SIGNING_KEY_S - PUBLISHED_AHEAD_S
        await keys.rotate()
        _, new = published(keys)
        last = token_by(keys, clock, LONGEST_TOKEN_S)
        assert key_id_of(last) == old
        clock.now += PUBLISHED_AHEAD_S - 1
        last = token_by(keys, clock, LONGEST_TOKEN_S)
        assert key_id_of(last) == old
        clock.now += 1
        assert key_id_of(token_by(keys, clock)) == new
        clock.now += LONGEST_TOKEN_S + LEEWAY_S
        assert is_verified_by(keys, last)
        assert published(keys) == [old, new]
        clock.now += LATE_S
        assert published(keys) == [new]
        assert not is_verified_by(keys, last)

    asyncio.run(story())


def test_nothing_is_rotated_before_its_time() -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        keys = keys_of(store, clock)
        await keys.load()
        clock.now = NOW + SIGNING_KEY_S - PUBLISHED_AHEAD_S - 1
        await keys.rotate()
        assert len(store.rows) == 1

    asyncio.run(story())


def test_replicas_that_start_and_rotate_together_have_one_key_each_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'identity.db'}"
    create_state(url)
    # Replicas share a database; one of SQLite's belongs to one process, whose threads stand for them here.
    database = StateDatabase(url)

    async def story() -> None:
        clock = Clock()
        replicas = [keys_of(SqlState(database), clock) for _ in range(3)]
        await asyncio.gather(*(keys.load() for keys in replicas))
        assert len({tuple(published(keys)) for keys in replicas}) == 1
        clock.now = NOW + SIGNING_KEY_S - PUBLISHED_AHEAD_S
        await asyncio.gather(*(keys.rotate() for keys in replicas))
        for keys in replicas:
            await keys.follow([])
        assert {len(published(keys)) for keys in replicas} == {2}
        assert len({tuple(published(keys)) for keys in replicas}) == 1
        clock.now += PUBLISHED_AHEAD_S
        token = token_by(replicas[0], clock)
        assert all(is_verified_by(keys, token) for keys in replicas)

    asyncio.run(story())
    database.close()


def test_a_key_of_another_replica_is_known_once_the_change_feed_has_told() -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        one, other = keys_of(store, clock), keys_of(store, clock)
        await one.load()
        token = token_by(one, clock)
        assert not is_verified_by(other, token)
        await other.follow(published(one))
        assert is_verified_by(other, token)

    asyncio.run(story())


def test_a_gateway_that_was_off_for_long_signs_again_at_once() -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        await keys_of(store, clock).load()
        clock.now = NOW + 10 * SIGNING_KEY_S
        keys = keys_of(store, clock)
        await keys.load()
        assert is_verified_by(keys, token_by(keys, clock))
        assert len(published(keys)) == 1

    asyncio.run(story())


def test_a_rotation_that_is_late_but_not_too_late_is_announced_all_the_same() -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        keys = keys_of(store, clock)
        await keys.load()
        clock.now = NOW + SIGNING_KEY_S + LATE_S - PUBLISHED_AHEAD_S
        await keys.rotate()
        assert key_id_of(token_by(keys, clock, LONGEST_TOKEN_S)) == store.rows[0].key_id
        assert store.rows[1].signs_from == clock.now + PUBLISHED_AHEAD_S

    asyncio.run(story())


def test_no_key_signs_a_token_that_would_outlive_its_publication() -> None:
    async def story() -> None:
        clock = Clock()
        keys = keys_of(Store(), clock)
        await keys.load()
        clock.now = NOW + SIGNING_KEY_S + LATE_S + 1
        token_by(keys, clock, LONGEST_TOKEN_S - 1)
        with pytest.raises(NoSigningKeyError):
            token_by(keys, clock, LONGEST_TOKEN_S)

    asyncio.run(story())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, LATE_S - PUBLISHED_AHEAD_S), max_size=60), st.sampled_from([3600, 7200, 86_400]))
def test_a_gateway_that_looks_in_time_can_always_sign_and_every_token_stays_good(
    steps: list[int], signing_key_s: int
) -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        one, other = (keys_of(store, clock, signing_key_s=signing_key_s) for _ in range(2))
        await one.load()
        await other.load()
        tokens: list[tuple[float, str]] = []
        for step in steps:
            clock.now += step
            await one.rotate()
            token = token_by(one, clock, LONGEST_TOKEN_S)
            # The other replica has not heard of what was added just now, and need not have.
            assert is_verified_by(other, token)
            await other.follow([])
            tokens = [(end, each) for end, each in tokens if end + LEEWAY_S > clock.now]
            tokens.append((clock.now + LONGEST_TOKEN_S, token))
            assert all(is_verified_by(other, each) for _, each in tokens)

    asyncio.run(story())


def test_keys_of_another_secret_are_told_of_and_a_new_one_is_made(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        store, clock = Store(), Clock()
        await keys_of(store, clock).load()
        clock.now += 60
        keys = keys_of(store, clock, secret=b"\x01" * 32)
        with caplog.at_level(logging.ERROR):
            await keys.load()
        assert is_verified_by(keys, token_by(keys, clock))
        assert published(keys) == [store.rows[1].key_id]

    asyncio.run(story())
    assert [record.message for record in caplog.records if "secret_file" in record.message]


def test_without_a_key_nothing_is_signed_and_nothing_is_found() -> None:
    async def story() -> None:
        store, clock = Store(away=True), Clock()
        keys = keys_of(store, clock)
        with pytest.raises(StateUnavailableError):
            await keys.load()
        with pytest.raises(NoSigningKeyError):
            token_by(keys, clock)
        assert (keys.find("any"), keys.find(None), keys.jwks()) == (None, None, {"keys": []})
        store.away = False
        await keys.load()
        assert is_verified_by(keys, token_by(keys, clock))

    asyncio.run(story())


def test_what_is_stored_is_sealed_and_no_key_can_be_read_from_it() -> None:
    async def story() -> None:
        store = Store()
        await keys_of(store, Clock()).load()
        sealed = store.rows[0].sealed
        assert sealed[:1] == b"\x01"
        assert b"\x02\x01" not in sealed[:3]
        assert len(Sealer(bytes(32)).open("signing_key", sealed)) == len(sealed) - 29

    asyncio.run(story())


def test_keys_are_replaced_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity.issuer.signing_keys.CHECK_EVERY_S", 0.0)

    async def story() -> None:
        store, clock = Store(), Clock()
        keys = keys_of(store, clock)
        await keys.load()
        keys.start()
        store.away = True
        clock.now = NOW + SIGNING_KEY_S
        await asyncio.sleep(0)
        store.away = False
        async with asyncio.timeout(10):
            while len(published(keys)) < 2:
                await asyncio.sleep(0.005)
        await keys.close()
        await keys.close()

    asyncio.run(story())
