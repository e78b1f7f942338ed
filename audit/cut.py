"""Makes a document fit when a caller sent something huge or odd, and says in it what was cut.

A record must never fail to be written because of what a caller sent: that would be a way to stop the gate, or to stay
out of the log. Whatever is cut is named in the document's `cut` list with the length and SHA-256 of the whole.
"""

import json
from collections.abc import Mapping
from hashlib import sha256

from audit.canonical import CanonicalError, Json, encode

COMFORTABLE_BYTES = 16 * 1024
"""A record above this is cut; two hundred groups and an 8 KiB path stay whole."""

_LEVELS = ((4096, 256), (1024, 64), (256, 16), (64, 8))
"""Characters a text and items a list may keep, tried in turn until the document is comfortable."""


def fitted(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return `document` with over-long texts and lists cut and lone surrogates replaced, as mildly as fits.

    `cut` lists each changed value: `field` (dotted), `length` (characters or items) and `sha256` of the whole: of a
    text's UTF-8 (a lone surrogate as its three bytes), of a list's JSON text likewise.
    """
    result: dict[str, Json] = {}
    for characters, items in _LEVELS:
        cuts: list[Json] = []
        result = _cut_mapping(document, "", characters, items, cuts)
        if cuts:
            result["cut"] = cuts
        if _comfortable(result):
            break
    return result


def _comfortable(document: Mapping[str, Json]) -> bool:
    try:
        return len(encode(document)) <= COMFORTABLE_BYTES
    except CanonicalError:
        return False


def _cut_mapping(
    document: Mapping[str, Json], prefix: str, characters: int, items: int, cuts: list[Json]
) -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, value in document.items():
        field = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result[key] = _cut_mapping(value, f"{field}.", characters, items, cuts)
            continue
        kept = _cut_value(value, characters, items)
        if kept != value:
            whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            length = len(value) if isinstance(value, str | list) else 0
            digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
            cuts.append({"field": field, "length": length, "sha256": digest})
        result[key] = kept
    return result


def _cut_value(value: Json, characters: int, items: int) -> Json:
    if isinstance(value, str):
        head = value if len(value) <= characters else value[:characters] + "…"
        return head.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not _clean(head) else head
    if isinstance(value, list):
        return [_cut_value(item, characters, items) for item in value[:items]]
    if isinstance(value, Mapping):
        return {key: _cut_value(item, characters, items) for key, item in value.items()}
    return value


def _clean(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
