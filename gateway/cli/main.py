"""The `portcullis` command: its groups, and what happens to an error.

A module of this package imports what is heavy inside its commands, so that `portcullis --help` answers at once.
"""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli import access, audit, config, exchange, identity, init, init_state, login, policy, serve, sessions
from gateway.cli.output import CommandError, DeniedError, print_error

app = typer.Typer(
    name="portcullis",
    help="Policy-as-code access control for the backends of a developer platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.command("init-state")(init_state.init_state)
app.command("serve")(serve.serve)
app.add_typer(config.app, name="config")
app.command("login")(login.login)
app.command("logout")(login.logout)
app.command("token")(access.token)
app.command("whoami")(access.whoami)
app.command("can-i")(access.can_i)
app.command("exchange")(exchange.exchange)
app.command("sessions")(sessions.sessions)
app.command("revoke")(sessions.revoke)
app.add_typer(identity.app, name="identity")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"portcullis {version('portcullis')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` are by default the process's own."""
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="portcullis")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except CommandError as error:
        print_error(f"portcullis: {error}")
        return 1 if isinstance(error, DeniedError) else 2
    except Exception:
        # Python's own exit code would be 1, which says "denied" or "a finding" here.
        traceback.print_exc()
        return 2
    return 0
