"""Resource names below an AWS backend's name: `aws-prod/s3/invoices/2026/a.pdf`, `aws-prod/logs/payments`."""

import re
from typing import Final

from adapters.backend import UnclassifiedError

# Nothing here can be a pattern: patterns stand in rules only, so `*` in an object's key is just a star.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


def resource(backend: str, service: str, *parts: str) -> str:
    """Return the resource's name, its parts exactly as the service spells them.

    Raises UnclassifiedError for control characters and `.` or `..` segments: logs and servers may read them as
    something else.
    """
    name = "/".join((backend, service, *parts))
    if _UNPRINTABLE.search(name) is not None:
        raise UnclassifiedError(f"the name holds a control character: {name!r}")
    if "." in name and _DOT_SEGMENT.search(name) is not None:
        raise UnclassifiedError(f"the name holds a `.` or `..` segment: {name!r}")
    return name
