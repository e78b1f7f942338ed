"""Times and durations as people read them, without a clock of the browser's own: UTC, and how long ago."""

from datetime import UTC, datetime


def moment(time_s: int) -> str:
    """Return `25 Nov 2026, 16:44 UTC`."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%-d %b %Y, %H:%M UTC")


def duration(seconds: int) -> str:
    """Return a duration in its largest whole unit: `3 hours`."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = seconds // size
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"
