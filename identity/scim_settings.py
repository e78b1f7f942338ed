"""The configuration of the accounts that one provider keeps up to date by SCIM: the entry `scim` of a provider."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity.secret import one_source


class ScimSettings(BaseModel):
    """How the provider signs in to push its accounts (RFC 7644), and how they are told from its tokens.

    - `token_file` or `token_env`: the bearer token that the provider sends.
    - `attribute` and `claim`: an account is the one whose SCIM attribute equals this claim of the token.
    - `required`: an account that the provider has not pushed is refused; else its token's own groups count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: Path | None = None
    token_env: str | None = None
    attribute: Literal["externalId", "userName", "id"] = "externalId"
    claim: Annotated[str, Field(min_length=1, max_length=255)] = "sub"
    required: bool = False

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        one_source("token", self.token_file, self.token_env)
        return self
