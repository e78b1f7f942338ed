"""Request ids: UUID version 7, so that ids sort by time wherever they are shown (RFC 9562 section 5.7)."""

import os


def new_request_id(time_us: int) -> str:
    """Return a new id for a request seen at `time_us` (microseconds since the Unix epoch): 36 characters."""
    noise = os.urandom(10).hex()
    millis = f"{time_us // 1000:012x}"
    variant = "89ab"[int(noise[3], 16) & 3]
    return f"{millis[:8]}-{millis[8:12]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"
