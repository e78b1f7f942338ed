"""Times and durations as people read them, without a clock of the browser's own: UTC, and how long ago."""

from datetime import UTC, datetime


def moment(time_s: int) -> str:
    """Return `25 Nov 2026, 16:44 UTC`."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%-d %b %Y, %H:%M UTC")


def ago(seconds: int) -> str:
    """Return how long ago something was, in its largest whole unit: `3 hours ago`."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = seconds // size
        if count > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"
