"""Backend credentials: named in the configuration, read from a file or the environment, put into request headers."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from identity.secret import SecretError, one_source, read_secret

# RFC 9110 section 5.6.2, without what CGI-like servers fold into `-`: `X_Key` and `X-Key` would be one header to them.
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# A credential here would break the framing or the routing of the request.
_RESERVED_HEADERS = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)


class BasicCredential(BaseModel):
    """HTTP basic authentication (RFC 7617, UTF-8) with one account of the backend's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: Annotated[str, Field(min_length=1)]
    password_file: Path | None = None
    password_env: str | None = None

    @field_validator("username")
    @classmethod
    def _no_colon(cls, username: str) -> str:
        if ":" in username or _CONTROL.search(username):
            raise ValueError("must hold no colon and no control character")
        return username

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        one_source("password", self.password_file, self.password_env)
        return self

    def header(self, place: str) -> tuple[bytes, bytes]:
        """Read the secret and return the header to send; raises SecretError."""
        password = read_secret(f"{place}.basic.password", self.password_file, self.password_env)
        pair = f"{self.username}:{password.get_secret_value()}".encode()
        return b"Authorization", b"Basic " + b64encode(pair)


class HeaderCredential(BaseModel):
    """One header with a secret value after a prefix, such as `Authorization: Bearer …` or `Cookie: session=…`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    prefix: Annotated[str, Field(pattern=r"^([!-~]([ -~]*)?)?$")] = ""
    value_file: Path | None = None
    value_env: str | None = None

    @field_validator("name")
    @classmethod
    def _header_name(cls, name: str) -> str:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("must be a header name of letters, digits and `-`")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError("this header frames or routes the request; a credential goes into another one")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        one_source("value", self.value_file, self.value_env)
        return self

    def header(self, place: str) -> tuple[bytes, bytes]:
        """Read the secret and return the header to send; raises SecretError."""
        value = read_secret(f"{place}.header.value", self.value_file, self.value_env).get_secret_value()
        if not value.isascii() or value != value.strip():
            raise SecretError(
                f"{place}.header.value: a header's value must be ASCII without spaces around it; correct the secret"
            )
        return self.name.encode(), (self.prefix + value).encode()


class HttpCredential(BaseModel):
    """How the gateway signs in to an HTTP backend: basic authentication or a header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    basic: BasicCredential | None = None
    header: HeaderCredential | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.basic is None) == (self.header is None):
            raise ValueError("give exactly one of basic and header")
        return self

    def read(self, place: str) -> tuple[bytes, bytes]:
        """Read the secret and return the header to send; raises SecretError."""
        if self.basic is not None:
            return self.basic.header(place)
        if self.header is not None:
            return self.header.header(place)
        raise AssertionError("validated: one kind is given")
