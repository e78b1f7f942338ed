"""Which operation of which AWS service a request is, by the protocol it speaks.

Clients name the operation in a header (json), in a form (query, ec2), in the path (rpc-v2-cbor) or by method, path and
parameters (rest-json, rest-xml). The service is looked for among those configured; two that fit are no answer. The
request is signed for the service found here, so an AWS endpoint can't take it for another one's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from adapters.aws_models import Operation, Service
from adapters.backend import BackendRequest, UnclassifiedError
from adapters.bounded_json import plain_body

Protocol = Literal["json", "query", "cbor", "rest"]

MAX_FORM_BYTES: Final = 1024 * 1024

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_JSON_TYPES: Final = (b"application/x-amz-json-1.0", b"application/x-amz-json-1.1")
_GREEDY: Final = -1
# What no request of the AWS SDKs has twice, and what one reader could take from the first and another from the last.
_ONCE: Final = (b"content-type", b"content-encoding", b"content-md5", b"smithy-protocol")


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of one service; `parameters` are the decoded query parameters in their order."""

    service: Service
    operation: str
    parameters: tuple[tuple[str, str], ...] = ()


def protocol_of(request: BackendRequest) -> Protocol:
    """Return the protocol that the request speaks, by its headers; raises UnclassifiedError where they name two."""
    target = request.header(b"x-amz-target")
    smithy = request.header(b"smithy-protocol")
    if target is not None and smithy is not None:
        raise UnclassifiedError("X-Amz-Target and Smithy-Protocol name two protocols")
    if target is not None:
        return "json"
    if smithy is not None:
        return "cbor"
    form = _media_type(request) == b"application/x-www-form-urlencoded"
    return "query" if form and request.method == "POST" and request.path == b"/" else "rest"


class OperationFinder:
    """Finds a request's operation among some services."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._by_target: dict[str, list[Service]] = {}
        self._by_version: dict[str, list[Service]] = {}
        self._rest: list[tuple[Service, _RestIndex]] = []
        for service in services:
            if service.target_prefix is not None:
                self._by_target.setdefault(service.target_prefix, []).append(service)
            if service.protocols & {"query", "ec2"}:
                self._by_version.setdefault(service.api_version, []).append(service)
            if service.rest:
                self._rest.append((service, _index(service.rest)))

    def find(self, request: BackendRequest) -> Call:
        """Return the one operation that the request is; raises UnclassifiedError where none or several fit."""
        names = [name.lower() for name, _ in request.headers]
        if len(set(names)) != len(names):
            _check_once(names)
        if not request.path.isascii():
            raise UnclassifiedError("the path holds bytes that are not ASCII: percent-encode them")
        match protocol_of(request):
            case "json":
                return self._json(request)
            case "cbor":
                return self._cbor(request)
            case "query":
                return self._query(request)
            case "rest":
                return self._rest_call(request, {name.decode("latin-1") for name in names})

    def _json(self, request: BackendRequest) -> Call:
        if request.method != "POST" or request.path != b"/" or request.query:
            raise UnclassifiedError("a request with X-Amz-Target is a POST to `/` without a query")
        if _media_type(request) not in _JSON_TYPES:
            raise UnclassifiedError(
                "a request with X-Amz-Target has the Content-Type application/x-amz-json-1.0 or -1.1"
            )
        target = (request.header(b"x-amz-target") or b"").decode("latin-1")
        prefix, _, operation = target.rpartition(".")
        found = [s for s in self._by_target.get(prefix, ()) if "json" in s.protocols and operation in s.operations]
        return _only([Call(service, operation) for service in found], f"X-Amz-Target {target!r}")

    def _cbor(self, request: BackendRequest) -> Call:
        if request.method != "POST" or request.query or request.header(b"smithy-protocol") != b"rpc-v2-cbor":
            raise UnclassifiedError("a request with Smithy-Protocol is rpc-v2-cbor: a POST without a query")
        match request.segments:
            case ("service", prefix, "operation", operation):
                found = [
                    s
                    for s in self._by_target.get(prefix, ())
                    if "smithy-rpc-v2-cbor" in s.protocols and operation in s.operations
                ]
                return _only([Call(service, operation) for service in found], f"{prefix}.{operation}")
        raise UnclassifiedError("the path of an rpc-v2-cbor request is /service/NAME/operation/NAME")

    def _query(self, request: BackendRequest) -> Call:
        if request.query:
            raise UnclassifiedError("a form request names its Action in the body alone: leave the query out")
        form = plain_body(request, MAX_FORM_BYTES)
        action, version = _form_value(form, "action", "Action"), _form_value(form, "version", "Version")
        found = [s for s in self._by_version.get(version, ()) if action in s.operations]
        return _only([Call(service, action) for service in found], f"Action {action!r} with Version {version!r}")

    def _rest_call(self, request: BackendRequest, headers: set[str]) -> Call:
        parameters = query_parameters(request.query)
        query = dict(parameters)
        repeated = {name for name, _ in parameters} if len(query) != len(parameters) else None
        if repeated is not None:
            seen: set[str] = set()
            repeated = {name for name, _ in parameters if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
        found: list[Call] = []
        for service, index in self._rest:
            if service.name == "s3":
                path = bucket_and_key(request.segments)
                if path is None or repeated:
                    continue
                segments = path
            else:
                segments = request.segments
            operations = [
                operation
                for operation in _candidates(index, request.method, segments, query)
                if operation.headers <= headers
                and operation.covers_query(query)
                and not (repeated and repeated & operation.fixed.keys())
                and _covers_path(operation, segments)
            ]
            if operations:
                found.append(Call(service, _most_specific(operations).name, parameters))
        what = f"{request.method} {request.path.decode('ascii')}"
        return _only(found, what + (" with these query parameters" if parameters else ""))


def query_parameters(query: bytes | None) -> tuple[tuple[str, str], ...]:
    """Return the decoded query parameters; raises UnclassifiedError where a reader could see others.

    Signatures in the query (presigned URLs) are refused too: they would be the caller's, not the gateway's.
    """
    if not query:
        return ()
    if b"+" in query or b";" in query or not query.isascii():
        raise UnclassifiedError("write %20 or %2B for `+` and %3B for `;` in the query: servers read them differently")
    pairs = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        try:
            pairs.append((unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()))
        except UnicodeDecodeError:
            raise UnclassifiedError("the query's percent-escapes must spell UTF-8") from None
    if any(name.casefold().startswith("x-amz-") for name, _ in pairs):
        raise UnclassifiedError("presigned URLs are not accepted: send the token in a header")
    return tuple(pairs)


def bucket_and_key(segments: Sequence[str]) -> tuple[str, ...] | None:
    """Return `("",)` for the service itself, `(bucket,)` or `(bucket, key)`; None where the first is no bucket's name."""
    if tuple(segments) == ("",):
        return ("",)
    if not _BUCKET.fullmatch(segments[0]):
        return None
    key = "/".join(segments[1:])
    return (segments[0], key) if key else (segments[0],)


_RestIndex = Mapping[tuple[str, int], Mapping[str | None, Sequence[Operation]]]


def _index(rest: Mapping[str, Iterable[Operation]]) -> _RestIndex:
    """Group operations by method and number of segments, then by one parameter that they can't be without."""
    index: dict[tuple[str, int], dict[str | None, list[Operation]]] = {}
    for method, operations in rest.items():
        for operation in operations:
            length = len(operation.path) if operation.greedy is None else _GREEDY
            needed = min(operation.required | operation.fixed.keys(), default=None)
            index.setdefault((method, length), {}).setdefault(needed, []).append(operation)
    return index


def _candidates(
    index: _RestIndex, method: str, segments: Sequence[str], query: Mapping[str, str]
) -> Iterable[Operation]:
    for length in (len(segments), _GREEDY):
        group = index.get((method, length))
        if group is not None:
            yield from group.get(None, ())
            for name in query:
                yield from group.get(name, ())


def _covers_path(operation: Operation, segments: Sequence[str]) -> bool:
    path, greedy = operation.path, operation.greedy
    if greedy is not None:
        extra = len(segments) - len(path)
        if extra < 0:
            return False
        tail = len(path) - greedy - 1
        segments = (
            *segments[:greedy],
            "/".join(segments[greedy : len(segments) - tail]),
            *segments[len(segments) - tail :],
        )
    return all(text == want if want is not None else bool(text) for want, text in zip(path, segments, strict=True))


def _most_specific(operations: Sequence[Operation]) -> Operation:
    """Return the operation with the most literal path, and among equals the one that demands all others do and more."""
    if len(operations) == 1:
        return operations[0]
    best = min(_specificity(operation) for operation in operations)
    operations = [operation for operation in operations if _specificity(operation) == best]
    for operation in operations:
        if all(other is operation or other.demands < operation.demands for other in operations):
            return operation
    names = " or ".join(sorted(operation.name for operation in operations))
    raise UnclassifiedError(f"the request could be {names}")


def _specificity(operation: Operation) -> tuple[int, ...]:
    return tuple(
        2 if position == operation.greedy else int(literal is None) for position, literal in enumerate(operation.path)
    )


def _only(calls: Sequence[Call], what: str) -> Call:
    if len(calls) == 1:
        return calls[0]
    if not calls:
        raise UnclassifiedError(f"{what} is no operation of the services that this backend is configured for")
    names = " or ".join(sorted(f"{call.service.name}:{call.operation}" for call in calls))
    raise UnclassifiedError(f"{what} could be {names}: configure a backend for each of these services")


def _media_type(request: BackendRequest) -> bytes:
    return (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()


def _check_once(names: Sequence[bytes]) -> None:
    for name in names:
        if (name in _ONCE or name.startswith(b"x-amz-")) and names.count(name) > 1:
            raise UnclassifiedError(f"the header {name.decode('latin-1')!r} is given {names.count(name)} times")


def _form_value(form: bytes, folded: str, name: str) -> str:
    """Return the form's only field of that name; raises UnclassifiedError where it is missing, repeated or respelled."""
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
