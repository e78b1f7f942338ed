"""`portcullis exchange`: a token for one task, narrower than the one it is made from (RFC 8693)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.login import GATEWAY_OPTION
from gateway.cli.output import CommandError, Format, FormatOption, print_json

_MAX_TOKEN_BYTES = 64 << 10


def exchange(
    *,
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", metavar="NAME", help="A backend it is good for; repeated, several; by default all."),
    ] = None,
    actions: Annotated[
        list[str] | None,
        typer.Option(
            "--action",
            metavar="PATTERN",
            help="An action it is good for, such as `s3:Get*`; repeated, several; by default all.",
        ),
    ] = None,
    subject_token_file: Annotated[
        Path | None,
        typer.Option(
            "--subject-token-file",
            metavar="FILE",
            help="Holds the token of whom it is for, `-` for standard input; by default the caller's own token.",
        ),
    ] = None,
    actor_token_file: Annotated[
        Path | None,
        typer.Option(
            "--actor-token-file", metavar="FILE", help="Holds the token of who acts for them: a job, an agent."
        ),
    ] = None,
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    output: FormatOption = Format.text,
) -> None:
    """Print a token that is good for less: some backends, some actions, or in somebody else's hands.

    It can't be renewed, and ends with the token that it was made from at the latest.

    Tokens are read from files, never from arguments, which every process on the machine can see.
    """
    from gateway.cli.authorization_server import discover
    from gateway.cli.caller import Caller
    from gateway.cli.http_client import http_client
    from gateway.cli.oauth import RefusedError, exchanged

    caller = Caller()
    url = caller.gateway(gateway)
    subject = _token_in(subject_token_file) if subject_token_file is not None else caller.token(url)
    actor = _token_in(actor_token_file) if actor_token_file is not None else None
    with http_client() as http:
        try:
            tokens = exchanged(
                http,
                discover(url),
                subject_token=subject,
                actor_token=actor,
                backends=backends or (),
                actions=actions or (),
            )
        except RefusedError as error:
            raise CommandError(f"the gateway gave no token for this ({error.code}): {error.reason}") from error
    if output is Format.json:
        print_json({"token": tokens.access_token, "expires_at": tokens.expires_at})
    else:
        typer.echo(tokens.access_token)


def _token_in(path: Path) -> str:
    try:
        if path == Path("-"):
            data = sys.stdin.buffer.read(_MAX_TOKEN_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(_MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from error
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if token[:7].lower() == "bearer ":
        raise CommandError(f"{path} has `Bearer ` in front of the token, which is the header's: leave that off")
    if not token or len(data) > _MAX_TOKEN_BYTES or any(character.isspace() for character in token):
        raise CommandError(f"{path} does not hold one token and nothing else")
    return token
