"""One configured backend, as the data path uses it."""

from dataclasses import dataclass

from adapters.backend import Adapter
from adapters.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend's name, environment and base URL, its protocol and its connections.

    `token_binding` names the ways to bind a token of which one is needed here: `dpop`, `mtls`. Empty: none is.
    """

    name: str
    environment: str
    base_url: str
    adapter: Adapter
    upstream: Upstream
    token_binding: tuple[str, ...] = ()
