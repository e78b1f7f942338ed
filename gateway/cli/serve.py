"""`portcullis serve`: run the gateway."""

# ruff: noqa: PLC0415
# What is heavy is imported where it is needed, so that `portcullis --help` answers at once.

from pathlib import Path
from typing import Annotated

from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG, read_settings


def serve(config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG) -> None:
    """Run the gateway until it is told to stop (SIGINT, SIGTERM)."""
    settings = read_settings(config)
    from gateway.app import serve as run

    run(settings)
