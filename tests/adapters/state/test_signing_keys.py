"""The gateway's signing keys: one replica of several rotates, and all of them learn of it."""

from dataclasses import replace

from adapters.state.state import SqlState
from identity.state import SealedKey
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW

KEY = SealedKey("key-1", b"sealed\0\xff", NOW, NOW + 5, NOW + 1000)


def test_a_key_comes_back_as_it_was_given_while_it_is_published(state: SqlState, replica: SqlState) -> None:
    assert state.add_signing_key(KEY, newest_before=NOW)
    assert replica.signing_keys(NOW) == [KEY]
    assert replica.signing_keys(NOW + 999) == [KEY]
    assert replica.signing_keys(NOW + 1000) == []


def test_keys_are_in_the_order_in_which_they_sign(state: SqlState) -> None:
    older = replace(KEY, key_id="key-0", created_at=NOW - 10, signs_from=NOW - 10)
    assert state.add_signing_key(older, newest_before=NOW - 10)
    assert state.add_signing_key(KEY, newest_before=NOW)
    assert state.signing_keys(NOW) == [older, KEY]


def test_a_key_is_not_added_where_a_new_one_is_there(state: SqlState, replica: SqlState) -> None:
    assert state.add_signing_key(KEY, newest_before=NOW + 5)
    assert not replica.add_signing_key(replace(KEY, key_id="key-2"), newest_before=NOW + 5)
    assert replica.signing_keys(NOW) == [KEY]
    assert replica.add_signing_key(replace(KEY, key_id="key-3", signs_from=NOW + 7), newest_before=NOW + 6)


def test_of_many_replicas_one_rotates(state: SqlState, replica: SqlState) -> None:
    for turn in range(5):
        calls = [
            lambda s=store, n=number, t=turn: s.add_signing_key(
                replace(KEY, key_id=f"key-{t}-{n}", signs_from=NOW + t), newest_before=NOW + t
            )
            for number, store in enumerate((state, replica) * 3)
        ]
        assert sorted(together(*calls)) == [*[False] * 5, True]
    assert len(state.signing_keys(NOW)) == 5


def test_replicas_learn_of_a_key_and_of_none_that_was_not_added(state: SqlState, replica: SqlState) -> None:
    state.add_signing_key(KEY, newest_before=NOW)
    state.add_signing_key(replace(KEY, key_id="key-2"), newest_before=NOW)
    changes = replica.changes(0)
    assert changes is not None
    assert [(change.topic, change.key) for change in changes] == [("signing_keys", "key-1")]


def test_keys_that_are_published_no_longer_are_forgotten(state: SqlState) -> None:
    state.add_signing_key(KEY, newest_before=NOW)
    state.add_signing_key(
        replace(KEY, key_id="key-2", created_at=NOW + 1000, signs_from=NOW + 1000, published_until=NOW + 5000),
        newest_before=NOW + 900,
    )
    assert [key.key_id for key in state.signing_keys(0)] == ["key-2"]
