"""`portcullis identity`: who a token or a policy subject is, and the schema of identities.yaml."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import CommandError, Format, FormatOption, print_error, print_json, print_text
from gateway.cli.settings_file import CONFIG_OPTION, DEFAULT_CONFIG, read_settings

if TYPE_CHECKING:
    from gateway.cli.identity_subject import Report
    from gateway.policy.bundle import PolicyBundle
    from gateway.settings import Settings

app = typer.Typer(help="Show who somebody is to the gateway.", no_args_is_help=True)

_ON_THE_COMMAND_LINE = (
    "portcullis: the token stands in the process list and in the shell's history: give @FILE, or - for standard input"
)


@app.command()
def who(
    who: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN|USER",
            help="A token as @FILE or - (standard input); or a person's id, user:..., or workload:PROVIDER:NAME.",
        ),
    ],
    config: Annotated[Path, CONFIG_OPTION] = DEFAULT_CONFIG,
    output: FormatOption = Format.text,
) -> None:
    """Show step by step how a token resolves, without printing it; or what is known about a person or workload.

    It needs the gateway's configuration and policy, not the gateway. Exit code 1: refused, unknown or deactivated.
    """
    from gateway.cli.identity_subject import report_on

    settings = read_settings(config, check_inputs=False)
    bundle = _bundle(settings.policies)
    providers = settings.identity.providers
    # Checked before what may be a token: `user:` and `workload:` begin none.
    if who.startswith(("user:", "workload:")):
        report = report_on(who, bundle, providers)
        if report is None:
            raise CommandError("a subject is user:<id>, user:<provider>:<name> or workload:<provider>:<name>")
    elif bundle.directory.person(who) is not None:
        report = report_on(f"user:{who}", bundle, providers)
    else:
        report = _token_report(_token(who), settings, bundle)
    assert report is not None
    if output is Format.json:
        print_json(report.document)
    else:
        for line in report.lines:
            print_text(line)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of identities.yaml, for editors and other checks."""
    from identity.identities_schema import identities_schema

    print_json(identities_schema())


def _token_report(token: bytes, settings: "Settings", bundle: "PolicyBundle") -> "Report":
    from gateway.cli.identity_token import explain

    return explain(token, settings, bundle)


def _bundle(policies: Path) -> "PolicyBundle":
    from gateway.policy.bundle import load_bundle
    from gateway.policy.findings import BundleError

    try:
        return load_bundle(policies)
    except BundleError as error:
        raise CommandError(f"the policy in {policies} does not load:\n{error}") from error


def _token(argument: str) -> bytes:
    """Return the token that an argument stands for; never part of an error, whatever was meant."""
    from identity.compact_jws import MAX_TOKEN_BYTES
    from identity.identities_people import PERSON_ID

    # One byte more than any good token has, and room for the end of the line, so that a huge file is not read.
    limit = MAX_TOKEN_BYTES + 64
    try:
        if argument == "-":
            return sys.stdin.buffer.read(limit).strip()
        if argument.startswith("@"):
            with Path(argument[1:]).open("rb") as file:
                return file.read(limit).strip()
    except OSError as error:
        raise CommandError(f"{argument[1:] or 'the file'} can't be read: {error.strerror}") from error
    # No token is that short or has one of these (RFC 6750, section 2.1): an address, a group, a role.
    if any(sign in argument for sign in "@:") or (len(argument) < 24 and PERSON_ID.fullmatch(argument) is not None):
        print_error(
            "portcullis: this is no person in identities.yaml: a person is named by their id or as user:<id>, and a "
            "token is given as @FILE or -"
        )
        raise typer.Exit(1)
    print_error(_ON_THE_COMMAND_LINE)
    return argument.encode(errors="surrogateescape")
