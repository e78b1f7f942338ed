"""`/-/oauth/authorize`: a person lets a client act as them (RFC 6749 section 4.1, RFC 8252).

Every client's session begins with a login at the provider made for it, even where the browser has a session: the
provider, who usually knows the person still, is asked whether it vouches for them now, and gives the refresh token with
which that session asks again at each renewal.
"""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from gateway.api.problem_error import exchange_of
from gateway.console.browser_session import BrowserSession, current_session, is_login_for
from gateway.console.login_pages import login_address
from gateway.console.page import PageError, PageRoute, page, redirect
from gateway.console.recorded_sessions import begin_recorded, record_refusal
from gateway.console.same_origin import csrf_token, own_form
from gateway.console.services import ConsoleServices
from gateway.console.waiting_client import AUTHORIZE_PAGE
from identity.issuer.authorization import AuthorizationRequest, BadAuthorizationRequestError, unknown_provider
from identity.issuer.oauth_error import OAuthError
from identity.issuer.sessions import LoginOverError
from identity.principal import Limits
from identity.return_to import is_own_page


def router(services: ConsoleServices) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get(AUTHORIZE_PAGE)
    async def ask(request: Request) -> Response:
        try:
            asked = services.authorization.request(request.scope["query_string"])
        except BadAuthorizationRequestError as error:
            return _refused(error)
        here = _here(request)
        session = await current_session(services, request)
        if session is None or not is_login_for(services, session, here):
            return _to_login(services, asked, session, here)
        if "none" in asked.prompt:
            return redirect(services.authorization.deny(asked, OAuthError("consent_required", "the person is asked")))
        acr_values = asked.wish.acr_values
        if acr_values is not None and session.principal.acr not in acr_values.split(" "):
            # It was asked for at the login that this is: asking again would go round in circles.
            unmet = OAuthError("unmet_authentication_requirements", "the provider gave no login as strong as asked")
            return redirect(services.authorization.deny(asked, unmet))
        return page(
            "consent.html",
            form_targets=(_form_target(asked.redirect_uri),),
            client=asked.client.name,
            subject=session.principal.subject,
            details=_details(session, asked),
            address=here,
            token=csrf_token(session, AUTHORIZE_PAGE),
        )

    @routes.post(AUTHORIZE_PAGE)
    async def decide(request: Request) -> Response:
        here = _here(request)
        session, form = await own_form(services, request, login_address(here))
        try:
            asked = services.authorization.request(request.scope["query_string"])
        except BadAuthorizationRequestError as error:
            return _refused(error)
        if not is_login_for(services, session, here):
            raise _over()
        try:
            # A yes and a no alike, and also where what follows fails: whoever wants to answer again logs in again.
            provider_refresh_token = await services.sessions.use_login(session.grant)
        except LoginOverError:
            raise _over() from None
        client = asked.client.id
        if form.get("decision") != "allow":
            await record_refusal(services, request, session.principal, client=client, reason="access_denied")
            return redirect(services.authorization.deny(asked, OAuthError("access_denied", "the person said no")))
        grant = await begin_recorded(
            services,
            request,
            session.principal,
            client=client,
            source=exchange_of(request).source,
            provider_refresh_token=provider_refresh_token,
            limits=asked.limits,
            detail="allowed with a browser",
        )
        return redirect(await services.authorization.allow(asked, grant))

    return routes


def limits_in_words(limits: Limits) -> list[tuple[str, str]]:
    """Return what a client asks to be limited to, as facts for a page."""
    facts = []
    if limits.backends is not None:
        facts.append(("Only for", ", ".join(limits.backends)))
    if limits.actions is not None:
        facts.append(("Only to", ", ".join(limits.actions)))
    return facts or [("May do", "whatever you may do")]


def _here(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return f"{AUTHORIZE_PAGE}?{query}" if query else AUTHORIZE_PAGE


def _over() -> PageError:
    text = "Too much time has passed, or this was answered before. Start the login anew where you began it."
    return PageError(400, "This question is over", text, link=("Your account", "/-/console/"))


def _refused(error: BadAuthorizationRequestError) -> Response:
    if error.redirect is not None:
        return redirect(error.redirect)
    text = f"The program that opened this page asked wrongly: {error.error.description}."
    raise PageError(400, "This login can't be begun", text)


def _to_login(
    services: ConsoleServices, asked: AuthorizationRequest, session: BrowserSession | None, here: str
) -> Response:
    if "none" in asked.prompt:
        return redirect(services.authorization.deny(asked, OAuthError("login_required", "the person has to log in")))
    if not is_own_page(here):
        error = OAuthError("invalid_request", "the request is too long, or not percent-encoded as it should be")
        return redirect(services.authorization.deny(asked, error))
    provider = asked.wish.provider
    if provider is not None and provider not in services.relying_party.providers:
        return redirect(services.authorization.deny(asked, unknown_provider(services.relying_party.providers)))
    chooses = "select_account" in asked.prompt
    if provider is None and session is not None and not chooses:
        provider = session.grant.provider
    if provider not in services.relying_party.providers:
        provider = None
    max_age = 0 if "login" in asked.prompt else asked.wish.max_age
    prompt = "select_account" if chooses else None
    acr_values = asked.wish.acr_values
    return redirect(login_address(here, provider=provider, acr_values=acr_values, max_age=max_age, prompt=prompt))


def _form_target(redirect_uri: str) -> str:
    """Return the CSP source for where the form's redirects end; a source can't name an IPv6 address."""
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}:" if "[" in parts.netloc else f"{parts.scheme}://{parts.netloc}"


def _details(session: BrowserSession, asked: AuthorizationRequest) -> list[tuple[str, str]]:
    return [
        ("Program", f"on this computer, listening on {urlsplit(asked.redirect_uri).netloc}"),
        ("Your account", f"{session.principal.username} at {session.principal.provider}"),
        *limits_in_words(asked.limits),
    ]
