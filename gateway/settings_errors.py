"""What pydantic says about a configuration, in the words of the file: which key, and what to write instead."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import ErrorDetails

from gateway.config_file import Location

Schema = dict[str, Any]

_SECRET_NAME = re.compile(r"secret|password|passwd|token|key|credential|private")
_PLAIN_WORDS = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "path_type": "must be a path",
}

_NAME_WORDS = "1 to 63 lower-case letters, digits and `-`, and begin with a letter or digit"
PATTERN_WORDS = {
    "name": _NAME_WORDS,
    "environment": _NAME_WORDS,
    "action": "1 to 128 letters, digits and `: . _ -`, and begin with a letter or digit",
    "client_id": "1 to 64 letters, digits and `. _ -`",
    "region": "an AWS region, such as eu-west-1",
    "prefix": "printable ASCII characters, the first of them no space",
    "email_domains": "a domain in lower case, such as example.com",
    "token_prefix": "1 to 64 letters, digits and `. _ ~ + / = -`, as tokens have them",
}


def dotted(location: Location) -> str:
    """Return a location as people write it: `backends[0].url`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def in_file(location: Location, data: object) -> Location:
    """Return a pydantic location without the names of union members, which stand nowhere in the file.

    The last part is kept even where the file lacks it: it is the key that is missing.
    """
    here = data
    kept: list[int | str] = []
    for position, part in enumerate(location):
        below = _child(here, part)
        if below is None and position < len(location) - 1:
            continue
        here = below
        kept.append(part)
    return tuple(kept)


def follows_from_another(error: ErrorDetails, location: Location, data: object) -> bool:
    """Whether an error only repeats others: pydantic calls a list too short when every item in it is wrong."""
    for part in location:
        data = _child(data, part)
    return error["type"] == "too_short" and bool(data)


def message_for(error: ErrorDetails, location: Location, data: object, schema: Schema) -> str:
    """Return one sentence for a pydantic error; it never holds the value, which could be a secret."""
    kind = error["type"]
    name = dotted(location)
    if kind == "missing":
        return f"`{name}` is missing"
    if kind == "extra_forbidden":
        return _unknown_key(location, data, schema)
    if kind == "string_pattern_mismatch":
        key = next(part for part in reversed(location) if isinstance(part, str))
        if key in PATTERN_WORDS:
            return f"`{name}` must be {PATTERN_WORDS[key]}"
    if kind in _PLAIN_WORDS:
        return f"`{name}` {_PLAIN_WORDS[kind]}"
    text = error["msg"].removeprefix("Value error, ")
    text = re.sub(r"^(?:Input|String|Value|Tuple|List) should ", "must ", text)
    return f"`{name}` {text}" if text.startswith("must ") else f"`{name}`: {text}"


def _unknown_key(location: Location, data: object, schema: Schema) -> str:
    key = str(location[-1])
    known = sorted(known_keys(schema, location[:-1], data))
    secret_keys = [f"`{key}{suffix}`" for suffix in ("_file", "_env") if f"{key}{suffix}" in known]
    if secret_keys:
        remedy = " or ".join(secret_keys)
        return f"`{dotted(location)}` would put a secret into this file: use {remedy} to say where it is kept"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    names_a_secret = _SECRET_NAME.search(key)
    if near and (not names_a_secret or _SECRET_NAME.search(near[0])):
        return f"`{dotted(location)}` is not a known key: did you mean `{near[0]}`?"
    if names_a_secret:
        return (
            f"`{dotted(location)}` is not a known key; secrets never stand in this file, only the name of a file "
            "or of an environment variable that holds them"
        )
    return f"`{dotted(location)}` is not a known key: this place takes {', '.join(known) or 'none'}"


def known_keys(schema: Schema, location: Location, data: object) -> set[str]:
    """Return the keys that the JSON Schema of the whole file allows in the mapping at `location`."""
    nodes = list(_branches(schema, schema, data))
    here = data
    for part in location:
        here = _child(here, part)
        nodes = [branch for node in nodes for below in _below(node, part) for branch in _branches(below, schema, here)]
    return {key for node in nodes for key in node.get("properties", {})}


def _child(value: object, part: int | str) -> object:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _below(node: Schema, part: int | str) -> Iterator[Schema]:
    if isinstance(part, int):
        below = node.get("items")
    else:
        below = node.get("properties", {}).get(part, node.get("additionalProperties"))
    if isinstance(below, dict):
        yield below


def _branches(node: Schema, root: Schema, value: object) -> Iterator[Schema]:
    """Yield the plain schemas behind references and unions; of the adapters, only the one that the file names."""
    if "$ref" in node:
        node = root["$defs"][node["$ref"].rpartition("/")[2]]
    members = [*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())]
    if not members:
        yield node
    found = [branch for member in members for branch in _branches(member, root, value)]
    adapter = value.get("adapter") if isinstance(value, dict) else None
    chosen = [
        branch for branch in found if branch.get("properties", {}).get("adapter", {}).get("const", adapter) == adapter
    ]
    yield from chosen or found
