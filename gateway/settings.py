"""The frozen configuration: what the file and the environment may say, checked once, at start."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import models_json_schema
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from adapters.backend_settings import BackendSettings
from gateway.config_file import ConfigError, ConfigFile, Finding, Location, read_config_file
from gateway.loopback import is_confidential
from gateway.provider_inputs import provider_problems
from gateway.settings_checks import absolute, clashes, missing_database, missing_inputs
from gateway.settings_errors import Schema, follows_from_another, in_file, message_for
from identity.provider_settings import ProviderSettings

Adapters = Mapping[str, type[BackendSettings]]

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")
# C2SP signed-note: a key's name is not empty and holds neither space nor plus.
_ORIGIN = re.compile(r"[!-*,-~]{1,200}")


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return text


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an https:// URL with a host")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be scheme and host alone: backends are reached at /NAME/ below it")
    if not is_confidential(url):
        raise ValueError("must be https:// unless its host is this machine: people send their tokens to it")
    return url.rstrip("/")


def _database_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("must be a database URL, such as sqlite:///var/portcullis.db") from None
    if url.get_backend_name() != "sqlite":
        raise ValueError("must be a sqlite:/// URL")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("must name a file: a log that is kept in memory is lost with the process")
    return text


def _state_database_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("must be a database URL, such as sqlite:///var/identity.db") from None
    if url.password is not None or any("password" in name for name in url.query):
        raise ValueError("must hold no password: use database_password_file or database_password_env")
    if url.get_backend_name() == "postgresql":
        if not url.database:
            raise ValueError("must name a database, as in postgresql://portcullis@db.example.com/portcullis")
        return text
    return _database_url(text)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("must be 1 to 200 printable ASCII characters without a space or `+`")
    return text


def _by_adapter(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> BackendSettings:
    """Check a backend's entry with the settings of the adapter that it names."""
    adapters: Adapters = (info.context or {}).get("adapters", {})
    chosen = adapters.get(str(value.get("adapter"))) if isinstance(value, dict) else None
    if chosen is not None:
        return chosen.model_validate(value)
    if isinstance(value, dict):
        # Which further keys it may have is not known without its adapter.
        value = {key: inner for key, inner in value.items() if key in BackendSettings.model_fields}
    return handler(value)  # type: ignore[no-any-return]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AuditSettings(_Part):
    """How the log is signed: `origin` is its name in checkpoints (C2SP tlog-checkpoint)."""

    origin: Annotated[str, AfterValidator(_origin)]
    signing_key_file: Path


class StateSettings(_Part):
    """Where the gateway keeps sessions, signing keys and revocations; without it, it accepts tokens and makes none.

    `secret_file` holds the secret that seals them; replicas share database and secret. The password of a PostgreSQL
    database stands in a file or an environment variable, never in the URL.
    """

    database: Annotated[str, AfterValidator(_state_database_url)]
    database_password_file: Path | None = None
    database_password_env: str | None = None
    secret_file: Path


class IntrospectionClient(_Part):
    """A backend that may ask what a token of the gateway's stands for (RFC 7662)."""

    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    client_secret_file: Path | None = None
    client_secret_env: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.client_secret_file is None) == (self.client_secret_env is None):
            raise ValueError("needs client_secret_file or client_secret_env, one of them")
        return self


class IdentitySettings(_Part):
    """Who may vouch for a caller, and how the gateway's own sessions and tokens live. Durations are seconds.

    - `access_token_s`: the life of an access token; what a revocation misses nowhere ends by itself then.
    - `session_idle_s`: a session that is not renewed for so long ends; `session_max_s`: every session ends.
    - `signing_key_s`: how long a key signs before the next one takes over.
    - `dpop_nonce`: every DPoP proof must hold a nonce of the gateway's (RFC 9449, section 8).
    """

    providers: Annotated[tuple[ProviderSettings, ...], Field(min_length=1)]
    state: StateSettings | None = None
    introspection_clients: tuple[IntrospectionClient, ...] = ()
    access_token_s: Annotated[int, Field(ge=60, le=3600)] = 600
    session_idle_s: Annotated[int, Field(ge=300, le=2_592_000)] = 43_200
    session_max_s: Annotated[int, Field(ge=300, le=7_776_000)] = 604_800
    signing_key_s: Annotated[int, Field(ge=3600, le=31_536_000)] = 2_592_000
    dpop_nonce: bool = False


class TlsSettings(_Part):
    """The gateway's own end of TLS, PEM files; without it something in front of the gateway ends TLS.

    `certificate_file` holds the chain, the gateway's own certificate first. With `client_ca_file`, which holds the
    authorities that vouch for clients, a client may show a certificate, and a token can be bound to it (RFC 8705).
    """

    certificate_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"


class Settings(_Part):
    """The whole configuration. Every path in it is absolute once loaded."""

    listen: Annotated[str, AfterValidator(_address)]
    public_url: Annotated[str, AfterValidator(_public_url)]
    policies: Path
    database: Annotated[str, AfterValidator(_database_url)]
    audit: AuditSettings
    identity: IdentitySettings
    tls: TlsSettings | None = None
    backends: Annotated[
        tuple[Annotated[SerializeAsAny[BackendSettings], WrapValidator(_by_adapter)], ...], Field(min_length=1)
    ]

    @property
    def listen_host(self) -> str:
        """The host or address to bind, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port to bind; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])


class EnvironmentOverrides(BaseSettings):
    """What the environment may say in the file's place, for containers: `PORTCULLIS_LISTEN` and so on."""

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_", extra="ignore")

    listen: str | None = None
    public_url: str | None = None
    policies: str | None = None
    database: str | None = None


def load_settings(
    path: Path, adapters: Adapters, *, check_inputs: bool = True, check_database: bool = False
) -> Settings:
    """Read, check and return the configuration in `path`; relative paths in it start at its directory.

    `adapters` maps the names that `adapter:` may have to their settings. `check_inputs` also demands that the
    files and environment variables it names are there and the signing key is good; `check_database` that the
    database is there, which a gateway that starts can wait for.

    Raises ConfigError with everything that is wrong.
    """
    file = read_config_file(path)
    overrides = EnvironmentOverrides().model_dump(exclude_none=True)
    base = path.absolute().parent
    schema = settings_schema(adapters)
    data = absolute(file.data | overrides, schema, base)
    problems: dict[Location, str] = {}
    for location, message in clashes(data, tuple(adapters)):
        problems.setdefault(location, message)
    settings = None
    try:
        settings = Settings.model_validate(data, context={"adapters": adapters})
    except ValidationError as error:
        for details in error.errors(include_url=False, include_context=False, include_input=False):
            location = in_file(details["loc"], data)
            if not follows_from_another(details, location, data):
                problems.setdefault(location, message_for(details, location, data, schema))
    if check_inputs:
        for location, message in missing_inputs(data, schema, base):
            problems.setdefault(location, message)
        for location, message in provider_problems(settings.identity.providers if settings is not None else ()):
            problems.setdefault(location, message)
    if check_database:
        for location, message in missing_database(data, base):
            problems.setdefault(location, message)
    if problems or settings is None:
        raise ConfigError([_finding(file, overrides, place, text) for place, text in problems.items()])
    return settings


def settings_schema(adapters: Adapters) -> Schema:
    """Return the JSON Schema (2020-12) of the whole file, every adapter's keys included."""
    models = [(Settings, "validation"), *((model, "validation") for model in adapters.values())]
    references, combined = models_json_schema(models)  # type: ignore[arg-type]
    definitions: dict[str, Any] = combined["$defs"]
    for name, model in adapters.items():
        reference = references[(model, "validation")]["$ref"]
        definition = definitions[reference.rpartition("/")[2]]
        definition["properties"]["adapter"] = {"const": name, "title": "Adapter", "type": "string"}
        definition["required"] = sorted({*definition["required"], "adapter"})
    top: Schema = definitions.pop(references[(Settings, "validation")]["$ref"].rpartition("/")[2])
    entries = [references[(model, "validation")] for model in adapters.values()]
    top["properties"]["backends"]["items"] = {"oneOf": entries}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _finding(file: ConfigFile, overrides: dict[str, Any], location: Location, message: str) -> Finding:
    if location and location[0] in overrides:
        return Finding(f"environment variable PORTCULLIS_{str(location[0]).upper()}", 0, message)
    return Finding(file.file, file.line(location), message)
