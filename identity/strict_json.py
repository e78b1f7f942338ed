"""JSON objects from outside, read with one meaning or not at all.

`json` alone keeps the last of two equal keys and knows NaN and Infinity; two readers could then see two documents.
"""

import json
from typing import Any, NoReturn

JsonObject = dict[str, Any]


class StrictJsonError(ValueError):
    """The bytes are not one plain JSON object; the text says why and quotes nothing of them."""


def parse_json_object(data: bytes, *, max_depth: int) -> JsonObject:
    """Return the object that `data` (UTF-8) holds, nested at most `max_depth` deep (a flat object is 1 deep).

    Raises StrictJsonError for anything else, also for repeated keys, NaN and Infinity, and text that is not UTF-8.
    """
    try:
        value = _DECODER.decode(data.decode())
    except StrictJsonError:
        raise
    except (ValueError, RecursionError):
        raise StrictJsonError("it is not JSON") from None
    if not isinstance(value, dict):
        raise StrictJsonError("it is not a JSON object")
    # Brackets bound the depth from above, so that ordinary documents are not walked at all.
    if data.count(b"{") + data.count(b"[") > max_depth and _is_deeper(value, max_depth):
        raise StrictJsonError("it is nested too deeply")
    return value


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise StrictJsonError("it repeats a key")
    return value


def _constant(_: str) -> NoReturn:
    raise StrictJsonError("it holds a number that is not JSON")


def _is_deeper(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            child
            for container in level
            if isinstance(container, (dict, list))
            for child in (container.values() if isinstance(container, dict) else container)
        ]
    return any(isinstance(item, (dict, list)) for item in level)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
