"""Asks one provider everything that a login or a token will need of it, and says what does not fit.

No login is made and no token is got: where a secret or a redirect URI has to be tried, the request is one that a
provider refuses in one way if the secret is right and in another if it is not.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from gateway.config_doubts import Level
from identity.client_credential import ClientCredential, introspection_credential, own_credential
from identity.discovery import DiscoveryError, discover, fetch_keys
from identity.group_claim import top_level_name
from identity.login import redirect_uri
from identity.provider_client import Answer, ProviderAnswerError, ask
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.secret import SecretError

BACKCHANNEL_PATH: Final = "/-/login/backchannel"
MAX_QUOTED: Final = 200


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was seen: `key` is the setting that it is about, None for the provider as a whole.

    An `error` will be met by callers, a `warning` may be, a `hint` is for whoever sets the provider up.
    """

    level: Level
    key: str | None
    message: str


async def probe(
    client: httpx.AsyncClient, provider: ProviderSettings, public_url: str, clock: Callable[[], float]
) -> AsyncIterator[Note]:
    """Yield what does not fit; nothing where all is well. `clock` gives seconds since the Unix epoch."""
    try:
        metadata = await discover(client, provider)
    except DiscoveryError as error:
        yield Note("error", "issuer", f"the provider can't be used: {error}")
        return
    async for note in _probe_keys(client, provider, metadata, clock):
        yield note
    for note in _compare(provider, metadata):
        yield note
    if provider.has_login:
        async for note in _probe_login(client, provider, metadata, public_url):
            yield note
    if provider.introspection is not None:
        async for note in _probe_introspection(client, provider, metadata):
            yield note


async def _probe_keys(
    client: httpx.AsyncClient, provider: ProviderSettings, metadata: ProviderMetadata, clock: Callable[[], float]
) -> AsyncIterator[Note]:
    try:
        published = await fetch_keys(client, provider, metadata, clock)
    except DiscoveryError as error:
        yield Note("error", "issuer", f"its keys can't be used: {error}")
        return
    if not published.keys.by_id and provider.needs_keys:
        reasons = "; ".join(published.keys.ignored) or "it publishes none"
        configured = ", ".join(provider.algorithms)
        yield Note("error", "algorithms", f"none of its keys can be used with {configured}: {reasons}")
    ahead_s = published.ahead_s
    if abs(ahead_s) > provider.leeway_s:
        where = "ahead of" if ahead_s > 0 else "behind"
        yield Note(
            "error",
            "leeway_s",
            f"its clock is {abs(ahead_s):.0f} s {where} this machine's, and leeway_s is {provider.leeway_s}: set both "
            "by NTP, or its tokens are refused as expired or not yet valid",
        )


def _compare(provider: ProviderSettings, metadata: ProviderMetadata) -> list[Note]:
    """Hold the configuration against what the provider says of itself."""
    notes: list[Note] = []
    advertised = metadata.id_token_algorithms
    takes_id_tokens = provider.has_login or provider.accept_id_tokens
    if takes_id_tokens and advertised and not set(advertised).intersection(provider.algorithms):
        listed = ", ".join(advertised)
        notes.append(Note("error", "algorithms", f"it signs ID tokens with {listed} only: put one into algorithms"))
    for key, claim in (("groups_claim", provider.groups_claim), ("username_claim", provider.username_claim)):
        if claim is None or metadata.claims_supported is None:
            continue
        if not {claim, top_level_name(claim)}.intersection(metadata.claims_supported):
            listed = ", ".join(metadata.claims_supported)
            text = f"it does not list the claim {claim!r} among its claims ({listed}): check the name, or add it there"
            notes.append(Note("warning", key, text))
    if provider.has_login:
        missing = [scope for scope in provider.scopes if scope not in (metadata.scopes_supported or provider.scopes)]
        if missing:
            notes.append(Note("warning", "scopes", f"it does not list these scopes: {', '.join(missing)}"))
    return notes


async def _probe_login(
    client: httpx.AsyncClient, provider: ProviderSettings, metadata: ProviderMetadata, public_url: str
) -> AsyncIterator[Note]:
    redirect = redirect_uri(public_url, provider.name)
    if metadata.authorization_endpoint is None or metadata.token_endpoint is None:
        yield Note("error", "client_id", "it names no endpoints to log in at: remove client_id, or check the issuer")
        return
    if "S256" not in (metadata.code_challenge_methods or ("S256",)):
        yield Note("warning", "client_id", "it does not list S256 among its PKCE methods: logins send a challenge")
    try:
        credential = own_credential(provider)
    except SecretError as error:
        yield Note("error", "client_id", str(error))
        return
    accepted = await _tried_secret(client, provider, metadata.token_endpoint, credential, redirect)
    yield accepted
    if accepted.level != "error":
        # Else what is refused there would be the client, whatever its redirect URI.
        yield await _tried_redirect(client, provider, metadata.authorization_endpoint, redirect)
    if provider.backchannel_logout:
        url = public_url + BACKCHANNEL_PATH
        if metadata.backchannel_logout_supported:
            yield Note("hint", "backchannel_logout", f"register {url} there as the back-channel logout URL")
        else:
            text = "it does not say that it tells of logouts (back-channel): sessions here end by renewal or revocation"
            yield Note("hint", "backchannel_logout", text)


async def _tried_secret(
    client: httpx.AsyncClient, provider: ProviderSettings, endpoint: str, credential: ClientCredential, redirect: str
) -> Note:
    """Offer a code that was never issued: who is not known to the token endpoint is told so before that."""
    key = "client_secret_file" if provider.client_secret_file is not None else "client_id"
    headers, form = credential.sign_in(
        {
            "grant_type": "authorization_code",
            "code": secrets.token_urlsafe(24),
            "redirect_uri": redirect,
            "code_verifier": secrets.token_urlsafe(48),
        }
    )
    try:
        answer = await ask(client, provider, endpoint, method="POST", form=form, headers=headers)
        error = answer.object().get("error")
    except ProviderAnswerError as problem:
        return Note("error", "client_id", f"the token endpoint can't be used: {problem}")
    said = _quoted(answer, credential)
    if error == "invalid_grant":
        return Note("hint", "client_id", f"client {credential.client_id!r}: accepted")
    if error in ("invalid_client", "unauthorized_client"):
        mend = (
            "check client_id, client_auth and whether the secret has expired"
            if credential.secret
            else ("check client_id; where the provider gave it a secret, set client_secret_file")
        )
        return Note("error", key, f"it does not accept the client {credential.client_id!r} ({said}): {mend}")
    if error == "redirect_uri_mismatch":
        return Note("error", "client_id", f"it does not know the redirect URI: register {redirect} there")
    return Note("warning", "client_id", f"whether the client is accepted can't be told ({said})")


async def _tried_redirect(client: httpx.AsyncClient, provider: ProviderSettings, endpoint: str, redirect: str) -> Note:
    """Ask for a login without a page (`prompt=none`), which is answered at the redirect URI if that is registered."""
    parameters = {
        "client_id": provider.client_id or "",
        "redirect_uri": redirect,
        "response_type": "code",
        "scope": "openid",
        "state": secrets.token_urlsafe(16),
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": secrets.token_urlsafe(32),
        "code_challenge_method": "S256",
        "prompt": "none",
    }
    url = str(httpx.URL(endpoint).copy_merge_params(parameters))
    try:
        answer = await ask(client, provider, url, headers={"Accept": "text/html"})
    except ProviderAnswerError as error:
        return Note("error", "client_id", f"the authorization endpoint can't be used: {error}")
    if answer.location is not None and _without_query(answer.location) == redirect:
        return Note("hint", "client_id", f"redirect URI {redirect}: accepted")
    if 400 <= answer.status < 500:
        text = f"it refuses to begin a login ({answer.status}): register the redirect URI {redirect} there"
        return Note("error", "client_id", text)
    return Note("hint", "client_id", f"register the redirect URI {redirect} there; whether it is can't be told")


async def _probe_introspection(
    client: httpx.AsyncClient, provider: ProviderSettings, metadata: ProviderMetadata
) -> AsyncIterator[Note]:
    introspection = provider.introspection
    endpoint = metadata.introspection_endpoint
    if introspection is None or endpoint is None:
        yield Note("error", "introspection", "it names no introspection_endpoint: remove introspection")
        return
    made_up = (introspection.token_prefix or "") + secrets.token_urlsafe(32)
    try:
        credential = introspection_credential(provider)
        headers, form = credential.sign_in({"token": made_up, "token_type_hint": "access_token"})
        answer = await ask(client, provider, endpoint, method="POST", form=form, headers=headers)
        if answer.status in (400, 401, 403):
            said = _quoted(answer, credential)
            yield Note(
                "error",
                "introspection",
                f"it does not let the client {credential.client_id!r} introspect ({said}): check its id, that its "
                "secret has not expired, and that it may introspect",
            )
            return
        active = answer.json().get("active")
    except (ProviderAnswerError, SecretError) as error:
        yield Note("error", "introspection", f"introspection can't be used: {error}")
        return
    if active is not False:
        yield Note(
            "error", "introspection", f"asked about a token that nobody issued, it says {active!r}: don't use it"
        )


def _quoted(answer: Answer, credential: ClientCredential) -> str:
    """Return the provider's own words about a refusal, unless they repeat the secret."""
    try:
        document = answer.object()
    except ProviderAnswerError:
        return str(answer.status)
    words = [str(document[member]) for member in ("error", "error_description") if member in document]
    text = ": ".join(words)[:MAX_QUOTED]
    if not text or (credential.secret is not None and credential.secret[:8] in text):
        return str(answer.status)
    return f"{answer.status}, {text}"


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
