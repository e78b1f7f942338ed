"""A device login (RFC 8628) is decided once, given to its device once, and slowed down where it polls too often."""

from dataclasses import replace

import pytest

from adapters.state.state import SqlState
from identity.state import Poll
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW, device


def test_a_request_is_found_by_its_user_code_while_it_is_pending(state: SqlState, replica: SqlState) -> None:
    assert state.add_device(device())
    assert replica.device_by_user_code("BCDFGHJ1", NOW) == device()
    assert replica.device_by_user_code("BCDFGHJ1", NOW + 600) is None
    assert state.decide_device("BCDFGHJ1", NOW, "grant-1")
    assert replica.device_by_user_code("BCDFGHJ1", NOW) is None


@pytest.mark.parametrize("typed", ["", "bcdfghj1", "BCDFGHJ1\0", "\udc80", "%", "BCDFGHJ2", "x" * 100_000])
def test_what_somebody_types_finds_nothing_but_the_exact_code(state: SqlState, typed: str) -> None:
    state.add_device(device())
    assert state.device_by_user_code(typed, NOW) is None
    assert not state.decide_device(typed, NOW, "grant-1")


def test_a_user_code_is_taken_until_its_request_has_expired(state: SqlState, replica: SqlState) -> None:
    assert state.add_device(device())
    assert not replica.add_device(device(2, user_code="BCDFGHJ1"))
    assert replica.poll_device(b"device-2", NOW) is None
    assert replica.add_device(device(3, user_code="BCDFGHJ1", created_at=NOW + 600, expires_at=NOW + 1200))
    assert state.poll_device(b"device-1", NOW) is None
    assert state.decide_device("BCDFGHJ1", NOW + 600, "grant-1")
    assert state.poll_device(b"device-3", NOW + 600) is not None


def test_a_user_code_is_free_again_however_much_else_has_expired(state: SqlState) -> None:
    for number in range(2, 52):
        state.add_device(device(number, expires_at=NOW + 300))
    state.add_device(device())
    assert state.add_device(device(100, user_code="BCDFGHJ1", created_at=NOW + 600, expires_at=NOW + 1200))


def test_of_many_requests_for_one_user_code_one_gets_it(state: SqlState, replica: SqlState) -> None:
    calls = [
        lambda s=store, n=number: s.add_device(device(n, user_code="SAME"))
        for number, store in enumerate((state, replica) * 3)
    ]
    assert sorted(together(*calls)) == [*[False] * 5, True]


@pytest.mark.parametrize(("grant_id", "status"), [("grant-1", "allowed"), (None, "denied")])
def test_a_decision_is_given_once(state: SqlState, replica: SqlState, grant_id: str | None, status: str) -> None:
    state.add_device(device())
    assert replica.decide_device("BCDFGHJ1", NOW + 1, grant_id)
    found = state.poll_device(b"device-1", NOW + 2)
    assert found is not None
    assert (found.request.status, found.request.grant_id, found.too_soon) == (status, grant_id, False)
    assert state.poll_device(b"device-1", NOW + 20) is None
    assert replica.poll_device(b"device-1", NOW + 20) is None


def test_a_decision_stands(state: SqlState, replica: SqlState) -> None:
    """Who denies is not overruled by a click that was under way, and an expired request can't be allowed."""
    state.add_device(device())
    assert state.decide_device("BCDFGHJ1", NOW, None)
    assert not replica.decide_device("BCDFGHJ1", NOW, "grant-1")
    state.add_device(device(2))
    assert not state.decide_device("BCDFGHJ2", NOW + 600, "grant-1")


def test_of_many_decisions_one_counts(state: SqlState, replica: SqlState) -> None:
    for number in range(5):
        state.add_device(device(number))
        calls = [
            lambda s=store, g=name, n=number: s.decide_device(f"BCDFGHJ{n}", NOW, g)
            for store, name in ((state, "a"), (replica, None), (state, "b"), (replica, "c"))
        ]
        decided = together(*calls)
        assert sorted(decided) == [False, False, False, True]
        poll = state.poll_device(f"device-{number}".encode(), NOW)
        assert poll is not None
        assert poll.request.grant_id == ("a", None, "b", "c")[decided.index(True)]


def test_of_many_polls_one_gets_the_decision(state: SqlState, replica: SqlState) -> None:
    for number in range(5):
        state.add_device(device(number))
        state.decide_device(f"BCDFGHJ{number}", NOW, "grant-1")
        digest = f"device-{number}".encode()
        found = together(*[lambda s=each: s.poll_device(digest, NOW) for each in (state, replica) * 3])  # noqa: B023
        assert [poll is not None for poll in found].count(True) == 1


def test_who_polls_too_soon_must_wait_five_seconds_longer_each_time(state: SqlState, replica: SqlState) -> None:
    """RFC 8628, section 3.5."""
    state.add_device(device())
    assert state.poll_device(b"device-1", NOW + 0.5) == Poll(device(), False)
    assert replica.poll_device(b"device-1", NOW + 5.4) == Poll(replace(device(), interval_s=10), True)
    assert state.poll_device(b"device-1", NOW + 15.3) == Poll(replace(device(), interval_s=15), True)
    assert state.poll_device(b"device-1", NOW + 30.3) == Poll(replace(device(), interval_s=15), False)


def test_a_decision_is_given_even_to_a_poll_that_comes_too_soon(state: SqlState) -> None:
    state.add_device(device())
    state.poll_device(b"device-1", NOW)
    state.decide_device("BCDFGHJ1", NOW, "grant-1")
    poll = state.poll_device(b"device-1", NOW + 1)
    assert poll is not None
    assert (poll.too_soon, poll.request.grant_id) == (False, "grant-1")


def test_a_device_that_expired_or_was_never_there_is_none(state: SqlState) -> None:
    state.add_device(device())
    assert state.poll_device(b"device-1", NOW + 600) is None
    assert state.poll_device(b"device-2", NOW) is None


def test_expired_requests_are_forgotten_in_small_steps(state: SqlState) -> None:
    """Strangers may begin device logins: what they leave behind is cleared away by the next ones."""
    for number in range(50):
        state.add_device(device(number))
    later = NOW + 600
    state.add_device(device(100, created_at=later, expires_at=later + 600))
    left = [state.poll_device(f"device-{number}".encode(), NOW) for number in range(50)]
    assert left.count(None) == 20
