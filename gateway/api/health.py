"""Is the process alive, and can it do its work?"""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from gateway.api.services import Services

_NOT_CURRENT = "the identity store can't be read, so that nobody is let in: see the gateway's log"


class ProviderHealth(BaseModel):
    """One identity provider: `ready` once its keys are known."""

    name: str
    issuer: str
    ready: bool
    detail: str


class PolicyHealth(BaseModel):
    """The policy in force; `problem` says why a newer one was refused, None where there is none."""

    commit: str
    digest: str
    problem: str | None


class AuditHealth(BaseModel):
    """The audit log: its size in records; `problem` says why it can't be written, None where it can."""

    size: int
    problem: str | None


class IdentityHealth(BaseModel):
    """The view of who was revoked; `problem` says why it may be old, so that nobody is let in, None where it is not."""

    problem: str | None


class Readiness(BaseModel):
    """Everything that decides whether requests can be served."""

    ready: bool
    policy: PolicyHealth
    audit: AuditHealth
    identity: IdentityHealth
    providers: list[ProviderHealth]


def router(services: Services) -> APIRouter:
    """Return the health routes."""
    routes = APIRouter()

    @routes.get("/-/livez")
    async def livez() -> dict[str, str]:
        """Answer while the event loop turns."""
        return {"status": "alive"}

    @routes.get("/-/readyz")
    async def readyz(response: Response) -> Readiness:
        """Answer 200 while the log can be written and at least one provider's keys are known, else 503."""
        providers = [
            ProviderHealth(name=status.name, issuer=status.issuer, ready=status.ready, detail=status.detail)
            for status in services.federation.status()
        ]
        audit = AuditHealth(size=services.audit.counters.size, problem=services.audit.problem)
        # Why, the log says: strangers need not know where the store is.
        suspended = services.federation.suspended is not None
        identity = IdentityHealth(problem=_NOT_CURRENT if suspended else None)
        ready = audit.problem is None and identity.problem is None and any(provider.ready for provider in providers)
        if not ready:
            response.status_code = 503
        revision = services.policy.engine.revision
        policy = PolicyHealth(commit=revision.commit, digest=revision.digest, problem=services.policy.problem)
        return Readiness(ready=ready, policy=policy, audit=audit, identity=identity, providers=providers)

    return routes
