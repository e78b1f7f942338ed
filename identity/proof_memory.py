"""Remembers which DPoP proofs were used, for as long as each of them would be accepted, and no longer."""

import hashlib
from typing import Final

# At most some 50 MB; it is reached by 3,000 proofs a second, which is more than a process can check.
MAX_REMEMBERED: Final = 400_000


class ProofMemory:
    """The used proofs of one process, by key and `jti`, in slots of the time at which they were made (`iat`).

    Nothing is forgotten early: at the bound new proofs are refused until a slot has passed. A slot that was forgotten
    stays closed, so that a clock that is set back reopens nothing.
    """

    def __init__(self, window_s: int, max_remembered: int = MAX_REMEMBERED) -> None:
        self._window_s = window_s
        self._max_remembered = max_remembered
        self._slots: dict[int, set[bytes]] = {}
        self._oldest = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another proof now."""
        return self._size >= self._max_remembered

    def forget(self, now: float) -> None:
        """Forget what is older than the window at `now`; a proof made in a forgotten slot is never new again."""
        oldest = int(now - self._window_s) // self._window_s
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for slot in [slot for slot in self._slots if slot < oldest]:
            self._size -= len(self._slots.pop(slot))

    def remember(self, thumbprint: str, proof_id: str, made_at: int) -> bool:
        """Note that a proof is used; False where it was used before, or is of a slot that was forgotten.

        Only for a proof whose signature is good, and while the memory is not full.
        """
        slot = made_at // self._window_s
        if slot < self._oldest:
            return False
        # The key is part of it: nobody can use up another's `jti`.
        digest = hashlib.sha256(f"{thumbprint}\0{proof_id}".encode("utf-8", "surrogatepass")).digest()[:16]
        used = self._slots.setdefault(slot, set())
        if digest in used:
            return False
        used.add(digest)
        self._size += 1
        return True
