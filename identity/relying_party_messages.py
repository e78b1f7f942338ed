"""What the gateway, as an OpenID relying party, says to a provider and reads in its answers.

RFC 6749 section 4.1, RFC 7636 (S256 only), RFC 9207, OpenID Connect Core 1.0. Authlib builds the authorization request,
our own client carries the token request: docs/decisions/0002-authlib-and-httpx.md says why.
"""

import re
from collections.abc import Iterable, Mapping

import httpx
from authlib.oauth2.client import OAuth2Client

from identity.authenticator import ProviderUnavailableError
from identity.client_credential import ClientCredential
from identity.provider_client import ProviderAnswerError, ask
from identity.provider_settings import ProviderSettings
from identity.strict_json import JsonObject

# RFC 6749 section 4.1.2.1 has short names of lower-case letters; whatever else comes is not worth repeating.
_ERROR = re.compile(r"[a-z_]{1,64}")


class LoginError(Exception):
    """A login, or its renewal, came to nothing. `code` is stable; `detail` says why and what to do, without secrets."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class TokenRefusedError(Exception):
    """The token endpoint gave no token for a reason of its own; `error` is its code (RFC 6749 section 5.2)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def authorization_url(
    client_id: str,
    endpoint: str,
    *,
    scopes: Iterable[str],
    redirect_uri: str,
    state: str,
    nonce: str,
    verifier: str,
    **wishes: str,
) -> str:
    """Return where the browser goes to log in; `wishes` are `acr_values`, `max_age` and `prompt`, where there are any.

    Only the challenge of `verifier` is in it.
    """
    builder = OAuth2Client(
        None, client_id=client_id, redirect_uri=redirect_uri, scope=" ".join(scopes), code_challenge_method="S256"
    )
    url, _ = builder.create_authorization_url(endpoint, state=state, code_verifier=verifier, nonce=nonce, **wishes)
    return str(url)


def authorization_code(answer: Mapping[str, str], *, issuer: str, sends_issuer: bool) -> str:
    """Return the code of an authorization response whose `state` was found right; raises LoginError.

    The response's `iss` is looked at before anything else in it: what another provider says of this login is not read.
    """
    sent = answer.get("iss")
    if (sent is None and sends_issuer) or (sent is not None and sent != issuer):
        raise wrong_issuer()
    error = answer.get("error")
    if error == "access_denied":
        raise LoginError("access_denied", "the login was cancelled, or the provider does not let this account in")
    if error is not None:
        raise LoginError("provider_error", f"the provider answered {error_code(error)!r} instead of a login")
    code = answer.get("code")
    if not code:
        raise LoginError("malformed_answer", "the provider's answer holds no code: begin again")
    return code


def wrong_issuer() -> LoginError:
    """Return the refusal of an answer to a login at another provider."""
    return LoginError("wrong_issuer", "the answer did not come from the provider that was asked: begin again")


def error_code(error: object) -> str:
    """Return a provider's error code as it may be shown and logged."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "an unreadable error"


async def request_tokens(
    http: httpx.AsyncClient,
    settings: ProviderSettings,
    endpoint: str,
    credential: ClientCredential,
    form: Mapping[str, str],
) -> JsonObject:
    """Return what the token endpoint answers to one grant (RFC 6749 section 5.1).

    Raises TokenRefusedError where it gave a reason, and ProviderUnavailableError where it was not to be had or did not
    answer as a token endpoint does: nothing is known about the grant then.
    """
    headers, signed_in = credential.sign_in(form)
    try:
        answer = await ask(http, settings, endpoint, method="POST", form=signed_in, headers=headers)
        document = answer.object()
    except ProviderAnswerError as error:
        raise ProviderUnavailableError(settings.name, str(error)) from None
    if answer.status in (400, 401, 403) and "error" in document:
        raise TokenRefusedError(error_code(document["error"]))
    if answer.status != 200:
        raise ProviderUnavailableError(settings.name, f"{endpoint}: answered {answer.status}")
    return document
