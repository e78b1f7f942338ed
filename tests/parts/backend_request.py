"""Requests as the data path hands them to an adapter."""

from collections.abc import Mapping
from urllib.parse import unquote

from adapters.backend import BackendRequest


def backend_request(
    method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> BackendRequest:
    """Split a raw target below the backend's name into path, decoded segments and query."""
    path, mark, query = target.partition("?")
    return BackendRequest(
        method=method,
        path=path.encode("ascii"),
        segments=tuple(unquote(segment, errors="strict") for segment in path[1:].split("/")),
        query=query.encode("ascii") if mark else None,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()],
        body=body,
    )
