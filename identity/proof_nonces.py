"""Nonces that a DPoP proof must hold, which no store has to keep (RFC 9449, section 8)."""

import struct
from typing import Final

from identity.base64url import decode_base64url, encode_base64url
from identity.sealing import Sealer, SealError

NONCE_S: Final = 120
_PURPOSE: Final = "dpop-nonce"


class ProofNonces:
    """A nonce is the number of its slot of time, sealed: replicas that share the secret accept each other's.

    It is accepted during its slot and the next, so for NONCE_S to twice as long.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._current: tuple[int, str] = (-1, "")

    def issue(self, now: float) -> str:
        """Return the nonce to use now. One is sealed a slot, however many are asked for."""
        slot = int(now) // NONCE_S
        if self._current[0] != slot:
            sealed = self._sealer.seal(_PURPOSE, struct.pack(">Q", slot))
            self._current = slot, encode_base64url(sealed)
        return self._current[1]

    def holds(self, nonce: str, now: float) -> bool:
        """Tell whether a nonce was issued here in this slot of time or the one before."""
        try:
            sealed = decode_base64url(nonce.encode("ascii"))
            (slot,) = struct.unpack(">Q", self._sealer.open(_PURPOSE, sealed))
        except (ValueError, struct.error, SealError):
            return False
        return int(now) // NONCE_S - slot in (0, 1)
