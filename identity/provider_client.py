"""Speaks HTTP with one provider: bounded answers, no redirects, and words for what goes wrong on the way."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx

from identity.provider_settings import ProviderSettings
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

MAX_ANSWER_BYTES = 262_144
MAX_ANSWER_DEPTH = 16
MAX_CONNECTIONS = 24

_BEARER_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


class ProviderAnswerError(Exception):
    """A provider can't be reached, or its answer can't be used; the text names the URL and the reason, no secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered.

    `media_type` is in lower case and without parameters. `ahead_s` is by how many seconds the provider's clock is ahead
    of ours at least (negative: behind), by the answer's `Date`; 0 where the two may agree, or nothing is known.
    `location` is where it sends a browser to, None where it does not.
    """

    url: str
    status: int
    media_type: str
    body: bytes
    ahead_s: float
    location: str | None = None

    def json(self) -> JsonObject:
        """Return the JSON object that was answered with status 200; raises ProviderAnswerError."""
        if self.status != 200:
            raise ProviderAnswerError(f"{self.url}: answered {self.status} instead of 200")
        return self.object()

    def object(self) -> JsonObject:
        """Return the JSON object that was answered with any status; raises ProviderAnswerError."""
        try:
            return parse_json_object(self.body, max_depth=MAX_ANSWER_DEPTH)
        except StrictJsonError as error:
            raise ProviderAnswerError(f"{self.url}: {error}") from None


def provider_client(settings: ProviderSettings, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return the client that one provider is reached with; `transport` replaces the network in tests.

    No redirects and no proxy from the environment: where keys come from is the configuration's word alone. Raises
    OSError (ssl.SSLError is one) where `ca_file` holds no certificates.
    """
    context = ssl.create_default_context(cafile=settings.ca_file)
    proxy = None
    if settings.proxy_url is not None:
        # A private CA usually stands behind a proxy's own certificate too.
        own_tls = context if settings.proxy_url.startswith("https:") else None
        proxy = httpx.Proxy(settings.proxy_url, ssl_context=own_tls)
    return httpx.AsyncClient(
        verify=context,
        proxy=proxy,
        timeout=settings.fetch_timeout_s,
        follow_redirects=False,
        trust_env=False,
        transport=transport,
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=5),
    )


def is_bearer_token(token: bytes) -> bool:
    """Tell whether a token can stand in a request at all (RFC 6750, section 2.1).

    What can't must not be tried: a library's complaint about it would quote it.
    """
    return _BEARER_TOKEN.fullmatch(token) is not None


async def ask(
    client: httpx.AsyncClient,
    settings: ProviderSettings,
    url: str,
    *,
    method: Literal["GET", "POST"] = "GET",
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Answer:
    """Send one request and return the whole answer, of any status; raises ProviderAnswerError."""
    # `identity` and the raw bytes: a compressed answer could unfold far beyond the limit within one piece.
    asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
    data = bytearray()
    sent_at = clock()
    try:
        async with (
            asyncio.timeout(settings.fetch_timeout_s),
            client.stream(method, url, headers=asked, data=form) as response,
        ):
            ahead_s = _ahead_s(response.headers, sent_at, clock())
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ProviderAnswerError(f"{url}: answered compressed though it was asked not to")
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > MAX_ANSWER_BYTES:
                    raise ProviderAnswerError(f"{url}: the document is larger than {MAX_ANSWER_BYTES} bytes")
    except TimeoutError:
        raise ProviderAnswerError(f"{url}: no answer within {settings.fetch_timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderAnswerError(f"{url}: {_reason(error, settings)}") from None
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(url, response.status_code, media_type, bytes(data), ahead_s, response.headers.get("location"))


def _reason(error: Exception, settings: ProviderSettings) -> str:
    """Say what went wrong on the way in words that name what to mend."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        # OpenSSL's own words, such as "self-signed certificate in certificate chain", stand after the last colon.
        reason = text.rpartition("verify failed: ")[2].partition(" (_ssl")[0]
        return f"its certificate is not trusted ({reason}): {_certificate_remedy(reason, settings)}"
    if isinstance(error, httpx.ProxyError):
        return f"the proxy {settings.proxy_url} does not let it through ({text})"
    if isinstance(error, httpx.ConnectError) and "[SSL" not in text:
        text = _no_connection(error) or text
        if settings.proxy_url is not None:
            return f"the proxy {settings.proxy_url} can't be reached ({text})"
        return f"it can't be reached ({text})"
    return f"{type(error).__name__}: {text}"


def _certificate_remedy(reason: str, settings: ProviderSettings) -> str:
    if "mismatch" in reason:
        return "check the host in the address, or whether something else answers in its place"
    if "expired" in reason:
        return "whoever runs the provider must renew it; check this machine's clock too"
    if settings.ca_file is not None:
        return f"ca_file ({settings.ca_file}) must hold the CA that signed it"
    return "set ca_file to the certificate of the CA that signed it"


def _no_connection(error: BaseException) -> str | None:
    """Return why there is no connection, which the libraries' own sentence leaves to the errors that it stands for."""
    seen: list[BaseException] = [error]
    for each in seen:
        if isinstance(each, ConnectionRefusedError):
            return "the connection is refused: nothing listens there, or a firewall stands between"
        if isinstance(each, socket.gaierror):
            return f"the host's name is not known here: {each.strerror}"
        if isinstance(each, OSError) and each.errno and each.strerror:
            return each.strerror
        below = [each.__cause__, each.__context__, *(each.exceptions if isinstance(each, BaseExceptionGroup) else ())]
        seen += [one for one in below if one is not None and one not in seen]
    return None


def _ahead_s(headers: httpx.Headers, sent_at: float, received_at: float) -> float:
    """Return the least difference that explains the answer's `Date`, which was cut to whole seconds somewhere between.

    `Age` is how long a cache has kept the answer since then (RFC 9111, section 5.1).
    """
    try:
        dated = parsedate_to_datetime(headers["date"]).timestamp() + int(headers.get("age", "0"))
    except (KeyError, ValueError):
        return 0.0
    at_least, at_most = dated - received_at, dated + 1 - sent_at
    return at_least if at_least > 0 else min(at_most, 0.0)
