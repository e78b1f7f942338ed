"""One login at a gateway, from the first question to the kept tokens: in a browser here, or on another device."""

import os
import secrets
import sys
import webbrowser
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from gateway.cli.assurance import Assurance
from gateway.cli.authorization_server import AuthorizationServer, discover
from gateway.cli.device import DeviceFlow
from gateway.cli.http_client import http_client
from gateway.cli.oauth import CodeFlow, Tokens, revoke
from gateway.cli.output import CommandError, print_error
from gateway.cli.redirect import LoopbackRedirect
from gateway.cli.token_store import Login, TokenStore

_BROWSER_TIMEOUT_S = 300
_DEVICE_TIMEOUT_S = 3600


class Way(StrEnum):
    """How a person gets to the login pages: a browser is opened here, they open one here, or one on another device."""

    browser = "browser"
    address = "address"
    device = "device"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a login is to be like. `provider`, `way` and `timeout_s` are None where they are not given."""

    provider: str | None = None
    way: Way | None = None
    assurance: Assurance = field(default_factory=Assurance)
    timeout_s: int | None = None

    def parameters(self) -> dict[str, str]:
        """Return what the gateway's login pages are told of it."""
        provider = {} if self.provider is None else {"provider": self.provider}
        return provider | self.assurance.parameters()


def sign_in(store: TokenStore, gateway: str, wish: Wish) -> Login:
    """Let a person log in and keep what they get, in the place of an earlier login, which ends.

    What to do is told on standard error. Raises CommandError.
    """
    store.check()
    server = discover(gateway)
    way = wish.way or (Way.browser if has_browser() else Way.device)
    with http_client() as http:
        if way is Way.device:
            tokens = _on_another_device(http, server, wish)
        else:
            tokens = _in_a_browser(http, server, wish, open_it=way is Way.browser)
        login = tokens.login(gateway, server)
        with store.exclusive():
            replaced = _kept(store, gateway)
            store.add(login)
        if replaced is not None:
            _end(http, replaced)
    return login


def has_browser() -> bool:
    """Tell whether a browser could be opened where the person is. `BROWSER` names one, as for every program."""
    if os.environ.get("BROWSER"):
        return True
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    # On these the desktop is known without a variable, but who comes over SSH does not sit before it.
    always = sys.platform in ("darwin", "win32") and not os.environ.get("SSH_CONNECTION")
    if not has_display and not always:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _kept(store: TokenStore, gateway: str) -> Login | None:
    """Return the login that a new one takes the place of, also one that others can read: that one above all."""
    try:
        return store.load(gateway, exposed=True)
    except CommandError:
        # Damaged, or its keyring is gone: there is nothing to end it with.
        return None


def _end(http: httpx.Client, replaced: Login) -> None:
    """End a login that has been replaced; where the gateway can't, it ends by itself, and the new one is as good."""
    with suppress(CommandError):
        revoke(http, replaced)


def _in_a_browser(http: httpx.Client, server: AuthorizationServer, wish: Wish, *, open_it: bool) -> Tokens:
    timeout_s = wish.timeout_s or _BROWSER_TIMEOUT_S
    state = secrets.token_urlsafe(32)
    with LoopbackRedirect(state) as redirect:
        flow = CodeFlow(http, server, redirect.uri, state, wish.parameters())
        print_error(f"Open this address in a browser to log in:\n{flow.url}")
        if open_it and not webbrowser.open(flow.url):
            print_error("No browser could be started: open the address by hand, or run this again with --device.")
        answer = redirect.wait(timeout_s)
    if answer is None:
        raise CommandError(
            f"no browser came back within {timeout_s} s: run `portcullis login` again, with --device where the browser "
            "is on another machine"
        )
    return flow.finish(answer)


def _on_another_device(http: httpx.Client, server: AuthorizationServer, wish: Wish) -> Tokens:
    flow = DeviceFlow(http, server, wish.parameters())
    print_error(f"On any device with a browser, open\n    {flow.address}\nand enter the code\n    {flow.user_code}")
    if flow.complete_address is not None:
        print_error(f"or open this address, and check that it shows the same code:\n    {flow.complete_address}")
    print_error(f"The code is good for {flow.expires_in_s // 60} minutes.")
    return flow.wait(wish.timeout_s or _DEVICE_TIMEOUT_S)
