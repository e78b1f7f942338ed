"""Which headers pass, in both directions: one pass over them, one table."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

RawHeaders = list[tuple[bytes, bytes]]

_DROP, _KEEP, _CONNECTION, _AUTHORIZATION, _HOST, _LENGTH, _CODING, _PROOF = range(8)

# RFC 9110 section 7.6.1, and what our own framing replaces.
_HOP_BY_HOP: Final = frozenset(
    (
        b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"upgrade", b"http2-settings", b"expect",
    )
)  # fmt: skip
# What servers behind a proxy believe about the caller, the path or the method. A client never sets these.
_IDENTITY: Final = frozenset(
    (
        b"forwarded", b"x-real-ip", b"x-client-ip", b"client-ip", b"true-client-ip", b"cf-connecting-ip",
        b"fastly-client-ip", b"x-cluster-client-ip", b"x-scope-orgid", b"x-user", b"x-username", b"x-email",
        b"x-groups", b"x-roles", b"x-http-method", b"x-http-method-override", b"x-method-override", b"front-end-https",
        b"x-accel-redirect", b"x-sendfile", b"x-goog-iap-jwt-assertion", b"cookie", b"cookie2",
    )
)  # fmt: skip
_IDENTITY_PREFIXES: Final = (
    b"x-forwarded-", b"x-original-", b"x-rewrite-", b"impersonate-", b"x-remote-", b"remote-", b"x-auth-",
    b"x-authenticated-", b"x-webauth-", b"x-envoy-", b"x-ssl-", b"x-client-cert", b"x-goog-authenticated-user-",
    b"x-amzn-oidc-", b"x-ms-client-principal", b"x-pomerium-", b"x-authentik-", b"x-vouch-", b"x-user-", b"portcullis-",
)  # fmt: skip
# CGI, WSGI and PHP fold other characters into `-`'s place, which makes `X_User` and `X.User` twins of `X-User`.
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9-]+")
_HOST_VALUE = re.compile(rb"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_KNOWN_NAMES: Final = 4096
# What `Connection` names besides headers of its own making; these never pass anyway.
_CONNECTION_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b""))


class BadHeadersError(Exception):
    """The headers can be read in two ways, so they are not read at all."""


def _kind(name: bytes) -> int:
    lower = name.lower()
    special = {
        b"connection": _CONNECTION,
        b"authorization": _AUTHORIZATION,
        b"dpop": _PROOF,
        b"host": _HOST,
        b"content-length": _LENGTH,
        b"transfer-encoding": _CODING,
    }.get(lower)
    if special is not None:
        return special
    if not _PLAIN_NAME.fullmatch(name) or lower in _HOP_BY_HOP or lower in _IDENTITY:
        return _DROP
    return _DROP if lower.startswith(_IDENTITY_PREFIXES) else _KEEP


class RequestHeaders:
    """A request's headers, sorted into what is forwarded and what the gateway itself reads.

    `forwarded` keeps order and spelling. `length` is the body's length in bytes, None where it is chunked; `framed`
    says that the client sent a Content-Length or Transfer-Encoding. `proof` is the header `DPoP` (RFC 9449).
    Raises BadHeadersError.
    """

    __slots__ = ("authorization", "forwarded", "framed", "length", "proof")

    _kinds: dict[bytes, int] = {}

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.forwarded: RawHeaders = []
        self.authorization: bytes | None = None
        self.proof: bytes | None = None
        self.length: int | None = 0
        self.framed = False
        hosts = 0
        named_by_connection: set[bytes] = set()
        kinds = self._kinds
        for header in headers:
            kind = kinds.get(header[0])
            if kind is None:
                kind = _kind(header[0])
                # Names come from callers: past the bound they are looked at each time instead of being kept.
                if len(kinds) < _KNOWN_NAMES:
                    kinds[header[0]] = kind
            if kind == _KEEP:
                self.forwarded.append(header)
            elif kind == _HOST:
                hosts += 1
                if not _HOST_VALUE.fullmatch(header[1]):
                    raise BadHeadersError("Host must be one host name, with a port or without")
            elif kind == _AUTHORIZATION:
                if self.authorization is not None:
                    raise BadHeadersError("Authorization is given more than once")
                self.authorization = header[1]
            elif kind == _CONNECTION:
                named_by_connection.update(token.strip().lower() for token in header[1].split(b","))
            elif kind == _LENGTH:
                self._take_length(header[1])
            elif kind == _CODING:
                self._take_coding(header[1])
            elif kind == _PROOF:
                if self.proof is not None:
                    raise BadHeadersError("DPoP is given more than once")
                self.proof = header[1]
        if hosts != 1:
            raise BadHeadersError("exactly one Host header is required")
        if not named_by_connection <= _CONNECTION_OPTIONS:
            self.forwarded = [h for h in self.forwarded if h[0].lower() not in named_by_connection]

    def take(self, name: bytes) -> bytes | None:
        """Remove the header of that (lower-case) name from what is forwarded and return its value, None where absent.

        Raises BadHeadersError where it stands more than once.
        """
        values = [value for key, value in self.forwarded if key.lower() == name]
        if not values:
            return None
        if len(values) > 1:
            raise BadHeadersError(f"{name.decode('ascii')} is given more than once")
        self.forwarded = [header for header in self.forwarded if header[0].lower() != name]
        return values[0]

    def _take_length(self, value: bytes) -> None:
        if self.framed or not value.isdigit() or len(value) > 18:
            raise BadHeadersError("Content-Length must be given once, as a plain number, without Transfer-Encoding")
        self.length, self.framed = int(value), True

    def _take_coding(self, value: bytes) -> None:
        if self.framed or value.strip().lower() != b"chunked":
            raise BadHeadersError("Transfer-Encoding must be given once, as 'chunked', without Content-Length")
        self.length, self.framed = None, True


# Response headers that would speak for the gateway's own origin, or forge its evidence.
_RESPONSE_DROPPED: Final = _HOP_BY_HOP | {
    b"connection", b"transfer-encoding", b"content-length", b"set-cookie", b"set-cookie2", b"alt-svc",
    b"clear-site-data", b"strict-transport-security", b"public-key-pins", b"service-worker-allowed",
    b"x-accel-redirect", b"x-sendfile", b"www-authenticate", b"dpop-nonce",
}  # fmt: skip


_LOCATIONS: Final = frozenset((b"location", b"content-location"))
# Name as received -> its lower-case form, or None where it is dropped.
_response_names: dict[bytes, bytes | None] = {}


def response_headers(headers: Iterable[tuple[bytes, bytes]], backend: str, base_url: str) -> RawHeaders:
    """Return the backend's response headers that go to the client, names in lower case.

    `Location` and `Content-Location` that point into the backend are rewritten to point through the gateway.
    """
    kept: RawHeaders = []
    named_by_connection: set[bytes] | None = None
    for raw_name, value in headers:
        try:
            name = _response_names[raw_name]
        except KeyError:
            name = _response_name(raw_name)
        if name is None:
            if len(raw_name) == 10 and raw_name.lower() == b"connection":
                named_by_connection = {token.strip().lower() for token in value.split(b",")}
        elif name in _LOCATIONS:
            kept.append((name, _through_gateway(value, backend, base_url)))
        else:
            kept.append((name, value))
    if named_by_connection is not None and not named_by_connection <= _CONNECTION_OPTIONS:
        kept = [header for header in kept if header[0] not in named_by_connection]
    return kept


def _response_name(raw_name: bytes) -> bytes | None:
    lower = raw_name.lower()
    folded = lower.replace(b"_", b"-")
    name = None if lower in _RESPONSE_DROPPED or folded.startswith(b"portcullis-") else lower
    if len(_response_names) < _KNOWN_NAMES:
        _response_names[raw_name] = name
    return name


def _through_gateway(location: bytes, backend: str, base_url: str) -> bytes:
    text = location.decode("latin-1")
    base = urlsplit(base_url)
    origin = f"{base.scheme}://{base.netloc}"
    if text.startswith(origin) and text[len(origin) : len(origin) + 1] in ("", "/", "?", "#"):
        text = text[len(origin) :] or "/"
    elif not text.startswith("/") or text.startswith("//"):
        return location
    if not text.startswith("/"):
        text = "/" + text
    if base.path and text.startswith(base.path) and text[len(base.path) : len(base.path) + 1] in ("", "/", "?", "#"):
        text = text[len(base.path) :]
    return f"/{backend}{text}".encode("latin-1")
