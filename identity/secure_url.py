"""Which URLs may be trusted to name a provider or its keys: https, or plain http to this very machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether a URL's host is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def insecure_reason(url: str) -> str | None:
    """Return why a URL can't be trusted, in words that follow its name, or None where it can.

    Plain http is good only on loopback: whoever sits on the path could otherwise replace the keys.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must be plain ASCII without spaces"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "must be an https:// URL with a host"
    if parts.username is not None or parts.password is not None:
        return "must hold no user name or password"
    if parts.fragment:
        return "must have no fragment"
    if parts.scheme == "http" and not is_loopback(host):
        return "must be https: plain http is accepted for a loopback host only"
    return None
