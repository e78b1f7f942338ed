"""How every command that takes `--config` reads it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway.cli.output import CommandError

if TYPE_CHECKING:
    from gateway.settings import Settings

DEFAULT_CONFIG = Path("portcullis.yaml")
CONFIG_OPTION = typer.Option("--config", "-c", metavar="FILE", help="The configuration file.")


def read_settings(path: Path, *, check_inputs: bool = True) -> "Settings":
    """Return the checked settings; raises CommandError that lists everything that is wrong, one line each."""
    from gateway.app import ADAPTERS
    from gateway.config_file import ConfigError
    from gateway.settings import load_settings

    try:
        return load_settings(path, ADAPTERS, check_inputs=check_inputs)
    except ConfigError as error:
        raise CommandError(f"the configuration can't be used:\n{error}") from error
