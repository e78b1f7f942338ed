"""What anybody may know: who issues tokens, what they have to be like, and the log's newest checkpoint."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from audit.store import AuditUnavailableError
from gateway.api.oauth import MISSING
from gateway.api.oauth_metadata import (
    AUTHORIZATION_SERVER,
    OPENID_CONFIGURATION,
    PROTECTED_RESOURCE,
    authorization_server_metadata,
)
from gateway.api.oauth_services import OAuthServices
from gateway.api.problem_error import ProblemError
from gateway.api.services import Services
from gateway.problems import Problem
from identity.dpop import PROOF_ALGORITHMS

# What the documents say changes with the configuration only; a client that asks often need not.
_KEPT = {"cache-control": "public, max-age=300"}


class ProtectedResource(BaseModel):
    """OAuth 2.0 protected resource metadata (RFC 9728 section 2)."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    dpop_signing_alg_values_supported: list[str]


def router(services: Services, oauth: OAuthServices | None = None) -> APIRouter:
    """Return the routes that need no credential; without `oauth` the gateway issues no tokens."""
    routes = APIRouter()
    issuers = [provider.issuer for provider in services.providers]
    if oauth is not None:
        issuers.insert(0, oauth.issuer)

    @routes.get(AUTHORIZATION_SERVER)
    @routes.get(OPENID_CONFIGURATION)
    async def authorization_server() -> JSONResponse:
        """Describe the gateway as an authorization server (RFC 8414, OpenID Connect Discovery 1.0)."""
        if oauth is None:
            raise ProblemError(MISSING)
        return JSONResponse(authorization_server_metadata(oauth), headers=_KEPT)

    @routes.get(PROTECTED_RESOURCE)
    @routes.get("/-/oauth/protected-resource")
    async def protected_resource() -> ProtectedResource:
        """Name the authorization servers whose tokens the gateway accepts, the gateway itself first."""
        return ProtectedResource(
            resource=services.public_url,
            authorization_servers=issuers,
            bearer_methods_supported=["header"],
            dpop_signing_alg_values_supported=list(PROOF_ALGORITHMS),
        )

    @routes.get("/-/log/checkpoint", response_class=Response)
    def checkpoint() -> Response:
        """Return the newest signed checkpoint of the audit log (C2SP tlog-checkpoint)."""
        try:
            text = services.checkpoint()
        except AuditUnavailableError:
            raise ProblemError(Problem("audit_unavailable", "the log can't be read now: try again later")) from None
        if text is None:
            raise ProblemError(Problem("not_found", "no checkpoint has been signed yet"))
        return Response(text, media_type="text/plain; charset=utf-8", headers={"cache-control": "no-cache"})

    return routes
