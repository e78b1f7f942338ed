"""Every operation of an AWS service as botocore's own serializer writes it, with made-up values."""

from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlencode

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape, StructureShape
from botocore.serialize import create_serializer

from adapters.backend import BackendRequest
from tests.parts.backend_request import backend_request


@cache
def service_model(name: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def every_operation(service: str) -> Iterator[tuple[str, BackendRequest]]:
    """Yield each operation's name and a request for it with its required members only."""
    model = service_model(service)
    serializer = create_serializer(model.resolved_protocol, include_validation=False)
    for name in model.operation_names:
        operation = model.operation_model(name)
        parameters = _value(operation.input_shape, 0) if operation.input_shape else {}
        yield name, _request(serializer.serialize_to_request(parameters, operation))


def _request(wire: dict[str, Any]) -> BackendRequest:
    query = wire["query_string"]
    text = query if isinstance(query, str) else urlencode(query, doseq=True).replace("+", "%20")
    target = wire["url_path"]
    if text:
        target += ("&" if "?" in target else "?") + text
    body = wire["body"]
    headers = dict(wire["headers"])
    if isinstance(body, dict):
        body = urlencode(body, doseq=True).encode()
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    if isinstance(body, str):
        body = body.encode()
    return backend_request(wire["method"], target, headers, body or b"")


def _value(shape: Shape, depth: int) -> Any:
    if isinstance(shape, StructureShape):
        if shape.is_tagged_union:
            member, inner = next(iter(shape.members.items()))
            return {member: _value(inner, depth + 1)} if depth < 6 else {}
        return {name: _member(name, shape, depth) for name in shape.required_members} if depth < 6 else {}
    match shape.type_name:
        case "list":
            return [_value(shape.member, depth + 1)]
        case "map":
            return {"k": _value(shape.value, depth + 1)}
        case "boolean":
            return True
        case "integer" | "long":
            return 1
        case "float" | "double":
            return 1.0
        case "timestamp":
            return 1_700_000_000
        case "blob":
            return b"x"
    return shape.enum[0] if getattr(shape, "enum", None) else "example"


def _member(name: str, shape: StructureShape, depth: int) -> Any:
    # A copy's source is a text with a form of its own.
    return "bucket/key" if name == "CopySource" else _value(shape.members[name], depth + 1)
