"""The seam between the data path and a backend's own protocol: classify a request, then dress it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class BackendRequest:
    """One request as its backend would see it, before any credential is put in.

    `path` is the raw path below the backend's name, starting with `/`; `segments` are the same path's
    segments percent-decoded once (`/a/b%20c` -> `("a", "b c")`, `/a/` -> `("a", "")`, `/` -> `("",)`).
    `query` is the raw query without `?`, or None where the target had no `?`. `headers` are those that will be
    forwarded, names as the client spelled them; the client's credentials, framing, hop-by-hop and identity headers
    are gone already. `body` is None unless the adapter's `body_limit` asked for it.
    """

    method: str
    path: bytes
    segments: tuple[str, ...]
    query: bytes | None
    headers: Headers
    body: bytes | None = None

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the only header of that (lower-case) name, None where it is absent.

        Raises UnclassifiedError where it stands twice: two readers could pick different ones.
        """
        values = [value for key, value in self.headers if key.lower() == name]
        if len(values) > 1:
            raise UnclassifiedError(f"the header {name.decode('ascii', 'replace')!r} is given {len(values)} times")
        return values[0] if values else None


class Access(NamedTuple):
    """One thing a request would do: `aws-prod/s3/invoices/a.pdf` + `s3:GetObject`."""

    resource: str
    action: str


class Outbound(NamedTuple):
    """What is sent to the backend in place of the request's own target and headers.

    `target` is the whole raw request target (base path, path and query); `headers` include Host and the backend's
    credential, and no framing header: whoever sends the request frames the body.
    """

    target: bytes
    headers: Headers


class UnclassifiedError(Exception):
    """The adapter can't say what the request would do, so nobody may do it; the text says why."""


class Adapter(Protocol):
    """One backend's protocol.

    `token_header` names a further header (lower-case) in which this backend's native clients can carry the
    caller's token, or None where `Authorization: Bearer` is the only way. `relaxed` holds the names of the
    target rules that this backend needs relaxed.
    """

    token_header: bytes | None
    relaxed: frozenset[str]

    def body_limit(self, request: BackendRequest) -> int:
        """Return how many bytes of body `classify` must see, 0 where the body can be streamed unseen."""
        ...

    def classify(self, request: BackendRequest) -> tuple[Access, ...]:
        """Return every access the request needs, at least one; raises UnclassifiedError."""
        ...

    def outbound(self, request: BackendRequest) -> Outbound:
        """Return the request's target and headers with the backend's credential in them."""
        ...
