"""The cookies of the gateway's pages: `__Host-` ones only, so that no other host or path can plant or read one.

(RFC 6265bis section 4.1.3.2.)
"""

from typing import Final

from fastapi import Request

from identity.base64url import decode_base64url, encode_base64url

PREFIX: Final = "__Host-portcullis-"
# What a browser keeps of one cookie, name and value together (RFC 6265 section 6.1).
MAX_COOKIE_BYTES: Final = 4096

_ATTRIBUTES: Final = "Secure; HttpOnly; SameSite=Lax; Path=/"


def sealed_cookies(request: Request, prefix: str) -> dict[str, bytes]:
    """Return the sealed values of the request's cookies whose names begin with `prefix`.

    A name that comes twice is left out: a browser never sends one `__Host-` cookie twice, so somebody else has.
    """
    values: dict[str, bytes] = {}
    repeated: set[str] = set()
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, text = pair.strip().partition("=")
            if not name.startswith(prefix):
                continue
            if name in values:
                repeated.add(name)
            values[name] = _decoded(text)
    return {name: value for name, value in values.items() if name not in repeated}


def set_cookie(request: Request, name: str, sealed: bytes, lifetime_s: int) -> None:
    """Have the answer to this request give the browser a cookie; raises ValueError where it would not keep it."""
    value = encode_base64url(sealed)
    if len(name) + len(value) > MAX_COOKIE_BYTES:
        raise ValueError("the cookie would be too large to be kept")
    _cookies(request)[name] = f"{name}={value}; Max-Age={lifetime_s:d}; {_ATTRIBUTES}"


def delete_cookie(request: Request, name: str) -> None:
    """Have the answer to this request take a cookie from the browser."""
    _cookies(request)[name] = f"{name}=; Max-Age=0; {_ATTRIBUTES}"


def cookie_headers(request: Request) -> list[str]:
    """Return the values of the `Set-Cookie` headers that the answer needs."""
    return list(_cookies(request).values())


def _cookies(request: Request) -> dict[str, str]:
    kept: dict[str, str] | None = getattr(request.state, "cookies", None)
    if kept is None:
        kept = request.state.cookies = {}
    return kept


def _decoded(text: str) -> bytes:
    try:
        return decode_base64url(text.encode("ascii"))
    except ValueError:
        return b""
