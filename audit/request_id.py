"""Request ids: UUID version 7, so that ids sort by time wherever they are shown (RFC 9562 section 5.7)."""

import os
from typing import Final

_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0x2 << 62
_KEEP: Final = ~(0xF << 76 | 0x3 << 62)


def new_request_id(time_us: int) -> str:
    """Return a new id for a request seen at `time_us` (microseconds since the Unix epoch): 36 characters."""
    value = (time_us // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    text = f"{value & _KEEP | _VERSION_AND_VARIANT:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
