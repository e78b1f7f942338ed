"""Sessions at the gateway, and ending them: one's own without asking anybody, others' under a rule.

Rules for others: `p, role:security, control, -/sessions/**, read, allow,` and the action `revoke` on
`-/revocations/**`: the last segment is the person (`-/revocations/user:bob`), `session` or `token`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from audit.store import AuditUnavailableError
from gateway.api.bodies import json_of
from gateway.api.caller import caller_of, governed
from gateway.api.problem_error import ProblemError, exchange_of
from gateway.api.services import Services
from gateway.problems import Problem
from gateway.recording import authn_record
from identity.issuer.introspection import token_revocation
from identity.principal import UNLIMITED, Principal
from identity.revocation import Revocation
from identity.state import Grant, GrantStore, RevocationStore, StateUnavailableError

Subject = Annotated[str, Field(pattern=r"^(?:user|workload):[A-Za-z0-9._@+=|:/~-]{1,255}$")]
SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
TokenDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revocable = Literal["person", "session", "token"]

_Found = TypeVar("_Found")


class Session(BaseModel):
    """One living session; times are Unix seconds. `client` is `console` or an OAuth client's id."""

    id: str
    client: str
    provider: str
    source: str
    created_at: int
    renewed_at: int
    expires_at: int
    current: bool


class Sessions(BaseModel):
    """A subject's living sessions, newest first."""

    subject: str
    sessions: list[Session]


class RevocationRequest(BaseModel):
    """Whom or what to revoke: exactly one. `token` is a token's SHA-256 in hex, as audit records name it."""

    model_config = ConfigDict(extra="forbid")

    person: Subject | None = None
    session: SessionId | None = None
    token: TokenDigest | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.person, self.session, self.token)) != 1:
            raise ValueError("give exactly one of person, session and token")
        return self


class Revoked(BaseModel):
    """What was revoked, and how many sessions ended with it."""

    revoked: Revocable
    sessions_ended: int


@dataclass(frozen=True, slots=True)
class RevocationServices:
    """What the routes need. `in_force` puts in force, in this process, what was just written."""

    services: Services
    grants: GrantStore
    revocations: RevocationStore
    in_force: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """One revocation: what it is to the policy, whether it is the caller's own, and how it is done."""

    kind: Revocable
    resource: str
    own: bool
    text: str
    run: Callable[[], Sequence[str]]


def router(needs: RevocationServices) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    services = needs.services

    @asynccontextmanager
    async def allowed(
        request: Request, caller: Principal, own: bool, resource: str, action: str
    ) -> AsyncIterator[None]:
        # A delegate, or a token narrowed to some task, has no say about its person's sessions.
        if own and not caller.delegates and caller.limits == UNLIMITED:
            yield
            return
        async with governed(services, request, caller, resource, action):
            yield

    @routes.get("/-/api/v1/sessions")
    async def sessions(request: Request, subject: Annotated[str | None, Query(max_length=300)] = None) -> Sessions:
        """List the living sessions of a subject, by default the caller's own."""
        caller = await caller_of(services, request)
        whose = subject or caller.subject
        async with allowed(request, caller, whose == caller.subject, f"-/sessions/{whose}", "read"):
            grants = await _stored(lambda: needs.grants.living_grants(whose, int(time.time())))
        return Sessions(subject=whose, sessions=[_session(grant, caller) for grant in grants])

    @routes.post("/-/api/v1/revocations")
    async def revoke(request: Request) -> Revoked:
        """Revoke a person, a session or a token: on every replica, open streams included."""
        caller = await caller_of(services, request)
        wanted = await json_of(request, RevocationRequest)
        plan = await _stored(lambda: _plan(needs, wanted, caller, int(time.time())))
        async with allowed(request, caller, plan.own, plan.resource, "revoke"):
            record = authn_record(
                exchange_of(request),
                services.instance,
                "revoke",
                "ok",
                client="api",
                detail=plan.text,
                actor=caller,
                provider=caller.provider,
                session=wanted.session,
            )
            try:
                await services.audit.append(record)
            except AuditUnavailableError:
                raise ProblemError(Problem("audit_unavailable", "nothing was revoked: try again at once")) from None
            ended = await _stored(plan.run)
            try:
                await needs.in_force()
            except StateUnavailableError:
                # It is written, and takes effect as soon as the store can be read again.
                raise ProblemError(_unavailable("the revocation is written but not in force here yet")) from None
        return Revoked(revoked=plan.kind, sessions_ended=len(ended))

    return routes


def _plan(needs: RevocationServices, wanted: RevocationRequest, caller: Principal, now: int) -> _Plan:
    if wanted.session is not None:
        session = wanted.session
        grant = needs.grants.grant(session)
        return _Plan(
            "session",
            "-/revocations/session",
            grant is not None and grant.subject == caller.subject,
            f"the session {session}",
            lambda: needs.grants.end_grants(now=now, reason="revoked", grant_id=session),
        )
    if wanted.person is not None:
        person = wanted.person
        return _Plan(
            "person",
            f"-/revocations/{person}",
            person == caller.subject,
            person,
            lambda: _revoke_person(needs, person, now),
        )
    digest = wanted.token or ""
    own = digest == caller.token_sha256
    # Of one's own token it is known when it ends: its revocation need not be kept for longer.
    until = token_revocation(caller, now).until if own else None
    return _Plan(
        "token",
        "-/revocations/token",
        own,
        f"the token with the SHA-256 {digest}",
        lambda: _revoke_token(needs, Revocation("token", digest, now, until)),
    )


def _revoke_person(needs: RevocationServices, person: str, now: int) -> Sequence[str]:
    # The revocation first: it alone already ends every token, should the second step not come to pass.
    needs.revocations.revoke([Revocation("person", person, now)])
    return needs.grants.end_grants(now=now, reason="revoked", subject=person)


def _revoke_token(needs: RevocationServices, revocation: Revocation) -> Sequence[str]:
    needs.revocations.revoke([revocation])
    return ()


async def _stored(work: Callable[[], _Found]) -> _Found:
    try:
        return await asyncio.to_thread(work)
    except StateUnavailableError:
        raise ProblemError(_unavailable("the identity store can't be used: try again")) from None


def _unavailable(detail: str) -> Problem:
    return Problem("identity_state_unavailable", detail)


def _session(grant: Grant, caller: Principal) -> Session:
    return Session(
        id=grant.id,
        client=grant.client,
        provider=grant.provider,
        source=grant.source,
        created_at=grant.created_at,
        renewed_at=grant.renewed_at,
        expires_at=grant.expires_at,
        current=grant.id == caller.session,
    )
