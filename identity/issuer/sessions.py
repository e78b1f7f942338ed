"""Sessions at the gateway: begun by a login, carried on by refresh tokens, ended once and everywhere.

A refresh token is good for one renewal (RFC 9700, section 4.14.2). Whoever shows one that was used before, its owner
or a thief, ends the session with all of its tokens. A renewal is paid for in this order, so that whatever fails on the
way leaves either a good token or an ended session, never two good tokens:

1. The token is used up. 2. The provider is asked again, the person looked up again. 3. What came of it is stored.
4. The renewal is recorded. 5. The next refresh token is stored. 6. Both tokens are given out.

What fails in 2 to 5 for no fault of the holder makes the old token good again. Where the process dies on the way, or
the answer is lost, the token is used up and its holder logs in again.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.issuer.access_tokens import AccessTokens, Record, TokenAnswer
from identity.issuer.clients import CONSOLE, Client
from identity.issuer.grants import is_same_account, new_grant, principal_of_grant, with_facts_of
from identity.issuer.narrowing import narrowed, narrowed_for
from identity.issuer.oauth_error import OAuthError, unavailable
from identity.principal import UNLIMITED, Confirmation, Limits, Principal
from identity.relying_party_messages import LoginError
from identity.sealing import Sealer, SealError
from identity.secret_digest import secret_digest
from identity.state import Claimed, EndReason, Grant, GrantStore, RefreshTokenStore, StateUnavailableError

# A session that has not fetched its first tokens is forgotten after this: longer than any code for them lives.
UNUSED_S: Final = 900
_PURPOSE: Final = "provider_refresh_token"
# The prefix tells what it is to whoever finds one: a person, or a scanner for leaked secrets.
_REFRESH_TOKEN = re.compile(r"prt_[A-Za-z0-9_-]{43}")
_DEPROVISIONED: Final = frozenset(("person_deactivated", "account_deprovisioned", "not_provisioned"))
_OVER: Final = "the session is over: log in again"

_log = logging.getLogger(__name__)


class LoginOverError(Exception):
    """A login can't be used for anything any more: it was used before, or its session has ended."""


class ProviderRenewal(Protocol):
    """Asks the provider of a grant whether it still vouches for the person."""

    async def renew(self, grant: Grant, provider_refresh_token: str) -> tuple[Principal, str | None]:
        """Return whom the provider vouches for now, and its next refresh token where it gave a new one.

        Raises LoginError (`invalid_grant` where the provider says no), InvalidCredentialError where its answer or the
        person is not good any more, and ProviderUnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things live, in seconds; the settings of the same names say more."""

    access_token_s: int
    session_idle_s: int
    session_max_s: int


class Sessions:
    """Begins, renews and ends sessions; belongs to one event loop.

    `recheck` returns a principal as it is now and raises InvalidCredentialError where it is good no more (see
    `Federation.recheck`). `in_force` puts in force, in this process, what was just written (see
    `IdentitySync.catch_up`). `clock` gives seconds since the Unix epoch. Where the store can't be used every method
    raises StateUnavailableError.
    """

    def __init__(
        self,
        grants: GrantStore,
        refresh_tokens: RefreshTokenStore,
        sealer: Sealer,
        tokens: AccessTokens,
        lifetimes: Lifetimes,
        *,
        renewal: ProviderRenewal,
        recheck: Callable[[Principal], Principal],
        in_force: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._grants = grants
        self._refresh_tokens = refresh_tokens
        self._sealer = sealer
        self._tokens = tokens
        self._lifetimes = lifetimes
        self._renewal = renewal
        self._recheck = recheck
        self._in_force = in_force
        self._clock = clock

    async def begin(
        self,
        principal: Principal,
        *,
        client: str,
        source: str,
        provider_refresh_token: str | None = None,
        limits: Limits = UNLIMITED,
        confirmation: Confirmation | None = None,
    ) -> Grant:
        """Store and return a new grant for somebody who has just logged in. `source` is their address.

        The console's lives to the end. Another client's is forgotten soon unless it fetches its tokens.
        """
        now = int(self._clock())
        grant = new_grant(
            principal,
            client=client,
            source=source,
            limits=narrowed(principal.limits, limits),
            confirmation=confirmation,
            now=now,
            expires_at=now + (self._lifetimes.session_max_s if client == CONSOLE else UNUSED_S),
        )
        if provider_refresh_token is not None:
            grant = replace(grant, sealed_refresh_token=self._sealed(grant, provider_refresh_token))
        await asyncio.to_thread(self._grants.add_grant, grant)
        return grant

    async def answer(
        self, grant_id: str, client: Client, confirmation: Confirmation | None, record: Record
    ) -> TokenAnswer:
        """Return a session's first tokens; `confirmation` is the key that the client has just proved to hold.

        Raises OAuthError (invalid_grant, temporarily_unavailable) and whatever `record` does: no token is given then.
        """
        grant = await self._living(grant_id, client)
        _check_key(grant, confirmation)
        updated = await self._checked(grant, principal_of_grant(grant))
        return await self._answer(replace(updated, confirmation=confirmation), UNLIMITED, record)

    async def renew(
        self, refresh_token: str, client: Client, limits: Limits, confirmation: Confirmation | None, record: Record
    ) -> TokenAnswer:
        """Use a refresh token up and return the next tokens, the access token narrowed to `limits`.

        A session that is bound to no key stays so: who renews it has shown a bearer token. Raises OAuthError
        (invalid_grant, invalid_request for a proof there, invalid_scope, invalid_target, temporarily_unavailable) and
        whatever `record` does; unless it is invalid_grant the refresh token stays good.
        """
        claimed = await self._claimed(refresh_token)
        if claimed is None:
            raise OAuthError("invalid_grant", _OVER)
        if claimed.reused:
            await self.end(claimed.grant_id, "refresh_reused")
            raise OAuthError(
                "invalid_grant", "the refresh token was used before, so the session was ended: log in again"
            )
        try:
            grant = await self._living(claimed.grant_id, client)
            _check_key(grant, confirmation)
            _check_no_new_key(grant, confirmation)
            narrowed_for(grant.limits, limits)
            updated = await self._asked_again(grant)
            return await self._answer(updated, limits, record)
        except BaseException:
            # Also where the session has ended: the token then leads nowhere.
            release = self._refresh_tokens.release_refresh_token
            await asyncio.shield(asyncio.to_thread(release, secret_digest(refresh_token)))
            raise

    async def grant_of(self, refresh_token: str) -> Grant | None:
        """Use a refresh token up and return its grant, None where there is none: for its revocation (RFC 7009)."""
        claimed = await self._claimed(refresh_token)
        return await asyncio.to_thread(self._grants.grant, claimed.grant_id) if claimed is not None else None

    async def use_login(self, grant: Grant) -> str | None:
        """Use up the login that a session of the console began with, for the one other that it was made for.

        Returns the provider's refresh token, which goes over to that (a provider that renews its refresh tokens takes
        two sessions with one for a theft), None where it gave none. Raises LoginOverError where the login was used
        before, in whichever process.
        """
        used = await asyncio.to_thread(self._grants.use_login, grant.id, int(self._clock()))
        if used is None:
            raise LoginOverError
        if used.sealed_refresh_token is None:
            return None
        try:
            return self._opened(replace(grant, sealed_refresh_token=used.sealed_refresh_token))
        except SealError:
            # Without it the other session would never ask the provider again.
            raise LoginOverError from None

    async def end(self, grant_id: str, reason: EndReason) -> None:
        """End a session with all of its tokens, here at once and elsewhere as soon as it is read there."""
        now = int(self._clock())
        await asyncio.to_thread(lambda: self._grants.end_grants(now=now, reason=reason, grant_id=grant_id))
        try:
            await self._in_force()
        except StateUnavailableError as error:
            # It is written. As long as it can't be read here, the change feed's own rule refuses everybody.
            _log.warning("a session was ended, but this can't be read back yet: %s", error)

    async def _claimed(self, refresh_token: str) -> Claimed | None:
        if _REFRESH_TOKEN.fullmatch(refresh_token) is None:
            return None
        now = int(self._clock())
        return await asyncio.to_thread(self._refresh_tokens.claim_refresh_token, secret_digest(refresh_token), now)

    async def _living(self, grant_id: str, client: Client) -> Grant:
        grant = await asyncio.to_thread(self._grants.grant, grant_id)
        if grant is None or grant.ended_at is not None or grant.client != client.id:
            raise OAuthError("invalid_grant", _OVER)
        if min(grant.expires_at, self._ends_at(grant)) <= self._clock():
            raise OAuthError("invalid_grant", _OVER)
        return grant

    async def _asked_again(self, grant: Grant) -> Grant:
        """Return the grant with what its provider and the directory say now; ends it where they say no."""
        if grant.sealed_refresh_token is None:
            return await self._checked(grant, principal_of_grant(grant))
        try:
            token = self._opened(grant)
            principal, next_token = await self._renewal.renew(grant, token)
        except ProviderUnavailableError as error:
            raise unavailable(f"the provider {error.provider} can't be reached: try again later") from None
        except InvalidCredentialError as error:
            raise await self._refused(grant, error) from None
        except LoginError as error:
            if error.code != "invalid_grant":
                # The gateway's own standing at the provider is at fault, not the person's.
                raise unavailable(error.detail) from None
            await self.end(grant.id, "provider_refused")
            raise OAuthError("invalid_grant", "the provider ended the login: log in again") from None
        except SealError:
            await self.end(grant.id, "expired")
            raise OAuthError("invalid_grant", _OVER) from None
        if next_token is not None:
            grant = replace(grant, sealed_refresh_token=self._sealed(grant, next_token))
            # The provider's old token may be spent: whatever happens next, the new one must not be lost.
            await self._stored(grant)
        return await self._checked(grant, principal)

    async def _checked(self, grant: Grant, principal: Principal) -> Grant:
        # As old as the login, so that a revocation since then counts, whenever the provider made its token.
        principal = replace(
            principal,
            issued_at=grant.created_at,
            session=grant.id,
            # A provider may name its session at the login only.
            provider_session=principal.provider_session or grant.provider_session,
        )
        try:
            principal = self._recheck(principal)
        except InvalidCredentialError as error:
            raise await self._refused(grant, error) from None
        if not is_same_account(grant, principal):
            await self.end(grant.id, "revoked")
            raise OAuthError("invalid_grant", "the account stands for somebody else now: log in again")
        return with_facts_of(grant, principal)

    async def _refused(self, grant: Grant, error: InvalidCredentialError) -> OAuthError:
        reason: EndReason = "provider_refused"
        if error.code == "token_revoked":
            reason = "revoked"
        elif error.code in _DEPROVISIONED:
            reason = "deprovisioned"
        await self.end(grant.id, reason)
        return OAuthError("invalid_grant", error.detail)

    async def _answer(self, grant: Grant, limits: Limits, record: Record) -> TokenAnswer:
        now = int(self._clock())
        ends_at = self._ends_at(grant)
        grant = replace(grant, renewed_at=now, expires_at=min(ends_at, now + self._lifetimes.session_idle_s))
        principal = replace(
            principal_of_grant(grant),
            issued_at=now,
            expires_at=min(ends_at, now + self._lifetimes.access_token_s),
            limits=narrowed(grant.limits, limits),
        )
        minted = self._tokens.mint(principal, grant.client)
        await self._stored(grant)
        await record(minted.principal, f"the session {grant.id}")
        refresh_token = f"prt_{secrets.token_urlsafe(32)}"
        await asyncio.to_thread(
            self._refresh_tokens.add_refresh_token, secret_digest(refresh_token), grant.id, grant.expires_at
        )
        return self._tokens.answer(minted, refresh_token=refresh_token)

    async def _stored(self, grant: Grant) -> None:
        if not await asyncio.to_thread(self._grants.update_grant, grant):
            raise OAuthError("invalid_grant", _OVER)

    def _ends_at(self, grant: Grant) -> int:
        return grant.created_at + self._lifetimes.session_max_s

    def _sealed(self, grant: Grant, provider_refresh_token: str) -> bytes:
        # With the grant's id, or whoever can write the database could give one person's to another.
        return self._sealer.seal(_PURPOSE, f"{grant.id} {provider_refresh_token}".encode())

    def _opened(self, grant: Grant) -> str:
        grant_id, _, token = self._sealer.open(_PURPOSE, grant.sealed_refresh_token or b"").decode().partition(" ")
        if grant_id != grant.id:
            raise SealError("sealed for another grant")
        return token


def _check_key(grant: Grant, confirmation: Confirmation | None) -> None:
    """Hold a public client to the key that its tokens were bound to at first (RFC 9449, section 5)."""
    if grant.confirmation is not None and grant.confirmation != confirmation:
        raise OAuthError("invalid_grant", "the session is bound to a key: prove in this request that you hold it")


def _check_no_new_key(grant: Grant, confirmation: Confirmation | None) -> None:
    # A certificate belongs to the connection, and asks for nothing.
    if grant.confirmation is None and confirmation is not None and confirmation.method == "jkt":
        detail = "a session that is bound to no key is not bound by a renewal: log in with the key, or send no proof"
        raise OAuthError("invalid_request", detail)
