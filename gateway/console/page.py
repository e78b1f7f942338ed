"""How a page, a redirect or an error is answered: the templates, and the headers that every answer carries."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.store import AuditUnavailableError
from gateway.api.problem_error import exchange_of
from gateway.console.cookies import cookie_headers
from gateway.console.times import moment
from identity.authenticator import ProviderUnavailableError
from identity.issuer.oauth_error import OAuthError
from identity.state import StateUnavailableError

_TEMPLATES: Final = Environment(
    loader=PackageLoader("gateway.console", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["moment"] = moment

_HEADERS: Final = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action {targets}; "
    "base-uri 'none'; frame-ancestors 'none'"
)

_log = logging.getLogger(__name__)


class PageError(Exception):
    """This request can't be served as asked; `text` says to a person why, and what to do next.

    `link` is what the page leads on with: words, and the address of a page of the gateway's own. `client` is where a
    client waits to hear of it: the browser goes there by itself soon. `headers` are added to the answer's.
    """

    def __init__(
        self,
        status: int,
        title: str,
        text: str,
        *,
        link: tuple[str, str] | None = None,
        client: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.text = text
        self.link = link
        self.client = client
        self.headers = headers or {}


def page(template: str, *, status: int = 200, form_targets: Sequence[str] = (), **values: object) -> Response:
    """Return a page. `form_targets` are CSP sources, besides our own, that its form may end up at by redirects."""
    body = _TEMPLATES.get_template(template).render(**values)
    policy = _POLICY.format(targets=" ".join(("'self'", *form_targets)))
    return Response(
        body, status, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy, **_HEADERS}
    )


def sentence(detail: str) -> str:
    """Return the words of an error as a sentence."""
    return f"{detail[0].upper()}{detail[1:]}."


def redirect(url: str) -> Response:
    """Send the browser on, to be asked for with GET; `url` must have been checked."""
    return Response(status_code=303, headers={"location": url, **_HEADERS})


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose answers carry the request's id and cookies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except PageError as error:
                response = _error_page(request, error)
            except OAuthError as error:
                refused = PageError(error.status, "This address or form can't be read", sentence(error.description))
                response = _error_page(request, refused)
            except AuditUnavailableError:
                response = _error_page(request, _unavailable("This can't be recorded now, so it was not done."))
            except StateUnavailableError as error:
                # The page must not tell strangers where the store is: only the log says what failed.
                _log.error("a page can't be shown, the identity state can't be used: %s", error)
                response = _error_page(request, _unavailable("The gateway can't read its sessions now."))
            except ProviderUnavailableError as error:
                _log.warning("the provider %s: %s", error.provider, error.detail)
                response = _error_page(request, _unavailable(f"The provider {error.provider} can't be reached now."))
            response.headers["portcullis-request-id"] = exchange_of(request).request_id
            for cookie in cookie_headers(request):
                response.headers.append("set-cookie", cookie)
            return response

        return answer


def _error_page(request: Request, error: PageError) -> Response:
    response = page("error.html", status=error.status, error=error, request_id=exchange_of(request).request_id)
    response.headers.update(error.headers)
    return response


def _unavailable(text: str) -> PageError:
    return PageError(503, "Not now", f"{text} Try again in a moment.", headers={"retry-after": "5"})
