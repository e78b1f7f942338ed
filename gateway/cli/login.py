"""`portcullis login` and `logout`: a browser login, kept for the other commands."""

import secrets
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import CommandError, Format, FormatOption, print_error, print_json, print_text

if TYPE_CHECKING:
    from gateway.cli.oauth import LoginProvider

GATEWAY_OPTION = typer.Option(
    "--gateway", metavar="URL", help="The gateway; by default PORTCULLIS_GATEWAY, else the last login's."
)


def login(
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Which identity provider, where there are several.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the address in a browser, or only print it.")
    ] = True,
    timeout_s: Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait for the browser.")] = 300,
    output: FormatOption = Format.text,
) -> None:
    """Log in with a browser and keep the token for this user alone.

    The address to open is printed on standard error.
    """
    from gateway.cli.caller import Caller, moment
    from gateway.cli.gateway_client import ask
    from gateway.cli.http_client import http_client
    from gateway.cli.oauth import CodeFlow, discover
    from gateway.cli.redirect import LoopbackRedirect

    caller = Caller()
    url = caller.gateway(gateway)
    chosen = _choose(_providers(ask(url, "/-/api/v1/login")), provider, url)
    state = secrets.token_urlsafe(32)
    with http_client() as http, LoopbackRedirect(state) as redirect:
        flow = CodeFlow(http, chosen, discover(http, chosen.issuer), redirect.uri, state)
        print_error(f"Open this address in a browser to log in:\n{flow.url}")
        if browser and not webbrowser.open(flow.url):
            print_error("No browser could be started: open the address by hand.")
        answer = redirect.wait(timeout_s)
        if answer is None:
            raise CommandError(f"no browser came back within {timeout_s} s: run `portcullis login` again")
        kept = flow.finish(answer, url)
    caller.store.save(kept)
    if output is Format.json:
        print_json({"gateway": url, "provider": chosen.name, "expires_at": kept.expires_at})
    else:
        print_text(f"Logged in at {url} through {chosen.name}; the token ends at {moment(kept.expires_at)}.")


def logout(gateway: Annotated[str | None, GATEWAY_OPTION] = None, output: FormatOption = Format.text) -> None:
    """Forget the login at a gateway.

    A token that was already given out stays good until it expires.
    """
    from gateway.cli.caller import Caller

    caller = Caller()
    url = caller.gateway(gateway)
    removed = caller.store.remove(url)
    if output is Format.json:
        print_json({"gateway": url, "removed": removed})
    else:
        print_text(f"Logged out of {url}." if removed else f"There was no login at {url}.")


def _providers(document: dict[str, Any]) -> list["LoginProvider"]:
    from pydantic import TypeAdapter, ValidationError

    from gateway.cli.oauth import LoginProvider

    try:
        return TypeAdapter(list[LoginProvider]).validate_python(document.get("providers"))
    except ValidationError as error:
        raise CommandError("the gateway describes its providers in a way this version can't read: update it") from error


def _choose(providers: list["LoginProvider"], name: str | None, gateway: str) -> "LoginProvider":
    names = ", ".join(provider.name for provider in providers)
    if not providers:
        raise CommandError(f"{gateway} has no provider that the command line can log in with: ask its operator")
    if name is None and len(providers) > 1:
        raise CommandError(f"choose a provider with --provider: {names}")
    for provider in providers:
        if name in (None, provider.name):
            return provider
    raise CommandError(f"{gateway} has no provider {name!r}: choose one of {names}")
