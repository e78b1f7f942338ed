"""The SCIM 2.0 service: each provider pushes its users and groups to `/-/scim/v2/<provider>/` (RFC 7644).

A provider signs in with a bearer token of its own, which is looked at before anything else of a request. Answers and
errors have the forms of SCIM, not of the gateway's problems. A change has taken effect in this process when its answer
is sent. It is recorded after it was made, so that the record can say what it was. Where the log can't be written,
nothing is begun, and a change that could not be recorded in spite of that is answered 503, for the client to repeat.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import APIRouter, Request, Response

from audit.log import AuditLog
from audit.store import AuditUnavailableError
from gateway.api.bodies import body_of
from gateway.api.problem_error import exchange_of
from gateway.body import BodyTooLargeError, BodyTooSlowError
from gateway.exchange import Exchange
from gateway.recording import authn_record
from identity.scim import discovery
from identity.scim.errors import ScimError, bad_request
from identity.scim.schema import RESOURCE_TYPES, ResourceType
from identity.scim.service import Answer, Conditions, ScimService
from identity.state import StateUnavailableError
from identity.strict_json import JsonObject, StrictJsonError, parse_json_object

MAX_BODY_BYTES: Final = 8 << 20
"""A group of 50,000 members, written comfortably."""
BODY_WITHIN_S: Final = 60.0
MAX_DEPTH: Final = 10
AT_ONCE: Final = 2
"""Requests that are worked on at the same time: a full synchronization must leave room for logins."""

_MEDIA_TYPE = "application/scim+json"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_NOBODY = secrets.token_bytes(32)
_DISCOVERY = ("ServiceProviderConfig", "ResourceTypes", "Schemas")


@dataclass(frozen=True, slots=True)
class ScimFeed:
    """One provider's feed: the SHA-256 of the token that it signs in with, and its users and groups."""

    token_sha256: bytes
    service: ScimService


@dataclass(frozen=True, slots=True)
class ScimServices:
    """What the routes need: the feeds by the provider's name.

    `in_force` puts in force, in this process, what was just written (see `IdentitySync.catch_up`).
    """

    feeds: Mapping[str, ScimFeed]
    audit: AuditLog
    instance: str
    in_force: Callable[[], Awaitable[None]]


def router(services: ScimServices) -> APIRouter:
    """Return the routes. They are in no OpenAPI document: SCIM has its own (`/Schemas`, `/ResourceTypes`)."""
    routes = APIRouter(include_in_schema=False)
    room = asyncio.Semaphore(AT_ONCE)

    @routes.api_route("/-/scim/v2/{provider}", methods=_METHODS)
    @routes.api_route("/-/scim/v2/{provider}/{path:path}", methods=_METHODS)
    async def scim(request: Request, provider: str, path: str = "") -> Response:
        """Answer one request of a provider."""
        exchange = exchange_of(request)
        try:
            feed = await _signed_in(services, exchange, provider)
            answer = await _Call(services, request, exchange, provider, feed.service, room).answer(path)
        except ScimError as error:
            answer = Answer(error.status, error.document())
        body = await asyncio.to_thread(_encoded, answer.document) if answer.document is not None else None
        return _response(answer, body, exchange)

    return routes


@dataclass(frozen=True, slots=True)
class _Call:
    """One request of a provider that has signed in."""

    services: ScimServices
    request: Request
    exchange: Exchange
    provider: str
    service: ScimService
    room: asyncio.Semaphore

    async def answer(self, path: str) -> Answer:
        """Do what is asked; raises ScimError."""
        name, _, rest = path.partition("/")
        resource_type = RESOURCE_TYPES.get(name)
        if resource_type is None:
            return self._discovery(name, rest)
        method, service = self.request.method, self.service
        parameters = self.request.query_params
        conditions = Conditions(self.request.headers.get("if-match"), self.request.headers.get("if-none-match"))
        match method, rest:
            case "GET", "":
                return await self._in_thread(lambda: service.list(resource_type, parameters))
            case "GET", resource_id:
                return await self._in_thread(lambda: service.get(resource_type, resource_id, parameters, conditions))
            case "POST", "":
                body = await self._body()
                return await self._write(resource_type, lambda: service.create(resource_type, body(), parameters))
            case "PUT", resource_id if resource_id:
                body = await self._body()
                return await self._write(
                    resource_type, lambda: service.replace(resource_type, resource_id, body(), parameters, conditions)
                )
            case "PATCH", resource_id if resource_id:
                body = await self._body()
                return await self._write(
                    resource_type, lambda: service.patch(resource_type, resource_id, body(), parameters, conditions)
                )
            case "DELETE", resource_id if resource_id:
                return await self._write(resource_type, lambda: service.delete(resource_type, resource_id, conditions))
        raise ScimError(405, None, f"{method} is not served here")

    def _discovery(self, name: str, rest: str) -> Answer:
        base_url = self.service.base_url
        if name not in _DISCOVERY or (name == "ServiceProviderConfig" and rest):
            raise ScimError(404, None, "there is nothing here")
        if self.request.method != "GET":
            raise ScimError(405, None, f"{self.request.method} is not served here")
        if name == "ServiceProviderConfig":
            return Answer(200, discovery.service_provider_config(base_url))
        if "filter" in self.request.query_params:
            # RFC 7644, section 4: so that nobody takes a part for the whole.
            raise ScimError(403, None, "this can't be filtered")
        documents = discovery.schemas(base_url) if name == "Schemas" else discovery.resource_types(base_url)
        if not rest:
            return Answer(200, discovery.listed(documents))
        if rest not in documents:
            raise ScimError(404, None, "there is nothing here")
        return Answer(200, documents[rest])

    async def _write(self, resource_type: ResourceType, work: Callable[[], Answer]) -> Answer:
        if self.services.audit.problem is not None:
            raise _unavailable()
        try:
            answer = await self._in_thread(work)
        except ScimError as error:
            await self._record("fail", f"{self.request.method} of a {resource_type.kind.lower()}: {error.detail}")
            raise
        try:
            await self.services.in_force()
        except StateUnavailableError:
            # It is written; whoever follows the store will see it.
            pass
        await self._record("ok", answer.done or "")
        return answer

    async def _record(self, result: Literal["ok", "fail"], detail: str) -> None:
        try:
            await _record(self.services, self.exchange, self.provider, result, detail)
        except AuditUnavailableError:
            raise _unavailable() from None

    async def _body(self) -> Callable[[], JsonObject]:
        """Read the body and return what parses it, for a worker thread: it may be large."""
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in (_MEDIA_TYPE, "application/json"):
            raise ScimError(415, None, f"the body must be {_MEDIA_TYPE} or application/json")
        try:
            data = await body_of(self.request, MAX_BODY_BYTES, BODY_WITHIN_S)
        except BodyTooLargeError:
            raise ScimError(413, None, f"the body is longer than {MAX_BODY_BYTES} bytes") from None
        except BodyTooSlowError:
            raise ScimError(408, None, f"the body did not come within {BODY_WITHIN_S:g} s") from None
        return lambda: _parsed(data)

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        try:
            async with self.room:
                return await asyncio.to_thread(work)
        except StateUnavailableError:
            raise _unavailable() from None


def _parsed(data: bytes) -> JsonObject:
    try:
        return parse_json_object(data, max_depth=MAX_DEPTH)
    except StrictJsonError as error:
        raise bad_request("invalidSyntax", f"the body can't be read: {error}") from None


def _encoded(document: JsonObject) -> bytes:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _unavailable() -> ScimError:
    return ScimError(503, None, "the gateway can't read or write its identity state or its log now: try again")


async def _signed_in(services: ScimServices, exchange: Exchange, provider: str) -> ScimFeed:
    """Return the provider's feed where the request has its token, else record the attempt and raise ScimError."""
    feed = services.feeds.get(provider)
    headers = exchange.headers
    assert headers is not None
    scheme, _, token = (headers.authorization or b"").partition(b" ")
    # By their digests, in constant time; where there is no such feed it takes as long.
    is_good = hmac.compare_digest(hashlib.sha256(token).digest(), feed.token_sha256 if feed is not None else _NOBODY)
    if feed is not None and is_good and scheme.lower() == b"bearer":
        return feed
    detail = "the token is missing or wrong" if feed is not None else "no provider of this name pushes accounts"
    try:
        await _record(services, exchange, provider if feed is not None else "", "fail", detail)
    except AuditUnavailableError:
        raise _unavailable() from None
    raise ScimError(401, None, "send the token that the gateway's configuration names for this provider")


async def _record(
    services: ScimServices, exchange: Exchange, provider: str, result: Literal["ok", "fail"], detail: str
) -> None:
    await services.audit.append(
        authn_record(exchange, services.instance, "provision", result, client="scim", detail=detail, provider=provider)
    )


def _response(answer: Answer, body: bytes | None, exchange: Exchange) -> Response:
    headers = {"cache-control": "no-store", "portcullis-request-id": exchange.request_id, **answer.headers}
    if answer.status == 401:
        headers["www-authenticate"] = 'Bearer realm="portcullis scim"'
    if answer.status == 503:
        headers["retry-after"] = "5"
    return Response(body, status_code=answer.status, headers=headers, media_type=_MEDIA_TYPE if body else None)
