"""Fetches what a provider publishes about itself: its metadata and its keys (OpenID Connect Discovery 1.0)."""

import asyncio
from urllib.parse import urlsplit

import httpx

from identity.key_set import KeySet, KeySetError, parse_key_set
from identity.provider_settings import ProviderSettings
from identity.secure_url import insecure_reason
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

MAX_DOCUMENT_BYTES = 262_144
MAX_DOCUMENT_DEPTH = 16


class DiscoveryError(Exception):
    """A provider's document can't be had or can't be believed; the text says which and why."""


async def fetch_jwks_uri(client: httpx.AsyncClient, settings: ProviderSettings) -> str:
    """Return where one provider publishes its keys.

    The document's `issuer` must equal the configured one exactly (section 4.3), and the keys must be served over https,
    or on loopback where the issuer itself is. Raises DiscoveryError.
    """
    url = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
    document = await _fetch_json(client, url, settings.fetch_timeout_s)
    if document.get("issuer") != settings.issuer:
        raise DiscoveryError(f"{url}: its issuer is not {settings.issuer}, character for character")
    jwks_uri = document.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise DiscoveryError(f"{url}: it has no jwks_uri")
    reason = insecure_reason(jwks_uri)
    if reason is None and urlsplit(jwks_uri).scheme == "http" and urlsplit(settings.issuer).scheme == "https":
        reason = "must be https, as the issuer is"
    if reason is not None:
        raise DiscoveryError(f"{url}: its jwks_uri {reason}")
    return jwks_uri


async def fetch_key_set(client: httpx.AsyncClient, settings: ProviderSettings, jwks_uri: str) -> KeySet:
    """Return the provider's keys as they are published now; raises DiscoveryError."""
    document = await _fetch_json(client, jwks_uri, settings.fetch_timeout_s)
    try:
        return parse_key_set(document, settings.algorithms)
    except KeySetError as error:
        raise DiscoveryError(f"{jwks_uri}: {error}") from None


async def _fetch_json(client: httpx.AsyncClient, url: str, timeout_s: float) -> JsonObject:
    # `identity` and the raw bytes: a compressed answer could unfold far beyond the limit within one piece.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    data = bytearray()
    try:
        async with asyncio.timeout(timeout_s), client.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise DiscoveryError(f"{url}: answered {response.status_code} instead of 200")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise DiscoveryError(f"{url}: answered compressed though it was asked not to")
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > MAX_DOCUMENT_BYTES:
                    raise DiscoveryError(f"{url}: the document is larger than {MAX_DOCUMENT_BYTES} bytes")
    except TimeoutError:
        raise DiscoveryError(f"{url}: no answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DiscoveryError(f"{url}: {type(error).__name__}: {error}") from None
    try:
        return parse_json_object(bytes(data), max_depth=MAX_DOCUMENT_DEPTH)
    except StrictJsonError as error:
        raise DiscoveryError(f"{url}: {error}") from None
