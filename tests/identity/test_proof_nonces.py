"""A nonce is known without being kept, for a while, and by every replica that shares the secret."""

import pytest

from identity.proof_nonces import NONCE_S, ProofNonces
from identity.sealing import Sealer

SECRET = bytes(range(32))
NOW = 1_800_000_000.0


def test_a_nonce_holds_in_its_slot_and_the_next_and_no_longer() -> None:
    nonces = ProofNonces(Sealer(SECRET))
    nonce = nonces.issue(NOW)
    assert nonces.issue(NOW) == nonce
    assert [nonces.holds(nonce, NOW + slots * NONCE_S) for slots in (-1, 0, 1, 2)] == [False, True, True, False]
    assert nonces.issue(NOW + NONCE_S) != nonce


def test_replicas_with_one_secret_accept_each_others_nonces_and_others_do_not() -> None:
    nonce = ProofNonces(Sealer(SECRET)).issue(NOW)
    assert ProofNonces(Sealer(SECRET)).holds(nonce, NOW)
    assert not ProofNonces(Sealer(SECRET[::-1])).holds(nonce, NOW)


@pytest.mark.parametrize("nonce", ["", "A", "nonce", "\u00e9", "A" * 10_000, "=", "!!!!"])
def test_what_was_not_issued_holds_nothing(nonce: str) -> None:
    assert not ProofNonces(Sealer(SECRET)).holds(nonce, NOW)


def test_what_was_sealed_for_something_else_is_no_nonce() -> None:
    sealer = Sealer(SECRET)
    nonce = ProofNonces(sealer).issue(NOW)
    assert not ProofNonces(sealer).holds(nonce[:-4] + "AAAA", NOW)
