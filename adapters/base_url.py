"""A backend's base URL as the bytes that go into a request: the Host and the path that targets are added to."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from adapters.backend import BackendRequest, Headers

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+,=:@%-]+)*")

# The caller's own, whichever header it came in; a backend never learns it.
CALLER_HEADERS = frozenset((b"host", b"authorization", b"proxy-authorization", b"x-amz-security-token"))


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """`http://ci.example.com:8010/bot` is host `ci.example.com:8010` and path `/bot` (empty where it has none)."""

    host: bytes
    path: bytes

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split a URL that BackendSettings accepted; raises ValueError where its host or path is not plain ASCII."""
        parts = urlsplit(url)
        if not _HOST.fullmatch(parts.netloc):
            raise ValueError("must have a host of ASCII letters, digits, `.` and `-`, or an address")
        if not _PATH.fullmatch(parts.path):
            raise ValueError("must have a path of plain segments: no `//`, no `.` or `..`, no `;`, escapes as %XX")
        return cls(parts.netloc.encode("ascii"), parts.path.encode("ascii"))

    def target(self, request: BackendRequest) -> bytes:
        """Return the request's own path and query bytes below the base path."""
        if request.query is None:
            return self.path + request.path
        return self.path + request.path + b"?" + request.query


def headers_without(headers: Headers, dropped: Container[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers whose (lower-case) name is not in `dropped`; an underscore counts as `-`."""
    return [header for header in headers if header[0].lower().replace(b"_", b"-") not in dropped]
