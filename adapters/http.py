"""Any REST backend, described by a table of routes in the configuration."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from adapters.backend import Access, BackendRequest, Outbound, UnclassifiedError
from adapters.backend_settings import BackendSettings
from adapters.base_url import CALLER_HEADERS, BaseUrl, headers_without
from adapters.bounded_json import json_object
from adapters.credentials import HttpCredential
from adapters.http_query import QueryReader
from adapters.http_route import Route, RouteMatcher
from adapters.path_template import Variables

MAX_BODY_BYTES = 64 * 1024


class HttpSettings(BackendSettings):
    """An `adapter: http` entry: its credential and its routes. The first route that matches, in file order, decides."""

    adapter: Literal["http"] = "http"
    credential: HttpCredential | None = None
    routes: Annotated[tuple[Route, ...], Field(min_length=1)]

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        BaseUrl.parse(url)
        return url

    @field_validator("routes")
    @classmethod
    def _reachable(cls, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        seen: dict[tuple[object, ...], int] = {}
        for number, route in enumerate(routes, 1):
            for method in route.methods:
                key = (method, route.path, tuple(sorted(route.query.items())), repr(sorted(route.body.items())))
                if key in seen:
                    raise ValueError(
                        f"route {number} ({method} {route.path}) is never reached: route {seen[key]} covers the same "
                        "requests; remove one, or tell them apart by query or body"
                    )
                seen[key] = number
        return routes

    @model_validator(mode="after")
    def _body_only_where_one_is_sent(self) -> Self:
        for number, route in enumerate(self.routes, 1):
            if route.body and {"GET", "HEAD"} & set(route.methods):
                raise ValueError(
                    f"route {number} ({route.path}) requires body fields of GET or HEAD, which have no body"
                )
        return self


class HttpAdapter:
    """Classifies by the route table and signs in with one header.

    Raises SecretError at construction where the credential can't be read.
    """

    token_header: bytes | None = None

    def __init__(self, settings: HttpSettings) -> None:
        self.relaxed: frozenset[str] = frozenset(settings.relax)
        self._name = settings.name
        self._reads_bodies = any(route.body for route in settings.routes)
        self._routes: dict[str, list[RouteMatcher]] = {}
        for route in settings.routes:
            for method in route.methods:
                self._routes.setdefault(method, []).append(route.matcher())
        self._base = BaseUrl.parse(settings.url)
        self._credential: tuple[tuple[bytes, bytes], ...] = ()
        if settings.credential is not None:
            self._credential = (settings.credential.read(f"backend {settings.name}, credential"),)
        self._dropped = CALLER_HEADERS | {name.lower() for name, _ in self._credential}

    def body_limit(self, request: BackendRequest) -> int:
        """Return 64 KiB where a route of this method, path and query looks into the body, else 0."""
        if not self._reads_bodies:
            return 0
        try:
            return MAX_BODY_BYTES if any(route.body for route, _ in self._candidates(request)) else 0
        except UnclassifiedError:
            # classify says the same again, where the refusal is recorded.
            return 0

    def classify(self, request: BackendRequest) -> tuple[Access, ...]:
        """Return the one access of the first route that matches; raises UnclassifiedError where none does."""
        body = None
        for route, variables in self._candidates(request):
            if route.body:
                if body is None:
                    _require_json(request)
                    body = json_object(request, MAX_BODY_BYTES)
                if not route.body_matches(body):
                    continue
            return (Access(f"{self._name}/{route.resource.fill(variables)}", route.action),)
        raise UnclassifiedError(
            f"no route of the backend {self._name!r} covers {request.method} {request.path.decode('ascii', 'replace')} "
            "with this query and body; a route in the gateway's configuration would name its resource and action"
        )

    def outbound(self, request: BackendRequest) -> Outbound:
        """Return the request's target below the base path, with Host and the credential put in."""
        headers = [(b"Host", self._base.host), *headers_without(request.headers, self._dropped), *self._credential]
        return Outbound(self._base.target(request), headers)

    def _candidates(self, request: BackendRequest) -> Iterator[tuple[RouteMatcher, Variables]]:
        query = QueryReader(request)
        for route in self._routes.get(request.method, ()):
            variables = route.match(request.segments, query)
            if variables is not None:
                yield route, variables


def _require_json(request: BackendRequest) -> None:
    """Raise UnclassifiedError unless the body says that it is JSON: a backend may read a form where we read JSON."""
    given = request.header(b"content-type") or b""
    media_type, _, parameters = given.partition(b";")
    kind = media_type.strip().lower()
    if not (kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))):
        raise UnclassifiedError("the body decides what this request does: send it with Content-Type: application/json")
    if parameters.strip().lower().replace(b'"', b"") not in (b"", b"charset=utf-8"):
        raise UnclassifiedError("the JSON body must be UTF-8: leave the Content-Type's other parameters out")
