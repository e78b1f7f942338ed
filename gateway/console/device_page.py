"""`/-/device`: a person enters the code that a device shows, sees whose it is, and says yes or no (RFC 8628).

The code is asked for in a form of its own even where the address holds it, and shown again beside where the request
came from: whoever is sent such an address by somebody else should notice (RFC 8628 section 5.4).
"""

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from gateway.console.authorize_page import limits_in_words
from gateway.console.browser_session import DEVICE_PAGE, BrowserSession, current_session, is_login_for
from gateway.console.login_pages import login_address
from gateway.console.page import PageError, PageRoute, page, redirect
from gateway.console.recorded_sessions import begin_recorded, record_refusal
from gateway.console.same_origin import csrf_token, own_form
from gateway.console.services import ConsoleServices
from gateway.console.times import ago
from identity.issuer.clients import CLIENTS
from identity.issuer.device import LIFE_S, TooManyGuessesError, WaitingDevice
from identity.issuer.parameters import Parameters
from identity.issuer.sessions import LoginOverError

# What may lie between a login at the provider and the session here that it leads to.
_LOGIN_TAKES_S: Final = 60
_NO_DEVICE: Final = "No device waits under this code. Compare it with what the device shows."


def router(services: ConsoleServices) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get(DEVICE_PAGE)
    async def ask_for_the_code(request: Request) -> Response:
        user_code = _entered(Parameters.parse(request.scope["query_string"]))
        session = await current_session(services, request)
        if session is None or not is_login_for(services, session, DEVICE_PAGE):
            return redirect(_login_again(user_code, provider=session.grant.provider if session is not None else None))
        return _code_page(session, user_code)

    @routes.post(DEVICE_PAGE)
    async def take_the_code(request: Request) -> Response:
        session, form = await own_form(services, request, _login_again(""))
        user_code = _entered(form)
        if not is_login_for(services, session, DEVICE_PAGE):
            raise _over(user_code)
        device = await _waiting_device(services, session, user_code)
        if device is None:
            return _code_page(session, user_code, _NO_DEVICE)
        match form.get("decision"):
            case "allow":
                _check_wish(services, session, device)
                return await _allow(services, request, session, device)
            case "deny":
                return await _deny(services, request, session, device)
            case _:
                _check_wish(services, session, device)
                return _confirmation_page(services, session, device)

    return routes


async def _waiting_device(services: ConsoleServices, session: BrowserSession, user_code: str) -> WaitingDevice | None:
    try:
        return await services.devices.lookup(user_code, session.principal.subject)
    except TooManyGuessesError:
        text = "You have entered too many codes that no device shows. Try again in ten minutes."
        raise PageError(429, "Too many wrong codes", text, headers={"retry-after": str(LIFE_S)}) from None


def _check_wish(services: ConsoleServices, session: BrowserSession, device: WaitingDevice) -> None:
    """Raise PageError where the device asks for another login than this one: at some provider, stronger or fresher."""
    wish, grant = device.wish, session.grant
    if wish.provider is not None and wish.provider not in services.relying_party.providers:
        text = f"It asks for a login through {wish.provider}, where nobody can log in. Begin its login anew."
        raise PageError(400, "This device can't be let in", text)
    fits = wish.provider in (None, grant.provider)
    fits = fits and (wish.acr_values is None or session.principal.acr in wish.acr_values.split(" "))
    if wish.max_age is not None:
        # The session was begun for this page minutes ago, so its login was as fresh then as it is asked to be.
        age_s = grant.created_at - grant.authenticated_at if grant.authenticated_at is not None else None
        fits = fits and age_s is not None and age_s <= wish.max_age + _LOGIN_TAKES_S
    if not fits:
        again = _login_again(device.user_code, wish.provider, wish.acr_values, wish.max_age)
        text = "The device asks for a stronger or fresher login than you have now, or for one through another provider."
        raise PageError(403, "Log in again for this device", text, link=("Log in again", again))


async def _allow(
    services: ConsoleServices, request: Request, session: BrowserSession, device: WaitingDevice
) -> Response:
    try:
        # First, so that of two answers at once one lets a device in, and also where what follows fails.
        provider_refresh_token = await services.sessions.use_login(session.grant)
    except LoginOverError:
        raise _over(device.user_code) from None
    grant = await begin_recorded(
        services,
        request,
        session.principal,
        client=device.client,
        source=device.source,
        provider_refresh_token=provider_refresh_token,
        limits=device.limits,
        detail=f"allowed with a browser for a device at {device.source}",
    )
    if not await services.devices.allow(device, grant):
        await services.sessions.end(grant.id, "expired")
        text = "It has stopped waiting, or somebody has answered it already. Begin its login anew."
        raise PageError(409, "The device does not wait any more", text)
    text = f"Go back to it: within some seconds it acts as {session.principal.subject}. This page can be closed."
    return page("device_done.html", title="The device is let in", text=text)


async def _deny(
    services: ConsoleServices, request: Request, session: BrowserSession, device: WaitingDevice
) -> Response:
    await services.devices.deny(device)
    await record_refusal(services, request, session.principal, client=device.client, reason="access_denied")
    text = f"It is told so. If nobody you know has begun its login, tell the platform team of {device.source}."
    return page("device_done.html", title="The device is not let in", text=text)


def _over(user_code: str) -> PageError:
    text = "Too much time has passed since you logged in, or another device was let in meanwhile."
    return PageError(400, "This question is over", text, link=("Log in again", _login_again(user_code)))


def _entered(parameters: Parameters) -> str:
    return (parameters.get("user_code") or "")[:32]


def _code_page(session: BrowserSession, user_code: str, problem: str = "") -> Response:
    return page(
        "device.html",
        status=400 if problem else 200,
        subject=session.principal.subject,
        token=csrf_token(session, DEVICE_PAGE),
        user_code=user_code,
        problem=problem,
    )


def _confirmation_page(services: ConsoleServices, session: BrowserSession, device: WaitingDevice) -> Response:
    client = CLIENTS.get(device.client)
    details = [
        ("Asked from", device.source or "an unknown address"),
        ("Asked", ago(int(services.clock()) - device.created_at)),
        ("Your account", f"{session.principal.username} at {session.principal.provider}"),
        *limits_in_words(device.limits),
    ]
    return page(
        "device_confirm.html",
        client=client.name if client is not None else device.client,
        subject=session.principal.subject,
        user_code=device.user_code,
        details=details,
        token=csrf_token(session, DEVICE_PAGE),
    )


def _login_again(
    user_code: str, provider: str | None = None, acr_values: str | None = None, max_age: int | None = None
) -> str:
    page_with_code = f"{DEVICE_PAGE}?{urlencode({'user_code': user_code})}" if user_code else DEVICE_PAGE
    return login_address(page_with_code, provider=provider, acr_values=acr_values, max_age=max_age)
