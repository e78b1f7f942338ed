"""Logging in and out: `/-/login`, `/-/login/callback/PROVIDER`, `/-/logout`."""

import logging
import re
from dataclasses import asdict, dataclass, replace
from typing import Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response

from audit.store import AuditUnavailableError
from gateway.api.problem_error import exchange_of
from gateway.console.browser_session import (
    begin_session,
    current_session,
    forget_session,
    named_grant,
)
from gateway.console.cookies import PREFIX, delete_cookie, sealed_cookies, set_cookie
from gateway.console.page import PageError, PageRoute, page, redirect, sentence
from gateway.console.recorded_sessions import begin_recorded, end_recorded, record_refusal
from gateway.console.same_origin import csrf_token, own_form
from gateway.console.services import ConsoleServices
from gateway.console.waiting_client import client_address
from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.issuer.clients import CONSOLE
from identity.issuer.parameters import Parameters
from identity.login import CALLBACK_PATH, LOGIN_WITHIN_S, FinishedLogin, PendingLogin, is_state
from identity.relying_party_messages import LoginError
from identity.return_to import is_own_page
from identity.state import Grant, StateUnavailableError

CONSOLE_PAGE: Final = "/-/console/"
# Tabs that may log in at once. More would only fill the browser's requests with cookies until they are refused.
MAX_PENDING: Final = 5

_COOKIE: Final = PREFIX + "login-"
_ANSWER: Final = ("state", "iss", "code", "error")
# What is not the person's or their browser's fault.
_STATUS: Final = {
    "client_refused": 502,
    "no_id_token": 502,
    "login_age_unknown": 502,
    "provider_error": 502,
    "too_many_logins": 503,
}
_AGE = re.compile(r"[0-9]{1,9}")
_ACR_VALUES = re.compile(r"[!-~]+(?: [!-~]+)*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wish:
    """The login that an address asks for: where it leads, at which provider, how strong and how fresh (seconds)."""

    return_to: str
    provider: str | None = None
    acr_values: str | None = None
    max_age: int | None = None
    prompt: str | None = None

    @property
    def address(self) -> str:
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return "/-/login?" + urlencode(fields)


def login_address(
    return_to: str,
    *,
    provider: str | None = None,
    acr_values: str | None = None,
    max_age: int | None = None,
    prompt: str | None = None,
) -> str:
    """Return the address at which a login begins that leads back to `return_to`."""
    return _Wish(return_to, provider, acr_values, max_age, prompt).address


def router(services: ConsoleServices) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)
    party = services.relying_party

    @routes.get("/-/login")
    async def login(request: Request) -> Response:
        wish = _wish(_query(request))
        if wish.provider is None and len(party.providers) == 1:
            wish = replace(wish, provider=party.providers[0])
        if wish.provider is None:
            return page("choose.html", choices=_choices(services, wish))
        if wish.provider not in party.providers:
            raise PageError(404, "No such provider", "Nobody can log in there.", link=("Log in", "/-/login"))
        try:
            begun = party.begin(
                wish.provider, wish.return_to, acr_values=wish.acr_values, max_age=wish.max_age, prompt=wish.prompt
            )
        except ProviderUnavailableError as error:
            raise _unreachable(services, error, wish.return_to) from None
        _make_room(services, request)
        set_cookie(request, _cookie_of(begun.state), begun.sealed, LOGIN_WITHIN_S)
        return redirect(begun.url)

    @routes.get(CALLBACK_PATH + "/{provider}")
    async def callback(request: Request, provider: str) -> Response:
        fields = _query(request)
        answer = {name: text for name in _ANSWER if (text := fields.get(name, longest=8192)) is not None}
        pending = await _pending(services, request, answer.get("state", ""))
        # Whatever comes of it, this login is not tried again.
        delete_cookie(request, _cookie_of(pending.state))
        try:
            finished = await _finished(services, request, pending, answer, came_to=provider)
            grant = await _begun(services, request, pending, finished)
        except AuditUnavailableError:
            detail = "this can't be recorded now, so it was not done: try again in a moment"
            raise _failed(services, 503, detail, pending.return_to) from None
        except StateUnavailableError as error:
            _log.error("a login can't be finished, the identity state can't be used: %s", error)
            detail = "the gateway can't keep sessions now: try again in a moment"
            raise _failed(services, 503, detail, pending.return_to) from None
        begin_session(services, request, grant, pending.return_to)
        return redirect(pending.return_to)

    @routes.get("/-/logout")
    async def ask_whether_to_log_out(request: Request) -> Response:
        session = await current_session(services, request)
        if session is None:
            return page("logged_out.html")
        return page("log_out.html", subject=session.principal.subject, token=csrf_token(session, "/-/logout"))

    @routes.post("/-/logout")
    async def log_out(request: Request) -> Response:
        session, _ = await own_form(services, request, "/-/login")
        forget_session(request)
        await end_recorded(services, request, session.principal, session.grant, "logged out with the browser")
        return redirect("/-/logout")

    return routes


def _query(request: Request) -> Parameters:
    parameters = Parameters.parse(request.scope["query_string"])
    parameters.check_repeats()
    return parameters


def _wish(query: Parameters) -> _Wish:
    return_to, max_age = query.get("return_to", longest=8192) or CONSOLE_PAGE, query.get("max_age")
    acr_values, prompt = query.get("acr_values", longest=256), query.get("prompt")
    if not is_own_page(return_to):
        raise _bad_link("It leads to another place than this gateway's pages after the login.")
    if acr_values is not None and not _ACR_VALUES.fullmatch(acr_values):
        raise _bad_link("What it asks of the login (acr_values) can't be read.")
    if max_age is not None and not _AGE.fullmatch(max_age):
        raise _bad_link("What it asks of the login (max_age) can't be read.")
    if prompt not in (None, "login", "select_account"):
        raise _bad_link("What it asks of the login (prompt) can't be read.")
    age = int(max_age) if max_age is not None else None
    return _Wish(return_to, query.get("provider"), acr_values, age, prompt)


def _choices(services: ConsoleServices, wish: _Wish) -> list[tuple[str, str, str]]:
    if not services.relying_party.providers:
        text = "No provider has a client for the gateway (client_id): tell the platform team."
        raise PageError(404, "Nobody can log in here", text)
    return [
        (each.name, urlsplit(each.issuer).netloc, replace(wish, provider=each.name).address)
        for each in services.providers
        if each.name in services.relying_party.providers
    ]


async def _pending(services: ConsoleServices, request: Request, state: str) -> PendingLogin:
    """Return the login that this browser has begun with that state."""
    cookie = _cookie_of(state) if is_state(state) else ""
    sealed = sealed_cookies(request, cookie).get(cookie, b"") if cookie else b""
    try:
        return services.relying_party.pending(state, sealed)
    except LoginError as error:
        await record_refusal(services, request, "", client=CONSOLE, reason=error.code)
        raise _failed(services, 400, error.detail, CONSOLE_PAGE) from None


async def _finished(
    services: ConsoleServices, request: Request, pending: PendingLogin, answer: dict[str, str], *, came_to: str
) -> FinishedLogin:
    try:
        return await services.relying_party.finish(pending, answer, came_to=came_to)
    except LoginError as error:
        status = _STATUS.get(error.code, 400)
        reason, failure = error.code, _failed(services, status, error.detail, pending.return_to)
    except InvalidCredentialError as error:
        reason, failure = error.code, _failed(services, 403, error.detail, pending.return_to)
    except ProviderUnavailableError as error:
        reason, failure = "provider_unavailable", _unreachable(services, error, pending.return_to)
    await record_refusal(services, request, pending.provider, client=CONSOLE, reason=reason)
    raise failure


async def _begun(services: ConsoleServices, request: Request, pending: PendingLogin, finished: FinishedLogin) -> Grant:
    """Begin a session in the place of the browser's last one, recorded before anything of it is given out."""
    earlier = named_grant(services, request)
    # A session of the console is not renewed; only what a client's session is made from keeps the provider's token.
    for_client = not pending.return_to.startswith(CONSOLE_PAGE)
    grant = await begin_recorded(
        services,
        request,
        finished.principal,
        client=CONSOLE,
        source=exchange_of(request).source,
        provider_refresh_token=finished.refresh_token if for_client else None,
        detail=f"logged in with a browser{f', in the place of {earlier}' if earlier is not None else ''}",
    )
    if earlier is not None:
        await services.sessions.end(earlier, "logged_out")
    return grant


def _make_room(services: ConsoleServices, request: Request) -> None:
    """Have the browser drop the logins that are over, and the oldest where many are under way."""
    pending = {
        name: services.relying_party.unsealed(sealed) for name, sealed in sealed_cookies(request, _COOKIE).items()
    }
    oldest_first = sorted(pending, key=lambda name: each.began_at if (each := pending[name]) is not None else 0)
    over = [name for name, each in pending.items() if each is None]
    for name in {*over, *oldest_first[: max(0, len(oldest_first) - MAX_PENDING + 1)]}:
        delete_cookie(request, name)


def _cookie_of(state: str) -> str:
    return _COOKIE + state[:8]


def _unreachable(services: ConsoleServices, error: ProviderUnavailableError, return_to: str) -> PageError:
    # The detail names addresses and settings: it is the operator's.
    _log.warning("a login through %s failed: %s", error.provider, error.detail)
    text = f"the provider {error.provider} can't be reached now: try again in a moment"
    return _failed(services, 503, text, return_to)


def _failed(services: ConsoleServices, status: int, detail: str, return_to: str) -> PageError:
    """Return the page on a login that came to nothing; where a client waits for it, it is begun anew there."""
    client = client_address(services, return_to, status, detail)
    return PageError(
        status,
        "The login did not work",
        sentence(detail),
        link=("Begin again", login_address(return_to)) if client is None else None,
        client=client,
        headers={"retry-after": "5"} if status == 503 else None,
    )


def _bad_link(text: str) -> PageError:
    return PageError(400, "This link is not good", text, link=("Log in", "/-/login"))
