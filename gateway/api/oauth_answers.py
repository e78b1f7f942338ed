"""How the OAuth endpoints answer: JSON that nobody keeps, and errors in RFC 6749's form, not problem documents."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from audit.store import AuditUnavailableError
from gateway.api.problem_error import exchange_of
from identity.authenticator import ProviderUnavailableError
from identity.dpop import InvalidProofError
from identity.issuer.oauth_error import OAuthError, unavailable
from identity.state import StateUnavailableError

# RFC 6749, section 5.1.
_NOT_KEPT: Final = {"cache-control": "no-store", "pragma": "no-cache"}

_log = logging.getLogger("portcullis.oauth")


class OAuthRoute(APIRoute):
    """A route whose errors are OAuth errors, and whose answers carry the request's id."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except OAuthError as error:
                response = _refusal(error)
            except InvalidProofError as error:
                response = _refusal(proof_error(error))
                if error.nonce:
                    response.headers["dpop-nonce"] = error.nonce
            except AuditUnavailableError:
                response = _refusal(unavailable("this can't be recorded now, so it was not done: try again later"))
            except StateUnavailableError as error:
                _log.warning("an OAuth request came to nothing: %s", error)
                response = _refusal(unavailable("the identity store can't be used now: try again later"))
            except ProviderUnavailableError as error:
                response = _refusal(unavailable(f"the provider {error.provider} can't be reached: try again later"))
            response.headers["portcullis-request-id"] = exchange_of(request).request_id
            return response

        return answer


def not_kept(document: Mapping[str, Any]) -> Response:
    """Return a JSON answer that no cache keeps."""
    return JSONResponse(dict(document), headers=_NOT_KEPT)


def proof_error(error: InvalidProofError) -> OAuthError:
    """Return what a bad DPoP proof is answered with (RFC 9449, sections 5 and 8)."""
    return OAuthError(error.oauth_error, error.detail)


def _refusal(error: OAuthError) -> Response:
    # RFC 6749 section 5.2 allows neither quotes nor backslashes in a description.
    description = error.description.replace("\\", "/").replace('"', "'").encode("ascii", "replace").decode("ascii")
    response = JSONResponse(
        {"error": error.error, "error_description": description}, status_code=error.status, headers=_NOT_KEPT
    )
    if error.status == 401:
        response.headers["www-authenticate"] = 'Basic realm="portcullis"'
    if error.status == 503:
        response.headers["retry-after"] = "5"
    return response
