"""Asks a gateway's own API, and says in plain words why it did not answer."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from gateway.cli.assurance import Assurance, demanded
from gateway.cli.http_client import http_client
from gateway.cli.output import CommandError, DeniedError
from gateway.loopback import is_confidential

_MAX_ANSWER_BYTES = 1 << 20
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 6750, section 2.1.
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


class UnreachableError(CommandError):
    """The gateway can't be reached, or can't answer now: what is kept stays good, and trying again may help."""


class RefusedTokenError(CommandError):
    """The gateway does not accept the token; `why` is that alone, without what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: run `portcullis login`")
        self.why = why


class StrongerLoginError(DeniedError):
    """The gateway would answer after a stronger or fresher login (RFC 9470)."""

    def __init__(self, why: str, assurance: Assurance) -> None:
        super().__init__(f"{why}: run `portcullis login{assurance.options()}`")
        self.why = why
        self.assurance = assurance


def gateway_url(text: str) -> str:
    """Return the gateway's base URL in its one spelling: lower case, no default port, no trailing slash.

    Raises CommandError where it is none.
    """
    wrong = CommandError(f"{text!r} is no gateway URL: give one such as https://gateway.example.com")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    # urlsplit drops line breaks, and would make another host of what was typed.
    if not text.isprintable() or not _HOST.fullmatch(netloc) or "@" in parts.netloc:
        raise wrong
    if parts.scheme not in _DEFAULT_PORTS:
        raise wrong
    if not is_confidential(text):
        raise CommandError(f"{text!r} would carry your token in the clear: use https")
    url = f"{parts.scheme}://{netloc}" + (f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else "")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise CommandError(f"{text!r} is more than the gateway's URL: give {url} alone")
    return url


def unsendable(token: str) -> str:
    """Return why a text can't be a token, without a part of it."""
    if token[:7].lower() == "bearer ":
        return "the token has `Bearer ` in front of it, which is the header's: leave that off"
    return "the token holds characters that no token has"


def ask(
    gateway: str,
    path: str,
    *,
    token: str | None = None,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """GET `path`, or POST the JSON object `body` to it, and return the JSON object in the answer.

    Raises UnreachableError, RefusedTokenError, StrongerLoginError, DeniedError, or CommandError for every other answer.
    """
    headers = {"Accept": "application/json"}
    if token is not None:
        # The HTTP library would refuse the header too, and its error shows it.
        if _BEARER_TOKEN.fullmatch(token) is None:
            raise RefusedTokenError(unsendable(token))
        headers["Authorization"] = f"Bearer {token}"
    method = "GET" if body is None else "POST"
    try:
        # A redirect is never followed: it would carry the token to wherever it points.
        with http_client() as http:
            response = http.request(method, f"{gateway}{path}", params=params, json=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(f"the gateway {gateway} can't be reached: {error}") from error
    document = _document(response)
    if response.status_code == 200 and document is not None:
        return document
    raise _refusal(gateway, response, document)


def _refusal(gateway: str, response: httpx.Response, document: dict[str, Any] | None) -> CommandError:
    detail = _detail(document)
    if response.status_code == 401:
        challenge = response.headers.get("WWW-Authenticate", "")
        if 'error="insufficient_user_authentication"' in challenge:
            return StrongerLoginError(f"the gateway asks for a stronger login{detail}", demanded(challenge))
        return RefusedTokenError(f"the gateway does not accept the token{detail}")
    if document is None or "code" not in document:
        return CommandError(
            f"{gateway} answered {response.status_code} and not like a Portcullis gateway: check the URL"
        )
    text = f"the gateway answered {response.status_code} {document['code']}{detail}"
    if response.status_code == 403:
        return DeniedError(text)
    return UnreachableError(text) if response.status_code == 503 else CommandError(text)


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
