"""Which URLs a token may be sent to: https, or plain http to this machine, where no network can listen."""

from urllib.parse import urlsplit

from identity.secure_url import is_loopback


def is_confidential(url: str) -> bool:
    """Whether a token may be sent to this URL: https, or http to this machine (RFC 8252 section 8.3)."""
    parts = urlsplit(url)
    if not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
