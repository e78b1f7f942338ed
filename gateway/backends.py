"""One configured backend, as the data path uses it."""

from dataclasses import dataclass

from adapters.backend import Adapter
from adapters.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend's name, environment and base URL, its protocol and its connections."""

    name: str
    environment: str
    base_url: str
    adapter: Adapter
    upstream: Upstream
