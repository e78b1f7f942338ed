"""`portcullis sessions` and `revoke`: where somebody is logged in, and ending it at once."""

import re
from typing import Annotated, Any, Final

import typer

from gateway.cli.login import GATEWAY_OPTION
from gateway.cli.output import CommandError, Format, FormatOption, counted, print_json, print_text

_SUBJECT: Final = re.compile(r"(user|workload):.+")
_FORMS: Final = {
    "person": (_SUBJECT, "a policy subject, such as user:alice"),
    "session": (re.compile(r"[A-Za-z0-9_-]{16,64}"), "an id that `portcullis sessions` lists"),
    "token": (re.compile(r"[0-9a-f]{64}"), "the token's SHA-256 in lower-case hex, never the token itself"),
}


def sessions(
    person: Annotated[
        str | None,
        typer.Option("--person", metavar="SUBJECT", help="Whose, such as `user:alice`; by default the caller's own."),
    ] = None,
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    output: FormatOption = Format.text,
) -> None:
    """List the living sessions of a person: browsers, command lines and devices that are logged in."""
    from gateway.cli.caller import Caller

    if person is not None:
        _check("person", person)
    caller = Caller()
    url = caller.gateway(gateway)
    params = {} if person is None else {"subject": person}
    answer = caller.ask(url, "/-/api/v1/sessions", params=params)
    if output is Format.json:
        print_json(answer)
        return
    try:
        lines = [_line(session) for session in answer["sessions"]]
        subject = answer["subject"]
    except (KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{url} answers in a way this version can't read: update portcullis") from error
    for line in lines:
        print_text(line)
    print_text(f"{subject} has {counted(len(lines), 'session')}.")


def revoke(
    person: Annotated[
        str | None,
        typer.Option(
            "--person", metavar="SUBJECT", help="All that a person, such as `user:alice`, was given up to now."
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="One session, by its id in `portcullis sessions`.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="SHA256", help="One token, by its SHA-256 in hex as audit records name it."),
    ] = None,
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    output: FormatOption = Format.text,
) -> None:
    """Revoke a person, a session or a token: it ends at once, open connections included.

    Who is revoked may log in again. To keep somebody out, deactivate them in identities.yaml or at the provider.
    """
    from gateway.cli.caller import Caller

    options = {"person": person, "session": session, "token": token}
    wanted = {kind: value for kind, value in options.items() if value is not None}
    if len(wanted) != 1:
        raise CommandError("say what to revoke: one of --person, --session and --token")
    [(kind, value)] = wanted.items()
    _check(kind, value)
    caller = Caller()
    url = caller.gateway(gateway)
    answer = caller.ask(url, "/-/api/v1/revocations", body=wanted)
    if output is Format.json:
        print_json(answer)
        return
    ended = answer.get("sessions_ended")
    also = f"; {counted(ended, 'session')} ended" if isinstance(ended, int) else ""
    print_text(f"Revoked: {kind} {value}{also}.")


def _check(kind: str, value: str) -> None:
    """Raise CommandError, without the value, where it has not the form of what is meant: it might be a token."""
    form, meaning = _FORMS[kind]
    if form.fullmatch(value) is None:
        raise CommandError(f"--{kind} takes {meaning}")


def _line(session: dict[str, Any]) -> str:
    from gateway.cli.caller import moment

    source = f"from {session['source']}" if session["source"] else ""
    parts = (
        session["id"],
        f"{session['client']} through {session['provider']}",
        source,
        f"since {moment(session['created_at'])}",
        f"until {moment(session['expires_at'])}",
        "this one" if session["current"] is True else "",
    )
    return "  ".join(str(part) for part in parts if part)
