"""Fetches what a provider publishes: its metadata (OpenID Connect Discovery 1.0, else RFC 8414) and its keys.

A provider whose keys are configured (`jwks_uri`, `jwks_file`) is asked for nothing else: issuers of workloads' tokens
often publish no metadata, and a SPIFFE trust domain never does.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from identity.key_set import EMPTY_KEY_SET, SIGNATURE_USES, KeySet, KeySetError, parse_key_set
from identity.provider_client import MAX_ANSWER_BYTES, MAX_ANSWER_DEPTH, Answer, ProviderAnswerError, ask
from identity.provider_metadata import MetadataError, ProviderMetadata, parse_metadata
from identity.provider_settings import ProviderSettings
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

# SPIFFE trust domain and bundle, section 4.2.1: `x509-svid` keys vouch for certificates, never for tokens.
_SPIFFE_USES = SIGNATURE_USES | {"jwt-svid"}


class DiscoveryError(Exception):
    """A provider's document can't be had or can't be believed; the text says which and why."""


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """A provider's keys as they are published now; `ahead_s` as in `Answer`."""

    keys: KeySet
    ahead_s: float


async def discover(client: httpx.AsyncClient, settings: ProviderSettings) -> ProviderMetadata:
    """Return what a provider says of itself, or what the configuration says in its place; raises DiscoveryError.

    OAuth metadata are looked for only where the provider says that it has no OpenID discovery document: one that
    is there and can't be believed is an error.
    """
    if not settings.has_discovery:
        return ProviderMetadata(issuer=settings.issuer, jwks_uri=settings.jwks_uri)
    try:
        answer = await ask(client, settings, openid_url(settings.issuer))
        if _is_absent(answer):
            second = await ask(client, settings, oauth_url(settings.issuer))
            if _is_absent(second):
                raise DiscoveryError(f"{answer.url}: answered {answer.status}, and {second.url}: {second.status}")
            answer = second
        document = answer.json()
    except ProviderAnswerError as error:
        raise DiscoveryError(str(error)) from None
    try:
        return parse_metadata(document, settings)
    except MetadataError as error:
        raise DiscoveryError(f"{answer.url}: {error}") from None


async def fetch_keys(
    client: httpx.AsyncClient,
    settings: ProviderSettings,
    metadata: ProviderMetadata,
    clock: Callable[[], float] = time.time,
) -> PublishedKeys:
    """Return the provider's keys as they are now; raises DiscoveryError."""
    if settings.jwks_file is not None:
        document = await asyncio.to_thread(_read_file, settings)
        return PublishedKeys(_key_set(document, settings, str(settings.jwks_file)), 0.0)
    if metadata.jwks_uri is None:
        # Only a provider whose tokens are all introspected may have no keys.
        return PublishedKeys(EMPTY_KEY_SET, 0.0)
    try:
        answer = await ask(client, settings, metadata.jwks_uri, clock=clock)
        document = answer.json()
    except ProviderAnswerError as error:
        raise DiscoveryError(str(error)) from None
    return PublishedKeys(_key_set(document, settings, metadata.jwks_uri), answer.ahead_s)


def openid_url(issuer: str) -> str:
    """Return where an issuer's OpenID discovery document is (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def oauth_url(issuer: str) -> str:
    """Return where an issuer's OAuth metadata are: before its path, not after it (RFC 8414, section 3.1)."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


def read_key_file(settings: ProviderSettings) -> KeySet:
    """Return the keys in a provider's `jwks_file`; raises DiscoveryError."""
    return _key_set(_read_file(settings), settings, str(settings.jwks_file))


def _is_absent(answer: Answer) -> bool:
    # Not every server says 404: some answer 400, 403 or 405 for a path that they don't know.
    return 400 <= answer.status < 500 and answer.status not in (408, 425, 429)


def _read_file(settings: ProviderSettings) -> JsonObject:
    path = settings.jwks_file
    assert path is not None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ANSWER_BYTES + 1)
    except OSError as error:
        raise DiscoveryError(f"{path}: can't be read: {error.strerror}") from None
    if len(data) > MAX_ANSWER_BYTES:
        raise DiscoveryError(f"{path}: is larger than {MAX_ANSWER_BYTES} bytes")
    try:
        return parse_json_object(data, max_depth=MAX_ANSWER_DEPTH)
    except StrictJsonError as error:
        raise DiscoveryError(f"{path}: {error}") from None


def _key_set(document: JsonObject, settings: ProviderSettings, source: str) -> KeySet:
    uses = _SPIFFE_USES if settings.trust_domain is not None else SIGNATURE_USES
    try:
        return parse_key_set(document, settings.algorithms, uses=uses)
    except KeySetError as error:
        raise DiscoveryError(f"{source}: {error}") from None
