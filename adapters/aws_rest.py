"""Which operation of a REST service a request is: method, path template, query parameters and required headers.

Nothing unknown is passed over: a query parameter that the operation's model does not list rules the operation out, so
that `?acl` can't fall back to reading the object.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from adapters.aws_models import Operation, Service
from adapters.backend import UnclassifiedError

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_GREEDY: Final = -1


class RestTable:
    """One REST service's operations, by what can be looked up first."""

    def __init__(self, service: Service) -> None:
        self._s3 = service.name == "s3"
        self._index: dict[tuple[str, int], dict[str | None, list[Operation]]] = {}
        for method, operations in service.rest.items():
            for operation in operations:
                length = len(operation.path) if operation.greedy is None else _GREEDY
                # One parameter that the operation can't be without: a request that lacks it never looks at it.
                needed = min(operation.required | operation.fixed.keys(), default=None)
                self._index.setdefault((method, length), {}).setdefault(needed, []).append(operation)

    def find(
        self,
        method: str,
        segments: Sequence[str],
        parameters: Sequence[tuple[str, str]],
        headers: Mapping[bytes, bytes],
    ) -> Operation | None:
        """Return the operation that covers the request most specifically, None where none does.

        `headers` are the request's by lower-case name. Raises UnclassifiedError where several fit.
        """
        query = dict(parameters)
        repeated = _repeated(parameters) if len(query) != len(parameters) else frozenset[str]()
        if self._s3:
            place = bucket_and_key(segments)
            if place is None or repeated:
                return None
            segments = place
        found = [
            operation
            for operation in self._candidates(method, segments, query)
            if operation.headers <= headers.keys()
            and not repeated & operation.fixed.keys()
            and operation.covers_query(query)
            and _covers_path(operation, segments)
        ]
        return _most_specific(found) if found else None

    def _candidates(self, method: str, segments: Sequence[str], query: Mapping[str, str]) -> Iterable[Operation]:
        for length in (len(segments), _GREEDY):
            group = self._index.get((method, length))
            if group is not None:
                yield from group.get(None, ())
                for name in query:
                    yield from group.get(name, ())


def _repeated(parameters: Sequence[tuple[str, str]]) -> frozenset[str]:
    names = [name for name, _ in parameters]
    return frozenset(name for name in names if names.count(name) > 1)


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
    """Return `("",)` for S3 itself, `(bucket,)` or `(bucket, key)`; None where the first is no bucket's name."""
    if tuple(segments) == ("",):
        return ("",)
    if not _BUCKET.fullmatch(segments[0]):
        return None
    key = "/".join(segments[1:])
    return (segments[0], key) if key else (segments[0],)


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
    """Rank a path, most literal first: a literal before a label before a greedy label before the path's end."""
    ranks = [2 if place == operation.greedy else int(part is None) for place, part in enumerate(operation.path)]
    return (*ranks, 3)
