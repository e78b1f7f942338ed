"""Where a browser may be sent after a login: to the gateway's own pages, named by their paths, and nowhere else.

What browsers make of an address differs from what servers do (`\\` as `/`, `//host` as an authority, tabs and line ends
that vanish), so nothing is parsed and judged: an address either has the one plain form below, or it is not followed.
"""

import re
from typing import Final

# With the rest of a pending login it must fit into a cookie of 4096 bytes.
MAX_RETURN_TO_BYTES: Final = 2048

# A segment of a path can't begin with a dot and holds no `%`, so that there is only one way to read it.
_PATH = r"/-/(?:console/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?)?|device|oauth/authorize)"
_QUERY = r"(?:[A-Za-z0-9._~!$'()*+,;:@/?=&-]|%[0-9A-Fa-f]{2})*"
_OWN_PAGE = re.compile(rf"{_PATH}(?:\?{_QUERY})?", re.ASCII)


def is_own_page(address: str) -> bool:
    """Tell whether `address` is the path, with or without a query, of one of the gateway's pages."""
    return len(address) <= MAX_RETURN_TO_BYTES and _OWN_PAGE.fullmatch(address) is not None
