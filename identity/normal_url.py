"""One spelling for equal http URLs, so that two of them can be compared as texts."""

import re
from typing import Final

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?)(?:[?#][!-~]*)?",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def normal_url(text: str) -> str | None:
    """Return the URL without query and fragment in its normal form, None where it is no plain http or https URL.

    Normalised are the case of scheme, host and escapes, escapes of unreserved characters, the default port and the
    empty path (RFC 3986, sections 6.2.2 and 6.2.3). Dot segments stay: who means another path can write it.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme, host, path = match["scheme"].lower(), match["host"].lower(), match["path"] or "/"
    port = int(match["port"]) if match["port"] is not None else _DEFAULT_PORTS[scheme]
    authority = host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
    return f"{scheme}://{authority}{_ESCAPE.sub(_plain, path) if '%' in path else path}"


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
