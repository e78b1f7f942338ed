"""What a person's environment tells the commands that talk to a gateway."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

TokenPlace = Literal["auto", "keyring", "file"]


class ClientSettings(BaseSettings):
    """`PORTCULLIS_GATEWAY`, `PORTCULLIS_TOKEN` and where logins are kept (XDG Base Directory: state).

    `PORTCULLIS_TOKEN_STORE` says where their tokens are: in the operating system's keyring, in a file, or in the
    keyring where there is one.
    """

    model_config = SettingsConfigDict(env_prefix="PORTCULLIS_", extra="ignore", frozen=True, env_ignore_empty=True)

    gateway: str | None = None
    token: SecretStr | None = None
    token_store: TokenPlace = "auto"  # noqa: S105
    xdg_state_home: Path | None = Field(default=None, validation_alias=AliasChoices("XDG_STATE_HOME"))

    @property
    def state_directory(self) -> Path:
        """Where logins are kept. A relative XDG_STATE_HOME is not used, as that specification asks."""
        base = self.xdg_state_home
        if base is None or not base.is_absolute():
            base = Path.home() / ".local" / "state"
        return base / "portcullis"
