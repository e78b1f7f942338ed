"""The configuration of token introspection at one provider: the entry `introspection` of a provider."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity.secret import one_source


class IntrospectionSettings(BaseModel):
    """How the provider is asked what an opaque token stands for (RFC 7662).

    - `token_prefix`: what every opaque token of this provider begins with. With it no other token is sent there;
      where several providers introspect each needs one, or a token would be shown to a provider that did not issue it.
    - `cache_s`: for how long an answer counts, seconds; a token that the provider revokes is good for so long.
    - `client_id` and its secret: what the gateway signs in as; without them, as the provider's own `client_id`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~+/=-]{1,64}$")] | None = None
    cache_s: Annotated[int, Field(ge=1, le=3600)] = 60
    client_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    client_secret_file: Path | None = None
    client_secret_env: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.client_id is not None:
            one_source("client_secret", self.client_secret_file, self.client_secret_env)
        elif self.client_secret_file is not None or self.client_secret_env is not None:
            raise ValueError("client_secret needs client_id: say which client the secret belongs to")
        return self


def prefix_conflict(token_prefix: str | None, others: dict[str, str | None]) -> str | None:
    """Return why a provider may not introspect beside `others` (their names and prefixes), None where it may.

    A token must be shown to no provider but its own, so each token may fit one prefix at most.
    """
    for name, other in others.items():
        if token_prefix is None or other is None:
            lacking = "this one" if token_prefix is None else f"the provider {name!r}"
            return f"several providers introspect, and {lacking} has no token_prefix: a token could go to the wrong one"
        if token_prefix.startswith(other) or other.startswith(token_prefix):
            return f"a token could fit the token_prefix of the provider {name!r} too: choose prefixes that differ"
    return None
