"""Whether a form was sent from a page of the gateway's own, at the wish of the person who is logged in."""

import hmac
from hashlib import sha256

from fastapi import Request


def csrf_token(secret: bytes, path: str) -> str:
    """Return the hidden field for forms that are sent to `path` within the session that `secret` belongs to."""
    return hmac.new(secret, b"csrf\0" + path.encode(), sha256).hexdigest()


def is_own_form(request: Request, secret: bytes, token: str, public_url: str) -> bool:
    """Tell whether a form may be acted on: it holds the session's token, and the browser names no other origin.

    `Sec-Fetch-Site` decides where it is sent. Our `no-referrer` policy makes browsers send `Origin: null`, so without
    `Sec-Fetch-Site` that says nothing, and the token alone counts.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin not in (None, "null", public_url):
        return False
    return hmac.compare_digest(token.encode(), csrf_token(secret, request.url.path).encode())
