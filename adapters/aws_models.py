"""The operations of AWS services, compiled from botocore's service models into small tables.

A model is several megabytes of shapes and documentation; what tells one operation from another is a method, a path
template and a few names. Only that is kept.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader

# `x-id` only repeats the operation's name for people who read access logs; clients may leave it out.
OPERATION_ID: Final = "x-id"

# S3 operations of other hosts than a bucket's, or that hand out credentials of their own. They are never classified.
_NOT_SERVED: Final = frozenset(
    ("s3:CreateSession", "s3:ListDirectoryBuckets", "s3:RenameObject", "s3:WriteGetObjectResponse")
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a REST service, and the requests that are it.

    `path` has a literal for each segment, None for one of any text; `greedy` is the position of a label that takes
    one or more segments. `fixed` are query parameters that must have that value, `required` those that must be there,
    `parameters` all it knows (None: any, the operation takes a map of them). `headers` must be there too.
    """

    name: str
    path: tuple[str | None, ...]
    greedy: int | None
    fixed: Mapping[str, str]
    required: frozenset[str]
    parameters: frozenset[str] | None
    headers: frozenset[bytes]

    def covers_query(self, query: Mapping[str, str]) -> bool:
        """Say whether the query parameters can be this operation's: none missing, none unknown, fixed ones exact."""
        for name, value in self.fixed.items():
            if query.get(name) != value:
                return False
        if not self.required <= query.keys():
            return False
        if self.parameters is None:
            return True
        return all(name in self.parameters or (name == OPERATION_ID and query[name] == self.name) for name in query)

    @property
    def demands(self) -> frozenset[str | bytes]:
        """Everything beyond method and path that a request must have to be this operation."""
        return frozenset((*self.required, *self.headers, *self.fixed))


@dataclass(frozen=True, slots=True)
class Service:
    """One service: how its requests are told, signed and named.

    `name` is botocore's (`boto3.client(name)`, `aws name …`). `operations` are all operation names and, for each, the
    top level members of its input. `rest` holds a REST service's operations by method.
    """

    name: str
    signing_name: str
    protocols: frozenset[str]
    target_prefix: str | None
    api_version: str
    operations: Mapping[str, frozenset[str]]
    rest: Mapping[str, tuple[Operation, ...]] = field(default_factory=dict)


@cache
def service_names() -> frozenset[str]:
    """Return the names of all services that the installed botocore knows."""
    return frozenset(Loader().list_available_services("service-2"))


@cache
def load_service(name: str) -> Service:
    """Compile one service's newest model; raises ValueError for a name that botocore does not know."""
    try:
        # A loader keeps every model it has read: one for each service lets the model go.
        model = Loader().load_service_model(name, "service-2")
    except UnknownServiceError:
        raise ValueError(f"botocore knows no service {name!r}") from None
    metadata = model["metadata"]
    protocols = frozenset(metadata.get("protocols") or [metadata["protocol"]])
    shapes = model["shapes"]
    rest: dict[str, list[Operation]] = {}
    operations: dict[str, frozenset[str]] = {}
    for operation_name, operation in model["operations"].items():
        # A deprecated twin answers to the same request as its successor, under whose name it is decided.
        if f"{name}:{operation_name}" in _NOT_SERVED or (operation.get("deprecated") and protocols == {"rest-xml"}):
            continue
        shape = shapes[operation["input"]["shape"]] if "input" in operation else {"members": {}}
        operations[sys.intern(operation_name)] = frozenset(map(sys.intern, shape["members"]))
        if protocols & {"rest-json", "rest-xml"}:
            rest.setdefault(operation["http"]["method"], []).append(
                _rest_operation(operation_name, operation, shape, shapes)
            )
    return Service(
        name=name,
        signing_name=metadata.get("signingName") or metadata["endpointPrefix"],
        protocols=protocols,
        target_prefix=metadata.get("targetPrefix"),
        api_version=metadata["apiVersion"],
        operations=operations,
        rest={method: tuple(found) for method, found in rest.items()},
    )


def _rest_operation(name: str, operation: Mapping[str, Any], shape: Mapping[str, Any], shapes: Any) -> Operation:
    path, _, query = operation["http"]["requestUri"].partition("?")
    parts = path[1:].split("/")
    greedy = next((position for position, part in enumerate(parts) if part.endswith("+}")), None)
    fixed = dict(pair.partition("=")[::2] for pair in query.split("&")) if query else {}
    fixed.pop(OPERATION_ID, None)
    must = set(shape.get("required", ()))
    required: set[str] = set()
    parameters: set[str] = set(fixed)
    headers: set[bytes] = set()
    any_parameter = False
    for member, reference in shape["members"].items():
        location, wire_name = reference.get("location"), reference.get("locationName", member)
        if location == "querystring":
            if shapes[reference["shape"]]["type"] == "map":
                any_parameter = True
                continue
            parameters.add(wire_name)
            if member in must:
                required.add(wire_name)
        elif location == "header" and member in must:
            headers.add(wire_name.lower().encode())
    return Operation(
        name=sys.intern(name),
        path=tuple(None if part.startswith("{") else sys.intern(part) for part in parts),
        greedy=greedy,
        fixed={sys.intern(key): sys.intern(value) for key, value in fixed.items()},
        required=frozenset(required),
        parameters=None if any_parameter else frozenset(map(sys.intern, parameters)),
        headers=frozenset(headers),
    )
