"""A one-time code gives its payload once, and a second use is told."""

from typing import Any

import pytest

from adapters.state.state import SqlState
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW

PAYLOAD: dict[str, Any] = {
    "scope": None,
    "limits": {"backends": ["a"]},
    "number": 5,
    "text": 'é\0\udc80\\u0041"',
    "e": {},
}


@pytest.fixture(autouse=True)
def _code(state: SqlState) -> None:
    state.add_code(b"code", PAYLOAD, NOW + 60)


def test_a_code_is_taken_once_and_its_second_use_is_told(state: SqlState, replica: SqlState) -> None:
    """RFC 6749, section 4.1.2: a code used twice says that somebody else has it."""
    assert state.take_code(b"code", NOW) == (PAYLOAD, False)
    assert replica.take_code(b"code", NOW) == (PAYLOAD, True)


def test_unknown_and_expired_codes_are_none(state: SqlState) -> None:
    assert state.take_code(b"cod", NOW) is None
    assert state.take_code(b"code", NOW + 60) is None


def test_an_empty_payload_is_a_payload(state: SqlState) -> None:
    state.add_code(b"empty", {}, NOW + 60)
    assert [state.take_code(b"empty", NOW), state.take_code(b"empty", NOW)] == [({}, False), ({}, True)]


def test_of_many_at_the_same_time_one_takes(state: SqlState, replica: SqlState) -> None:
    for number in range(10):
        digest = f"code {number}".encode()
        state.add_code(digest, {"number": number}, NOW + 60)
        found = together(*[lambda s=each: s.take_code(digest, NOW) for each in (state, replica) * 3])  # noqa: B023
        assert sorted(taken[1] for taken in found if taken is not None) == [False, *[True] * 5]


def test_expired_codes_are_forgotten_in_small_steps(state: SqlState) -> None:
    for number in range(50):
        state.add_code(b"%d" % number, {}, NOW + 10)
    assert state.take_code(b"code", NOW + 10) == (PAYLOAD, False)
    assert [state.take_code(b"%d" % number, NOW) for number in range(50)].count(None) == 20
