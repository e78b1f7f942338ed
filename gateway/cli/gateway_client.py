"""Asks a gateway's own API, and says in plain words why it did not answer."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from gateway.cli.http_client import http_client
from gateway.cli.output import CommandError
from gateway.loopback import is_confidential

_MAX_ANSWER_BYTES = 1 << 20


def gateway_url(text: str) -> str:
    """Return the gateway's base URL without a trailing slash; raises CommandError where it is none."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise CommandError(f"{text!r} is no gateway URL: give one such as https://gateway.example.com")
    if not is_confidential(text):
        raise CommandError(f"{text!r} would carry your token in the clear: use https")
    return text.rstrip("/")


def ask(gateway: str, path: str, *, token: str | None = None, params: dict[str, str] | None = None) -> dict[str, Any]:
    """GET `path` and return the JSON object in the answer.

    Raises CommandError where the gateway can't be reached, refuses, or does not answer like one.
    """
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        # A redirect is never followed: it would carry the token to wherever it points.
        with http_client() as http:
            response = http.get(f"{gateway}{path}", params=params, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"the gateway {gateway} can't be reached: {error}") from error
    document = _document(response)
    if response.status_code == 200 and document is not None:
        return document
    if response.status_code == 401:
        raise CommandError(f"the gateway does not accept the token{_detail(document)}: run `portcullis login`")
    if document is None or "code" not in document:
        raise CommandError(
            f"{gateway} answered {response.status_code} and not like a Portcullis gateway: check the URL"
        )
    raise CommandError(f"the gateway answered {response.status_code} {document['code']}{_detail(document)}")


def _document(response: httpx.Response) -> dict[str, Any] | None:
    if len(response.content) > _MAX_ANSWER_BYTES:
        return None
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _detail(document: dict[str, Any] | None) -> str:
    detail = (document or {}).get("detail")
    return f" ({detail})" if isinstance(detail, str) else ""
