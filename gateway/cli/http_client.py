"""The HTTP client of every command that talks to a gateway or a provider."""

import httpx

_TIMEOUT_S = 15


def http_client() -> httpx.Client:
    """Return a client that follows no redirect, and takes its proxies from the environment for https only."""
    # Plain http is for this machine itself: a proxy would be given the token in the clear.
    return httpx.Client(timeout=_TIMEOUT_S, mounts={"http://": None})
