"""What every backend's configuration has in common."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

RelaxableRule = Literal[
    "empty_segment", "encoded_slash", "lowercase_escape", "double_escape", "path_parameter", "unreserved_escape"
]

TokenBinding = Literal["dpop", "mtls"]


class BackendSettings(BaseModel):
    """One entry of `backends:`; each adapter adds its own keys. Timeouts are seconds.

    `require_token_binding`: a token must be bound to a key in one of these ways.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    adapter: str
    url: str
    environment: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    relax: tuple[RelaxableRule, ...] = ()
    require_token_binding: tuple[TokenBinding, ...] = ()
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0
    first_byte_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    idle_timeout_s: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// URL with a host")
        if parts.username or parts.password:
            raise ValueError("must hold no credential: put it under `credential` as a *_file or *_env")
        if parts.query or parts.fragment:
            raise ValueError("must have no query and no fragment: it is the base that request paths are added to")
        return url.rstrip("/")
