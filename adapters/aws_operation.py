"""Which operation of which AWS service a request is, by the protocol it speaks.

Clients name the operation in a header (json), in a form (query, ec2), in the path (rpc-v2-cbor) or by method, path and
parameters (rest-json, rest-xml). The service is looked for among those configured; two that fit are no answer. The
request is signed for the service found here, so an AWS endpoint can't take it for another one's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from adapters.aws_models import Service
from adapters.aws_rest import RestTable, query_parameters
from adapters.backend import BackendRequest, UnclassifiedError
from adapters.bounded_json import plain_body

HeaderMap = Mapping[bytes, bytes]
Protocol = Literal["json", "query", "cbor", "rest"]

MAX_FORM_BYTES: Final = 1024 * 1024

_FORM: Final = b"application/x-www-form-urlencoded"
_JSON_TYPES: Final = (b"application/x-amz-json-1.0", b"application/x-amz-json-1.1")
# What no request of the AWS SDKs has twice, and what one reader could take from the first and another from the last.
_ONCE: Final = (b"content-type", b"content-encoding", b"content-md5", b"smithy-protocol")


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of one service; `parameters` are the decoded query parameters in their order.

    `headers` are the request's by lower-case name; those that matter to AWS are known to stand once.
    """

    service: Service
    operation: str
    headers: HeaderMap
    parameters: tuple[tuple[str, str], ...] = ()


def header_map(request: BackendRequest) -> HeaderMap:
    """Return the headers by lower-case name; raises UnclassifiedError where one that matters to AWS stands twice."""
    headers = {name.lower(): value for name, value in request.headers}
    if len(headers) != len(request.headers):
        names = [name.lower() for name, _ in request.headers]
        for name in headers:
            if (name in _ONCE or name.startswith(b"x-amz-")) and names.count(name) > 1:
                raise UnclassifiedError(f"the header {name.decode('latin-1')!r} is given {names.count(name)} times")
    return headers


def protocol_of(request: BackendRequest, headers: HeaderMap) -> Protocol:
    """Return the protocol that the request speaks, by its headers; raises UnclassifiedError where they name two."""
    if b"x-amz-target" in headers:
        if b"smithy-protocol" in headers:
            raise UnclassifiedError("X-Amz-Target and Smithy-Protocol name two protocols")
        return "json"
    if b"smithy-protocol" in headers:
        return "cbor"
    if request.method == "POST" and request.path == b"/" and _media_type(headers) == _FORM:
        return "query"
    return "rest"


class OperationFinder:
    """Finds a request's operation among some services."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._by_target: dict[str, list[Service]] = {}
        self._by_version: dict[str, list[Service]] = {}
        self._rest: list[tuple[Service, RestTable]] = []
        for service in services:
            if service.target_prefix is not None:
                self._by_target.setdefault(service.target_prefix, []).append(service)
            if service.protocols & {"query", "ec2"}:
                self._by_version.setdefault(service.api_version, []).append(service)
            if service.rest:
                self._rest.append((service, RestTable(service)))

    def find(self, request: BackendRequest) -> Call:
        """Return the one operation that the request is; raises UnclassifiedError where none or several fit."""
        headers = header_map(request)
        if not request.path.isascii():
            raise UnclassifiedError("the path holds bytes that are not ASCII: percent-encode them")
        match protocol_of(request, headers):
            case "rest":
                return self._rest_call(request, headers)
            case "json":
                return self._json(request, headers)
            case "cbor":
                return self._cbor(request, headers)
            case "query":
                return self._query(request, headers)

    def _json(self, request: BackendRequest, headers: HeaderMap) -> Call:
        if request.method != "POST" or request.path != b"/" or request.query:
            raise UnclassifiedError("a request with X-Amz-Target is a POST to `/` without a query")
        if _media_type(headers) not in _JSON_TYPES:
            raise UnclassifiedError(
                "a request with X-Amz-Target has the Content-Type application/x-amz-json-1.0 or -1.1"
            )
        target = headers[b"x-amz-target"].decode("latin-1")
        prefix, _, operation = target.rpartition(".")
        found = [s for s in self._by_target.get(prefix, ()) if "json" in s.protocols and operation in s.operations]
        return _only([Call(service, operation, headers) for service in found], f"X-Amz-Target {target!r}")

    def _cbor(self, request: BackendRequest, headers: HeaderMap) -> Call:
        if request.method != "POST" or request.query or headers[b"smithy-protocol"] != b"rpc-v2-cbor":
            raise UnclassifiedError("a request with Smithy-Protocol is rpc-v2-cbor: a POST without a query")
        match request.segments:
            case ("service", prefix, "operation", operation):
                found = [
                    s
                    for s in self._by_target.get(prefix, ())
                    if "smithy-rpc-v2-cbor" in s.protocols and operation in s.operations
                ]
                return _only([Call(service, operation, headers) for service in found], f"{prefix}.{operation}")
        raise UnclassifiedError("the path of an rpc-v2-cbor request is /service/NAME/operation/NAME")

    def _query(self, request: BackendRequest, headers: HeaderMap) -> Call:
        if request.query:
            raise UnclassifiedError("a form request names its Action in the body alone: leave the query out")
        form = plain_body(request, MAX_FORM_BYTES)
        action, version = _form_value(form, "action", "Action"), _form_value(form, "version", "Version")
        found = [s for s in self._by_version.get(version, ()) if action in s.operations]
        return _only(
            [Call(service, action, headers) for service in found], f"Action {action!r} with Version {version!r}"
        )

    def _rest_call(self, request: BackendRequest, headers: HeaderMap) -> Call:
        parameters = query_parameters(request.query)
        found: list[Call] = []
        for service, table in self._rest:
            operation = table.find(request.method, request.segments, parameters, headers)
            if operation is not None:
                found.append(Call(service, operation.name, headers, parameters))
        what = f"{request.method} {request.path.decode('ascii')}"
        return _only(found, what + " with these query parameters" if parameters else what)


def _only(calls: Sequence[Call], what: str) -> Call:
    if len(calls) == 1:
        return calls[0]
    if not calls:
        raise UnclassifiedError(f"{what} is no operation of the services that this backend is configured for")
    names = " or ".join(sorted(f"{call.service.name}:{call.operation}" for call in calls))
    raise UnclassifiedError(f"{what} could be {names}: configure a backend for each of these services")


def _media_type(headers: HeaderMap) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def _form_value(form: bytes, folded: str, name: str) -> str:
    """Return the form's only field of that name; raises UnclassifiedError where it is missing or spelled twice."""
    values = []
    for part in form.split(b"&"):
        key, _, value = part.partition(b"=")
        # Names are compared decoded: `%41ction` is `Action` to the server.
        if len(key) <= 3 * len(name):
            decoded = unquote_to_bytes(key.replace(b"+", b" "))
            if decoded.lower() == folded.encode():
                values.append((decoded.decode(), unquote_to_bytes(value.replace(b"+", b" "))))
    if len(values) != 1 or values[0][0] != name:
        raise UnclassifiedError(f"the form must name its {name} exactly once")
    return values[0][1].decode("latin-1")
