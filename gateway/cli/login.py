"""`portcullis login` and `logout`: a login at the gateway, kept for the other commands."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import CommandError, Format, FormatOption, print_error, print_json, print_text

if TYPE_CHECKING:
    from gateway.cli.sign_in import Way
    from gateway.cli.token_store import TokenStore

GATEWAY_OPTION = typer.Option(
    "--gateway", metavar="URL", help="The gateway; by default PORTCULLIS_GATEWAY, else the last login's."
)
ACR_OPTION = typer.Option(
    "--acr",
    metavar="VALUE",
    help="The authentication context (acr) that the login must have; repeated, any of them is enough.",
)
MAX_AGE_OPTION = typer.Option(
    "--max-age", metavar="SECONDS", min=0, help="For how long the person may have been authenticated at most."
)


def login(
    *,
    gateway: Annotated[str | None, GATEWAY_OPTION] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Which identity provider, without being asked.")
    ] = None,
    device: Annotated[
        bool, typer.Option("--device", help="Log in on another device, as is done by itself where there is no browser.")
    ] = False,
    browser: Annotated[
        bool | None,
        typer.Option("--browser/--no-browser", help="Open the address in a browser here, or only print it."),
    ] = None,
    acr: Annotated[list[str] | None, ACR_OPTION] = None,
    max_age_s: Annotated[int | None, MAX_AGE_OPTION] = None,
    timeout_s: Annotated[
        int | None,
        typer.Option(
            "--timeout", min=1, help="Seconds to wait for the person: 300, or as long as a device's code is good."
        ),
    ] = None,
    output: FormatOption = Format.text,
) -> None:
    """Log in at the gateway, and keep the tokens for this user alone.

    The address to open is printed on standard error.
    """
    from gateway.cli.assurance import Assurance, unverified_claims
    from gateway.cli.caller import Caller, moment, require
    from gateway.cli.sign_in import Wish, sign_in

    wish = Wish(provider, _way(device, browser), Assurance(tuple(acr or ()), max_age_s), timeout_s)
    caller = Caller()
    url = caller.gateway(gateway)
    kept = sign_in(caller.store, url, wish)
    claims = unverified_claims(kept.token)
    subject, through = claims.get("sub"), claims.get("idp")
    if output is Format.json:
        print_json({"gateway": url, "subject": subject, "provider": through, "expires_at": kept.expires_at})
    else:
        print_text(
            f"Logged in at {url}{_after(' as ', subject)}{_after(' through ', through)}; "
            f"the token ends at {moment(kept.expires_at)}{' and is renewed' if kept.refresh_token else ''}."
        )
    if caller.has_token_of_its_own:
        print_error("PORTCULLIS_TOKEN is set: every command shows that token in place of this login.")
    require(wish.assurance, kept.token)


def logout(gateway: Annotated[str | None, GATEWAY_OPTION] = None, output: FormatOption = Format.text) -> None:
    """End the login at the gateway, and forget it here.

    Where the gateway can't be reached the login is forgotten here all the same.
    """
    from gateway.cli.caller import Caller

    caller = Caller()
    url = caller.gateway(gateway)
    with caller.store.exclusive():
        problem = _revoked(caller.store, url)
        removed = caller.store.remove(url)
    if output is Format.json:
        print_json({"gateway": url, "removed": removed, "revoked": removed and problem is None})
    else:
        print_text(f"Logged out of {url}." if removed else f"There was no login at {url}.")
    if removed and problem is not None:
        print_error(f"The gateway was not told ({problem}): there the session lives until it ends by itself.")


def _revoked(store: "TokenStore", gateway: str) -> str | None:
    """End the login at the gateway; returns why that could not be done, None where it is done or there is no login."""
    from gateway.cli.http_client import http_client
    from gateway.cli.oauth import revoke

    try:
        kept = store.load(gateway, exposed=True)
        if kept is not None:
            with http_client() as http:
                revoke(http, kept)
    except CommandError as error:
        return str(error)
    return None


def _way(device: bool, browser: bool | None) -> "Way | None":
    from gateway.cli.sign_in import Way

    if device and browser:
        raise CommandError("--device is for where there is no browser: leave out --browser")
    if device:
        return Way.device
    if browser is None:
        return None
    return Way.browser if browser else Way.address


def _after(words: str, text: object) -> str:
    return f"{words}{text}" if isinstance(text, str) else ""
