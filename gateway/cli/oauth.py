"""The authorization code flow of a public native client: PKCE, state, nonce, issuer check, refresh.

RFC 6749, 7636 (S256 only), 8252, 9207 and OpenID Connect Core. Authlib builds and reads the messages, httpx carries
them: docs/decisions/0002-authlib-and-httpx.md says how the two meet.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client

from gateway.cli.id_token import checked_id_token
from gateway.cli.output import CommandError
from gateway.cli.token_store import Login
from gateway.loopback import is_confidential


@dataclass(frozen=True, slots=True)
class LoginProvider:
    """A provider as the gateway describes it. `token` says which token the gateway wants: access_token or id_token."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    token: Literal["access_token", "id_token"]


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What a provider says about itself (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    algorithms: tuple[str, ...]
    sends_issuer: bool


def discover(http: httpx.Client, issuer: str) -> ProviderMetadata:
    """Fetch a provider's metadata; raises CommandError where it can't be had or is not that issuer's own."""
    document = _get(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != issuer:
        raise CommandError(f"the provider at {issuer} calls itself {document.get('issuer')!r}: not used")
    urls = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    for name, url in urls.items():
        if not isinstance(url, str) or not is_confidential(url):
            raise CommandError(f"the provider at {issuer} names no https {name}: not used")
    algorithms = document.get("id_token_signing_alg_values_supported")
    return ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=str(urls["authorization_endpoint"]),
        token_endpoint=str(urls["token_endpoint"]),
        jwks_uri=str(urls["jwks_uri"]),
        algorithms=tuple(str(name) for name in algorithms) if isinstance(algorithms, list) else ("RS256",),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


class CodeFlow:
    """One login: `url` is where the browser goes, `finish` turns what it came back with into tokens.

    `state` is unguessable and used once.
    """

    def __init__(
        self, http: httpx.Client, provider: LoginProvider, metadata: ProviderMetadata, redirect_uri: str, state: str
    ) -> None:
        self._http = http
        self._provider = provider
        self._metadata = metadata
        self._verifier = secrets.token_urlsafe(64)
        self._nonce = secrets.token_urlsafe(32)
        self._state = state
        self._client = OAuth2Client(
            http,
            client_id=provider.client_id,
            redirect_uri=redirect_uri,
            scope=" ".join(provider.scopes),
            code_challenge_method="S256",
        )
        url, _ = self._client.create_authorization_url(
            metadata.authorization_endpoint, state=self._state, code_verifier=self._verifier, nonce=self._nonce
        )
        self.url = str(url)

    def finish(self, answer: Mapping[str, str], gateway: str) -> Login:
        """Return the login that the authorization response `answer` leads to; raises CommandError."""
        issuer = self._metadata.issuer
        if not hmac.compare_digest(answer.get("state", "").encode(), self._state.encode()):
            raise CommandError("the answer belongs to another login: run `portcullis login` again")
        sent_issuer = answer.get("iss")
        if (sent_issuer is not None and sent_issuer != issuer) or (sent_issuer is None and self._metadata.sends_issuer):
            raise CommandError(f"the answer does not come from {issuer}: the login was stopped (RFC 9207)")
        if "error" in answer:
            reason = answer.get("error_description") or answer["error"]
            raise CommandError(f"the provider {self._provider.name} refused the login: {reason}")
        if not answer.get("code"):
            raise CommandError(f"the provider {self._provider.name} sent no code: run `portcullis login` again")
        tokens = _token_request(
            self._client,
            self._metadata.token_endpoint,
            issuer,
            grant_type="authorization_code",
            code=answer["code"],
            code_verifier=self._verifier,
            client_id=self._provider.client_id,
        )
        claims = _id_claims(self._http, self._metadata, self._provider.client_id, tokens, self._nonce)
        return _login(gateway, self._provider, tokens, claims, refresh_token=None)


def renewed(http: httpx.Client, login: Login) -> Login:
    """Return the login with a new token, got with its refresh token; raises CommandError."""
    metadata = discover(http, login.issuer)
    client = OAuth2Client(http, client_id=login.client_id)
    tokens = _token_request(
        client,
        metadata.token_endpoint,
        login.issuer,
        grant_type="refresh_token",
        refresh_token=login.refresh_token,
        client_id=login.client_id,
    )
    claims = _id_claims(http, metadata, login.client_id, tokens, None)
    if claims and login.token_subject and claims["sub"] != login.token_subject:
        raise CommandError(f"{login.issuer} renewed the login for somebody else: run `portcullis login` again")
    provider = LoginProvider(login.provider, login.issuer, login.client_id, login.scopes, login.token_kind)
    return _login(login.gateway, provider, tokens, claims, refresh_token=login.refresh_token)


def _token_request(client: OAuth2Client, endpoint: str, issuer: str, **parameters: str | None) -> Mapping[str, Any]:
    try:
        # A public client names itself in the body (RFC 6749 section 4.1.3) and has nothing to authenticate with.
        answer: Mapping[str, Any] = client.fetch_token(endpoint, auth=httpx.Auth(), **parameters)
    except OAuth2Error as error:
        raise CommandError(f"{issuer} gave no token ({error}): run `portcullis login` again") from error
    except (httpx.HTTPError, ValueError) as error:
        raise CommandError(f"{issuer} gave no token: {error}") from error
    return answer


def _id_claims(
    http: httpx.Client, metadata: ProviderMetadata, client_id: str, tokens: Mapping[str, Any], nonce: str | None
) -> Mapping[str, Any]:
    if not isinstance(tokens.get("id_token"), str):
        return {}
    return checked_id_token(
        tokens["id_token"],
        keys=_get(http, metadata.jwks_uri),
        algorithms=list(metadata.algorithms),
        issuer=metadata.issuer,
        client_id=client_id,
        nonce=nonce,
        access_token=tokens.get("access_token"),
    )


def _login(
    gateway: str,
    provider: LoginProvider,
    tokens: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    refresh_token: str | None,
) -> Login:
    token = tokens.get(provider.token)
    if not isinstance(token, str) or not token:
        raise CommandError(f"{provider.issuer} gave no {provider.token}, which the gateway needs: tell its operator")
    uses_id_token = provider.token == "id_token"  # noqa: S105
    expires_at = claims.get("exp") if uses_id_token else tokens.get("expires_at")
    return Login(
        gateway=gateway,
        provider=provider.name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        scopes=provider.scopes,
        token_kind=provider.token,
        token=token,
        token_subject=str(claims["sub"]) if claims else None,
        expires_at=int(expires_at) if isinstance(expires_at, int | float) else None,
        refresh_token=tokens.get("refresh_token") or refresh_token,
    )


def _get(http: httpx.Client, url: str) -> dict[str, Any]:
    try:
        response = http.get(url, headers={"Accept": "application/json"})
        response.raise_for_status()
        document = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise CommandError(f"{url} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise CommandError(f"{url} does not hold a JSON object")
    return document
