"""The gateway's pages for people, all of them: logging in and out, consent, devices, the account."""

from collections.abc import Callable
from importlib import resources
from typing import Final

from fastapi import APIRouter, Response

from gateway.console import account_pages, authorize_page, device_page, login_pages
from gateway.console.services import ConsoleServices

_ASSETS: Final = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


def router(services: ConsoleServices) -> APIRouter:
    """Return the routes of every page. They need the identity state: without it there is nothing to log in to."""
    routes = APIRouter()
    for part in (login_pages, authorize_page, device_page, account_pages):
        routes.include_router(part.router(services))
    for name, media_type in _ASSETS.items():
        content = resources.files("gateway.console").joinpath("templates", name).read_bytes()
        routes.add_api_route(f"/-/console/{name}", _asset(content, media_type), include_in_schema=False)
    return routes


def _asset(content: bytes, media_type: str) -> Callable[[], Response]:
    headers = {"cache-control": "public, max-age=300", "x-content-type-options": "nosniff"}

    def asset() -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return asset
