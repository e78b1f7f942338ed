"""Secrets: named in the configuration, kept in a file or an environment variable."""

import os
import re
from pathlib import Path

from pydantic import SecretStr

MAX_SECRET_BYTES = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class SecretError(Exception):
    """A secret can't be read or used; the text names its place and the remedy, never its content."""


def read_secret(place: str, file: Path | None, env: str | None) -> SecretStr:
    """Return the secret in `file` (its one line, at most 64 KiB) or in the environment variable `env`.

    `place` is how errors call it: `backend deploy-prod, credential.basic.password`. Raises SecretError.
    """
    if file is not None:
        text, source = _file_text(place, file), f"the file {file}"
    elif env is not None and env in os.environ:
        text, source = os.environ[env], f"the environment variable {env}"
    else:
        raise SecretError(f"{place}: the environment variable {env} is not set; set it and start again")
    # An editor or `echo` ends the file with a newline that is no part of the secret.
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretError(f"{place}: {source} is empty; write the secret into it")
    if _CONTROL.search(secret):
        raise SecretError(
            f"{place}: {source} holds a line break or another control character; write the secret alone, on one line"
        )
    return SecretStr(secret)


def _file_text(place: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise SecretError(
            f"{place}: cannot read {file}: {error.strerror}; create it, readable by the gateway's user only"
        ) from error
    if len(content) > MAX_SECRET_BYTES:
        raise SecretError(f"{place}: {file} is longer than {MAX_SECRET_BYTES} bytes: it is not a secret")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretError(f"{place}: {file} is not UTF-8 text; write the secret as text") from None


def one_source(name: str, file: Path | None, env: str | None) -> None:
    """Raise ValueError unless exactly one of `name`_file and `name`_env is given."""
    if (file is None) == (env is None):
        raise ValueError(f"give exactly one of {name}_file and {name}_env")
