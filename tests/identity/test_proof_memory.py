"""A proof counts once, for as long as it would count at all, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from identity.proof_memory import ProofMemory

WINDOW_S = 60


def use(memory: ProofMemory, now: float, proof_id: str, made_at: int, thumbprint: str = "key") -> bool | None:
    """Do what a verifier does with a good proof: None where it is too old or too new, or the memory is full."""
    if not now - WINDOW_S <= made_at <= now + WINDOW_S:
        return None
    memory.forget(now)
    return None if memory.is_full else memory.remember(thumbprint, proof_id, made_at)


def test_a_proof_counts_once_a_key() -> None:
    memory = ProofMemory(WINDOW_S)
    assert use(memory, 1000, "a", 1000)
    assert use(memory, 1000, "a", 1000) is False
    assert use(memory, 1000, "a", 1000, thumbprint="another key")
    assert use(memory, 1000, "b", 1000)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(-60, 60), st.sampled_from("abc")), max_size=60))
def test_no_proof_counts_twice_however_long_one_waits(steps: list[tuple[int, int, str]]) -> None:
    memory, now, counted = ProofMemory(WINDOW_S), 10_000, set()
    for later, offset, name in steps:
        now += later
        proof = (f"{name}{now + offset}", now + offset)
        if use(memory, now, *proof):
            assert proof not in counted
            counted.add(proof)
        for proof_id, made_at in counted:
            assert not use(memory, now, proof_id, made_at)


def test_at_the_bound_new_proofs_are_refused_and_none_is_forgotten() -> None:
    memory = ProofMemory(WINDOW_S, max_remembered=3)
    assert [use(memory, 1020, name, 1020) for name in "abcd"] == [True, True, True, None]
    memory.forget(1020 + WINDOW_S)
    assert memory.is_full
    memory.forget(1080 + WINDOW_S)
    assert len(memory) == 0
    assert use(memory, 1140, "d", 1140)


def test_what_was_forgotten_is_never_new_again_even_if_the_clock_is_set_back() -> None:
    memory = ProofMemory(WINDOW_S)
    assert use(memory, 1020, "a", 1020)
    memory.forget(1200)
    assert use(memory, 1020, "a", 1020) is False


def test_an_odd_id_is_an_id() -> None:
    memory = ProofMemory(WINDOW_S)
    assert memory.remember("key", "\ud800", 100)
    assert not memory.remember("key", "\ud800", 100)
