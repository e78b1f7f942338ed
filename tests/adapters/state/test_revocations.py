"""Revocations reach every replica, the later of two counts, and they end when they said."""

import pytest

from adapters.state.state import SqlState
from identity.revocation import Revocation, RevocationKind
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW

ALICE = Revocation("person", "user:alice", NOW, None)
TOKEN = Revocation("token", "ab" * 32, NOW, NOW + 60)


def test_revocations_come_back_as_they_were_given_while_in_force(state: SqlState, replica: SqlState) -> None:
    state.revoke([ALICE, TOKEN])
    assert set(replica.revocations(NOW)) == {ALICE, TOKEN}
    assert set(replica.revocations(NOW + 60)) == {ALICE, TOKEN}
    assert replica.revocations(NOW + 61) == [ALICE]


def test_only_those_that_are_asked_for(state: SqlState) -> None:
    state.revoke([ALICE, TOKEN, Revocation("session", "user:alice", NOW)])
    assert state.revocations(NOW, ["person:user:alice"]) == [ALICE]
    assert state.revocations(NOW, ["person:user:bob", "alice", ""]) == []
    assert state.revocations(NOW, []) == []
    assert set(state.revocations(NOW, ["person:user:alice", f"token:{TOKEN.key}", "person:user:alice"])) == {
        ALICE,
        TOKEN,
    }
    assert state.revocations(NOW + 61, [f"token:{TOKEN.key}"]) == []


def test_more_keys_than_one_statement_takes(state: SqlState) -> None:
    many = [Revocation("account", f"corp:{number}", NOW) for number in range(600)]
    state.revoke(many)
    assert set(state.revocations(NOW, [f"account:corp:{number}" for number in range(2000)])) == set(many)


def test_of_two_the_later_stays(state: SqlState, replica: SqlState) -> None:
    later = Revocation("person", "user:alice", NOW + 5, NOW + 100)
    state.revoke([ALICE, later])
    replica.revoke([ALICE, Revocation("person", "user:alice", NOW + 4, None)])
    assert state.revocations(NOW) == [later]


@pytest.mark.parametrize("kind", ["person", "account", "session", "provider_session", "token"])
def test_each_kind_has_keys_of_its_own(state: SqlState, kind: RevocationKind) -> None:
    kinds: list[RevocationKind] = ["person", "account", "session", "provider_session", "token"]
    state.revoke([Revocation(each, "same", NOW) for each in kinds])
    assert state.revocations(NOW, [f"{kind}:same"]) == [Revocation(kind, "same", NOW)]


@pytest.mark.parametrize("key", ["", "corp:\0", "corp:\udc80", "corp:a\\u0000", "corp:" + "é" * 5000])
def test_any_key_that_a_provider_may_choose(state: SqlState, replica: SqlState, key: str) -> None:
    state.revoke([Revocation("account", key, NOW)])
    assert replica.revocations(NOW, [f"account:{key}"]) == [Revocation("account", key, NOW)]
    changes = replica.changes(0)
    assert changes is not None
    assert changes[-1].key == f"account:{key}"


def test_replicas_learn_of_what_took_effect(state: SqlState, replica: SqlState) -> None:
    state.revoke([ALICE, TOKEN])
    state.revoke([Revocation("person", "user:alice", NOW - 1)])
    changes = replica.changes(0)
    assert changes is not None
    assert [(each.number, each.topic, each.key) for each in changes] == [
        (1, "revocation", "person:user:alice"),
        (2, "revocation", f"token:{TOKEN.key}"),
    ]


def test_all_are_written_or_none(state: SqlState) -> None:
    """A failure in the middle leaves neither half of the revocations nor a change that nobody made."""

    def failing() -> object:
        yield ALICE
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError):
        state.revoke(failing())  # type: ignore[arg-type]
    assert (state.revocations(NOW), state.newest_change()) == ([], 0)


def test_many_at_the_same_time_in_any_order(state: SqlState, replica: SqlState) -> None:
    """Two that revoke the same ones in opposite order never wait for each other for ever."""
    names = [f"corp:{number}" for number in range(20)]

    def revoking(store: SqlState, keys: list[str], at: int) -> None:
        store.revoke(Revocation("account", key, at) for key in keys)

    together(
        lambda: revoking(state, names, NOW),
        lambda: revoking(replica, names[::-1], NOW + 2),
        lambda: revoking(replica, names, NOW + 1),
        lambda: revoking(state, names[::-1], NOW + 2),
    )
    assert {(each.key, each.at) for each in state.revocations(NOW)} == {(name, NOW + 2) for name in names}


def test_those_that_are_over_are_forgotten(state: SqlState) -> None:
    state.revoke([TOKEN])
    state.revoke([Revocation("person", "user:bob", NOW + 61)])
    assert [each.key for each in state.revocations(0)] == ["user:bob"]
