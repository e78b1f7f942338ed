"""A person's session in a browser: which one a request belongs to, if any.

The cookie names a grant and is sealed; that the grant still lives is looked up for every request, so that a session
ended anywhere is out at the next one. A cookie that is malformed, foreign or old means no session.

Stored format: JSON of `_Sealed`'s fields, sealed for the purpose `session`. What an older version has sealed may be
refused: the person logs in again.
"""

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Final

from fastapi import Request

from gateway.console.cookies import PREFIX, delete_cookie, sealed_cookies, set_cookie
from gateway.console.services import ConsoleServices
from identity.authenticator import InvalidCredentialError
from identity.issuer.clients import CONSOLE
from identity.issuer.grants import is_same_account, principal_of_grant
from identity.login import LOGIN_WITHIN_S
from identity.principal import Principal
from identity.sealing import SealError
from identity.state import Grant

COOKIE: Final = PREFIX + "session"
DEVICE_PAGE: Final = "/-/device"

_PURPOSE: Final = "session"
# A cookie is written anew no more often than this.
_SEEN_EVERY_S: Final = 60


@dataclass(frozen=True, slots=True)
class _Sealed:
    grant_id: str
    secret: str = field(repr=False)
    seen_at: int
    answers: str


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Somebody who is logged in with this browser; `principal` is as they are now.

    `secret` makes the tokens of the session's forms.
    """

    grant: Grant
    principal: Principal
    secret: str = field(repr=False)
    answers: str


async def current_session(services: ConsoleServices, request: Request) -> BrowserSession | None:
    """Return the session that the request's cookie stands for, None where there is none.

    Raises StateUnavailableError.
    """
    sealed = _opened(services, request)
    now = int(services.clock())
    if sealed is None or now - sealed.seen_at > services.session_idle_s:
        return None
    grant = await asyncio.to_thread(services.grants.grant, sealed.grant_id)
    if grant is None or grant.client != CONSOLE or grant.ended_at is not None or grant.expires_at <= now:
        return None
    try:
        principal = services.recheck(principal_of_grant(grant))
    except InvalidCredentialError:
        return None
    if not is_same_account(grant, principal):
        return None
    if now - sealed.seen_at >= _SEEN_EVERY_S:
        _give(services, request, grant, sealed.secret, sealed.answers)
    return BrowserSession(grant, principal, sealed.secret, sealed.answers)


def begin_session(services: ConsoleServices, request: Request, grant: Grant, page: str) -> None:
    """Give the browser the cookie of a grant that was just made for `page`, in place of any earlier session's."""
    _give(services, request, grant, secrets.token_urlsafe(24), _digest(page))


def forget_session(request: Request) -> None:
    """Take the session's cookie from the browser."""
    delete_cookie(request, COOKIE)


def named_grant(services: ConsoleServices, request: Request) -> str | None:
    """Return the grant that the cookie names, whether it lives or not."""
    sealed = _opened(services, request)
    return sealed.grant_id if sealed is not None else None


def is_login_for(services: ConsoleServices, session: BrowserSession, page: str) -> bool:
    """Tell whether the person has just logged in because of this page, as it asked, and it is not answered yet.

    It is the store that knows of an answer, and `Sessions.use_login` that lets only one be given: a browser can keep
    its cookie, and send a form twice at once.
    """
    is_fresh = services.clock() - session.grant.created_at < LOGIN_WITHIN_S
    return is_fresh and session.answers == _digest(page) and session.grant.login_used_at is None


def _give(services: ConsoleServices, request: Request, grant: Grant, secret: str, answers: str) -> None:
    now = int(services.clock())
    text = json.dumps(asdict(_Sealed(grant.id, secret, now, answers)))
    lifetime_s = min(services.session_idle_s, grant.expires_at - now)
    set_cookie(request, COOKIE, services.sealer.seal(_PURPOSE, text.encode()), lifetime_s)


def _opened(services: ConsoleServices, request: Request) -> _Sealed | None:
    cookie = sealed_cookies(request, COOKIE).get(COOKIE)
    if cookie is None:
        return None
    try:
        return _Sealed(**json.loads(services.sealer.open(_PURPOSE, cookie)))
    except (SealError, ValueError, TypeError):
        return None


def _digest(page: str) -> str:
    # A code in the address of the device page is only what its form begins with.
    address = page.partition("?")[0] if page.startswith(DEVICE_PAGE) else page
    return sha256(address.encode()).hexdigest()[:32]
