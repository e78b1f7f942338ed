"""`portcullis config`: check a configuration file, print its schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from gateway.config_doubts import LevelledFinding
    from gateway.settings import Settings

app = typer.Typer(help="Check the configuration file, or print its schema.", no_args_is_help=True)


@app.command()
def check(
    config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask every provider whether it fits, and look at the identity state.")
    ] = False,
    output: FormatOption = Format.text,
) -> None:
    """Check the file, and that every file and environment variable that it names is there; also the database.

    All errors are listed at once. Exit code 2 where there is one; a warning changes no exit code.

    With --online, exit code 1 where a provider does not fit or the identity state can't be used.
    """
    from gateway.app import ADAPTERS
    from gateway.config_doubts import doubts
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
    findings = (*doubts(config, settings, ADAPTERS), *(_asked(config, settings) if online else ()))
    errors = [finding for finding in findings if finding.level == "error"]
    if output is Format.json:
        documents = [
            {**document, "level": finding.level, "provider": finding.provider}
            for document, finding in zip(finding_documents(findings), findings, strict=True)
        ]
        print_json({"ok": not errors, "findings": documents, "providers": providers, "backends": backends})
    else:
        for finding in findings:
            print_text(f"{finding.file}:{finding.line}: {finding.level}: {finding.message}")
        print_text(f"{config}: {_verdict(errors)}; providers: {', '.join(providers)}; backends: {', '.join(backends)}")
    if errors:
        raise typer.Exit(1)


def _asked(config: Path, settings: "Settings") -> "tuple[LevelledFinding, ...]":
    # What it needs, an HTTP client above all, is not loaded for the ordinary check.
    from gateway.app import open_identity_state
    from gateway.config_online import check_online, check_state

    found = check_state(config, settings, lambda state: open_identity_state(state, read_only=True))
    return (*found, *check_online(config, settings))


def _verdict(errors: "Sequence[LevelledFinding]") -> str:
    if not errors:
        return "good"
    about_a_provider = any(error.provider is not None for error in errors)
    return "a provider does not fit" if about_a_provider else "the identity state can't be used"


@app.command()
def schema() -> None:
    """Print the JSON Schema of the whole file, every adapter's keys included, for editors and other checks."""
    from gateway.app import ADAPTERS
    from gateway.settings import settings_schema

    print_json(settings_schema(ADAPTERS))
