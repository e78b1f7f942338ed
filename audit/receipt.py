"""The caller's own evidence that a record was stored."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record stands at `index` in the log, under the RFC 6962 leaf hash `leaf` (32 bytes)."""

    index: int
    leaf: bytes
