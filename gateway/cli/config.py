"""`portcullis config`: check a configuration file, print its schema."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import (
    Format,
    FormatOption,
    finding_documents,
    place,
    print_error,
    print_json,
    print_text,
)
from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG

app = typer.Typer(help="Check the configuration file, or print its schema.", no_args_is_help=True)


@app.command()
def check(config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG, output: FormatOption = Format.text) -> None:
    """Check the file, and that every file and environment variable that it names is there; also the database.

    All errors are listed at once. Exit code 2 where there is one.
    """
    from gateway.app import ADAPTERS
    from gateway.config_file import ConfigError
    from gateway.settings import load_settings

    try:
        settings = load_settings(config, ADAPTERS, check_database=True)
    except ConfigError as error:
        if output is Format.json:
            print_json({"ok": False, "findings": finding_documents(error.findings)})
        else:
            print_error("\n".join(place(finding) for finding in error.findings))
        raise typer.Exit(2) from error
    providers = [provider.name for provider in settings.identity.providers]
    backends = [backend.name for backend in settings.backends]
    if output is Format.json:
        print_json({"ok": True, "findings": [], "providers": providers, "backends": backends})
    else:
        print_text(f"{config}: good; providers: {', '.join(providers)}; backends: {', '.join(backends)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the whole file, every adapter's keys included, for editors and other checks."""
    from gateway.app import ADAPTERS
    from gateway.settings import settings_schema

    print_json(settings_schema(ADAPTERS))
