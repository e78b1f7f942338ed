"""The FastAPI application that serves everything under `/-/`."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.api import access, health, metrics, well_known
from gateway.api.oauth_services import OAuthServices
from gateway.api.problem_error import ProblemError, problem_response
from gateway.api.services import Services
from gateway.problems import Problem

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


def control_application(
    services: Services, oauth: OAuthServices | None, routers: Iterable[APIRouter], lifespan: Lifespan
) -> FastAPI:
    """Return the application; `lifespan` starts and stops the running parts around it.

    `oauth` is the gateway as issuer, None where it is none; `routers` are those of the parts of identity.
    """
    app = FastAPI(
        title="Portcullis",
        openapi_url="/-/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    for router in (
        health.router(services),
        metrics.router(services),
        well_known.router(services, oauth),
        access.router(services),
        *routers,
    ):
        app.include_router(router)

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return problem_response(request, error.problem, services.public_url, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _parameters(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return problem_response(request, Problem("bad_parameter", f"{where}: {first['msg']}"), services.public_url)

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        code = _BY_STATUS.get(error.status_code, "not_found")
        problem = Problem(code, "see the API's description at /-/api/openapi.json")
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (error.headers or {}).items()]
        return problem_response(request, problem, services.public_url, headers)

    @app.exception_handler(Exception)
    async def _fault(request: Request, error: Exception) -> Response:
        problem = Problem("internal_error", "the gateway's log has the details under this request id")
        return problem_response(request, problem, services.public_url)

    return app
