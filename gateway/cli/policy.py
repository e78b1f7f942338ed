"""`portcullis policy`: check a policy bundle and run its cases, as a pull request's gate does."""

# ruff: noqa: PLC0415
# What is heavy is imported where it is needed, so that `portcullis --help` answers at once.

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check and test a policy directory.", no_args_is_help=True)
