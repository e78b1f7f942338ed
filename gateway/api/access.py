"""Who am I, and what may I do? Asked by the command line on a caller's behalf."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from gateway.api.caller import caller_of
from gateway.api.problem_error import ProblemError, exchange_of
from gateway.api.services import Services
from gateway.denials import decision_members
from gateway.judgement import request_context
from gateway.policy.request import AccessRequest, Decision
from gateway.policy.step_up import stronger_login
from gateway.possession import lacking_binding
from gateway.problems import Problem
from identity.principal import Delegate, Kind, Principal


class WhoAmI(BaseModel):
    """The caller as the gateway sees them; times are Unix seconds.

    `session` is the gateway's, null for a provider's own token. `delegates` are the subjects who act for the caller,
    the holder of the token first. `backends` and `actions` are what the token is limited to, null for no limit.
    """

    subject: str
    provider: str
    issuer: str
    username: str
    groups: list[str]
    expires_at: int
    kind: Kind
    session: str | None
    acr: str | None
    authenticated_at: int | None
    delegates: list[str]
    backends: list[str] | None
    actions: list[str] | None


def router(services: Services) -> APIRouter:
    """Return the routes that answer an authenticated caller about themselves."""
    routes = APIRouter()

    async def caller(request: Request) -> Principal:
        return await caller_of(services, request)

    authenticated = Depends(caller)

    @routes.get("/-/api/v1/whoami")
    async def whoami(principal: Annotated[Principal, authenticated]) -> WhoAmI:
        """Return the caller's subject, provider and groups."""
        return WhoAmI(
            subject=principal.subject,
            provider=principal.provider,
            issuer=principal.issuer,
            username=principal.username,
            groups=list(principal.groups),
            expires_at=principal.expires_at,
            kind=principal.kind,
            session=principal.session,
            acr=principal.acr,
            authenticated_at=principal.authenticated_at,
            delegates=[delegate.subject for delegate in principal.delegates],
            backends=_listed(principal.limits.backends),
            actions=_listed(principal.limits.actions),
        )

    @routes.get("/-/api/v1/can-i")
    async def can_i(
        request: Request,
        principal: Annotated[Principal, authenticated],
        action: Annotated[str, Query(min_length=1, max_length=256)],
        resource: Annotated[str, Query(min_length=1, max_length=2048)],
        environment: Annotated[str | None, Query(max_length=63)] = None,
    ) -> dict[str, Any]:
        """Decide, without doing it, whether the caller may do an action on a resource now.

        The environment is the backend's own where it is not given. `allowed` is the policy's word; where the backend
        takes only bound tokens and the caller's is not, `token_binding_required` says in which ways one can be.
        """
        if resource.startswith("/"):
            # Whatever the environment: nothing that is asked for has such a name.
            detail = "the resource begins with a slash: leave it off and begin with the backend's name"
            raise ProblemError(Problem("bad_parameter", detail))
        backend = services.backends.get(resource.partition("/")[0])
        if environment is None:
            if backend is None:
                detail = "the resource begins with no backend's name: give the environment, or correct the resource"
                raise ProblemError(Problem("bad_parameter", detail))
            environment = backend.environment
        lacking = lacking_binding(backend, principal)
        context = request_context(exchange_of(request), principal)
        engine = services.policy.engine
        # As on the data path: whoever acts for somebody needs the right as well.
        parties: tuple[Principal | Delegate, ...] = (principal, *principal.delegates)
        everything = [
            AccessRequest(party.subject, party.groups, environment, resource, action, context) for party in parties
        ]
        if not principal.limits.allow(resource.partition("/")[0], action):
            beyond = Decision(False, "beyond_token", None, (principal.subject,), engine.revision)
            return decision_members(everything[0], beyond, (), None, lacking)
        asked = next((each for each in everything if not engine.decide(each).allowed), everything[0])
        decision = engine.decide(asked)
        if decision.allowed:
            return decision_members(asked, decision, (), None, lacking)
        is_persons = principal.kind == "user" and asked is everything[0]
        step_up = stronger_login(engine, *everything) if is_persons else None
        return decision_members(asked, decision, engine.roles_that_would_allow(asked), step_up, lacking)

    return routes


def _listed(limit: tuple[str, ...] | None) -> list[str] | None:
    return list(limit) if limit is not None else None
