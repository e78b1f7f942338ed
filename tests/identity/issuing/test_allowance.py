"""How often a party may do something: counted by party and by all, given back, forgotten after a while."""

from identity.issuer.allowance import Allowance
from tests.identity.issuer import Clock


def test_what_is_given_back_may_be_spent_again_and_no_more() -> None:
    allowance = Allowance(limit=2, total=3, window_s=600, monotonic=Clock(0))
    allowance.spend("alice")
    allowance.spend("alice")
    assert allowance.is_spent("alice")
    allowance.give_back("alice")
    assert not allowance.is_spent("alice")
    for _ in range(5):
        allowance.give_back("alice")
        allowance.give_back("nobody")
    for party in ("alice", "alice", "bob"):
        assert not allowance.is_spent(party)
        allowance.spend(party)
    assert allowance.is_spent("carol"), "all of them together have spent what there is"


def test_what_was_spent_in_a_window_that_is_over_can_not_be_given_back_in_the_next() -> None:
    monotonic = Clock(0)
    allowance = Allowance(limit=1, total=1, window_s=600, monotonic=monotonic)
    allowance.spend("alice")
    monotonic.now += 600
    allowance.give_back("alice")
    allowance.spend("bob")
    assert allowance.is_spent("alice")
