"""`/-/console/`: how the gateway knows somebody, and where they are logged in."""

import asyncio
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.console.browser_session import BrowserSession, current_session, forget_session
from gateway.console.login_pages import CONSOLE_PAGE, login_address
from gateway.console.page import PageError, PageRoute, page, redirect
from gateway.console.recorded_sessions import end_recorded
from gateway.console.same_origin import csrf_token, own_form
from gateway.console.services import ConsoleServices
from gateway.console.times import ago, moment
from identity.issuer.clients import CLIENTS, CONSOLE
from identity.state import Grant

SESSIONS_PATH: Final = "/-/console/sessions"
MAX_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class _Row:
    """A session as it is listed."""

    id: str
    name: str
    current: bool
    source: str
    provider: str
    created_at: int
    expires_at: int


def router(services: ConsoleServices) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    async def living(session: BrowserSession) -> list[Grant]:
        now = int(services.clock())
        return list(await asyncio.to_thread(services.grants.living_grants, session.principal.subject, now))

    @routes.get(CONSOLE_PAGE)
    async def account(request: Request) -> Response:
        session = await current_session(services, request)
        if session is None:
            return redirect(login_address(CONSOLE_PAGE))
        grants = await living(session)
        return page(
            "console.html",
            subject=session.principal.subject,
            account=_account(session),
            groups=session.principal.groups,
            login=_login(session, int(services.clock())),
            sessions=[_row(each, session) for each in grants[:MAX_LISTED]],
            more=max(0, len(grants) - MAX_LISTED),
            sessions_token=csrf_token(session, SESSIONS_PATH),
            logout_token=csrf_token(session, "/-/logout"),
        )

    @routes.post(SESSIONS_PATH)
    async def end_sessions(request: Request) -> Response:
        session, form = await own_form(services, request, login_address(CONSOLE_PAGE))
        wanted = form.required("session")
        grants = [each for each in await living(session) if wanted in (each.id, "all")]
        if not grants:
            text = "It has ended already, or it is not yours."
            raise PageError(404, "No such session", text, link=("Your account", CONSOLE_PAGE))
        # Its own last: were it ended first, a failure on the way would leave nobody to end the others.
        for grant in sorted(grants, key=lambda each: each.id == session.grant.id):
            await end_recorded(services, request, session.principal, grant, "ended in the console")
        if any(each.id == session.grant.id for each in grants):
            forget_session(request)
            return redirect("/-/logout")
        return redirect(CONSOLE_PAGE)

    return routes


def _account(session: BrowserSession) -> list[tuple[str, str]]:
    principal = session.principal
    facts = [
        ("Subject", principal.subject),
        ("Provider", principal.provider),
        ("Account there", principal.username),
    ]
    if principal.email is not None:
        facts.append(("E-mail address", principal.email))
    return facts


def _login(session: BrowserSession, now: int) -> list[tuple[str, str]]:
    principal, grant = session.principal, session.grant
    facts = [("At the gateway since", f"{moment(grant.created_at)} ({ago(now - grant.created_at)})")]
    if principal.authenticated_at is not None:
        at = principal.authenticated_at
        facts.append(("At the provider since", f"{moment(at)} ({ago(now - at)})"))
    facts.append(("Strength (acr)", principal.acr or "the provider does not say"))
    facts.append(("Methods (amr)", ", ".join(principal.amr) or "the provider does not say"))
    facts.append(("Ends", moment(grant.expires_at)))
    return facts


def _row(grant: Grant, session: BrowserSession) -> _Row:
    client = CLIENTS.get(grant.client)
    if grant.client == CONSOLE:
        name = "Browser"
    else:
        name = client.name.removeprefix("the ").capitalize() if client is not None else grant.client
    return _Row(
        id=grant.id,
        name=name,
        current=grant.id == session.grant.id,
        source=grant.source or "an unknown address",
        provider=grant.provider,
        created_at=grant.created_at,
        expires_at=grant.expires_at,
    )
