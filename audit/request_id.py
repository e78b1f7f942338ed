"""Request ids: UUID version 7, so that ids sort by time wherever they are shown (RFC 9562 section 5.7)."""

import os
from collections.abc import Iterator
from typing import Final

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62
_KEEP: Final = ~(0xF << 76 | 0x3 << 62)
_ID_NOISE: Final = 10
_BLOCK: Final = _ID_NOISE * 400


def new_request_id(time_us: int) -> str:
    """Return a new id for a request seen at `time_us` (microseconds since the Unix epoch): 36 characters."""
    value = (time_us // 1000) << 80 | int.from_bytes(next(_noise), "big")
    text = f"{value & _KEEP | _VERSION_AND_VARIANT:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _draw_noise() -> Iterator[bytes]:
    # Drawn for many ids at once: at each draw this thread gives up the interpreter and waits to get it back.
    while True:
        block = os.urandom(_BLOCK)
        for at in range(0, _BLOCK, _ID_NOISE):
            yield block[at : at + _ID_NOISE]


_noise = _draw_noise()
# A forked process would repeat its parent's ids.
os.register_at_fork(after_in_child=lambda: globals().update(_noise=_draw_noise()))
