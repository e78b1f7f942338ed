"""A refresh token is good for one use, whoever comes at the same time, and a second use is told."""

import pytest

from adapters.state.state import SqlState
from identity.state import Claimed
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW, grant


@pytest.fixture(autouse=True)
def _grant(state: SqlState) -> None:
    state.add_grant(grant())
    state.add_refresh_token(b"token", "grant-1", NOW + 100)


def test_the_first_use_is_good_and_each_later_one_is_told(state: SqlState, replica: SqlState) -> None:
    """RFC 9700, section 4.14.2: reuse is seen, by any replica."""
    assert state.claim_refresh_token(b"token", NOW) == Claimed("grant-1", False)
    assert replica.claim_refresh_token(b"token", NOW) == Claimed("grant-1", True)
    assert state.claim_refresh_token(b"token", NOW + 99) == Claimed("grant-1", True)


def test_unknown_and_expired_tokens_are_none(state: SqlState) -> None:
    assert state.claim_refresh_token(b"toke", NOW) is None
    assert state.claim_refresh_token(b"", NOW) is None
    assert state.claim_refresh_token(b"token", NOW + 100) is None


def test_of_many_at_the_same_time_one_claims(state: SqlState, replica: SqlState) -> None:
    for number in range(10):
        digest = f"token {number}".encode()
        state.add_refresh_token(digest, "grant-1", NOW + 100)
        found = together(*[lambda s=each: s.claim_refresh_token(digest, NOW) for each in (state, replica) * 3])  # noqa: B023
        assert sorted(claimed.reused for claimed in found if claimed is not None) == [False, *[True] * 5]


def test_a_released_token_can_be_claimed_again(state: SqlState, replica: SqlState) -> None:
    """The provider was away during the renewal: its holder tries again with the same token."""
    state.claim_refresh_token(b"token", NOW)
    replica.release_refresh_token(b"token")
    assert state.claim_refresh_token(b"token", NOW) == Claimed("grant-1", False)
    state.release_refresh_token(b"unknown")


def test_expired_tokens_are_forgotten_in_small_steps(state: SqlState) -> None:
    for number in range(50):
        state.add_refresh_token(b"%d" % number, "grant-1", NOW + 10)
    assert state.claim_refresh_token(b"token", NOW + 10) == Claimed("grant-1", False)
    # By a clock that ran behind they are unknown now, not only expired.
    left = [state.claim_refresh_token(b"%d" % number, NOW) for number in range(50)]
    assert left.count(None) == 20
