"""Everything of the gateway that needs the identity state, made in order: issuing, logins, pages, SCIM, revocation.

Without `identity.state` none of it is there: the gateway then accepts the providers' tokens and makes none.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter

from gateway.api import backchannel, oauth, revocations, scim
from gateway.api.backchannel import BackchannelServices
from gateway.api.oauth_services import IssuerStore, OAuthServices, oauth_services
from gateway.api.problem_error import ProblemError
from gateway.api.revocations import RevocationServices
from gateway.api.scim import ScimFeed, ScimServices
from gateway.api.services import Services
from gateway.console import pages
from gateway.console.services import ConsoleServices
from gateway.exchange import Exchange
from gateway.identity_sync import Following, IdentitySync
from gateway.settings import Settings
from identity.federation import Federation
from identity.login import RelyingParty
from identity.logout_token import LogoutTokens
from identity.principal import Confirmation
from identity.provisioning import AccountReader, ProvisioningView
from identity.scim.service import ScimService
from identity.scim.store import ResourceStore
from identity.sealing import Sealer
from identity.secret import read_secret
from identity.secret_digest import secret_digest
from identity.state import ChangeFeed

MISSING_PATHS = (
    "/-/login{rest:path}",
    "/-/logout",
    "/-/device",
    "/-/console{rest:path}",
    "/-/scim/{rest:path}",
    "/-/api/v1/sessions",
    "/-/api/v1/revocations",
)


class StateStore(IssuerStore, ChangeFeed, Protocol):
    """All of `identity.state`, in one store."""


class PushedAccounts(ResourceStore, AccountReader, Protocol):
    """What providers push, written by SCIM and read for decisions."""


@dataclass(frozen=True, slots=True)
class IdentityParts:
    """The running parts, and the routes that they serve."""

    oauth: OAuthServices
    relying_party: RelyingParty
    sync: IdentitySync
    routers: Sequence[APIRouter]

    async def start(self) -> None:
        """Load what is known, then follow what any replica changes."""
        await self.sync.start()
        self.oauth.keys.start()

    async def close(self) -> None:
        """Stop following, and close the connections to providers."""
        await self.oauth.keys.close()
        await self.sync.close()
        await self.relying_party.close()


def identity_parts(
    settings: Settings,
    services: Services,
    *,
    store: StateStore,
    accounts: PushedAccounts,
    sealer: Sealer,
    offered: Callable[[Exchange], Confirmation | None],
    on_effect: Callable[[], None],
) -> IdentityParts:
    """Make the parts. `on_effect` is called after a change of identities has taken effect.

    Raises SecretError where a client's secret or a SCIM token can't be read.
    """
    federation, audit = services.federation, services.audit
    view = ProvisioningView(
        {provider.name: provider.scim for provider in settings.identity.providers if provider.scim is not None}
    )
    federation.use_provisioning(view)
    followers: dict[str, Following] = {}
    sync = IdentitySync(store, followers, on_effect, federation.suspend, counters=services.sync)
    relying_party = RelyingParty(settings.identity.providers, federation, sealer, public_url=settings.public_url)
    issuer = oauth_services(
        settings.identity,
        public_url=settings.public_url,
        instance=services.instance,
        store=store,
        sealer=sealer,
        federation=federation,
        renewal=relying_party,
        audit=audit,
        backends=services.backends,
        policy=lambda: services.policy.engine,
        offered=offered,
        in_force=sync.catch_up,
        mutual_tls=settings.tls is not None and settings.tls.client_ca_file is not None,
    )
    followers |= {
        "signing_keys": Following(issuer.keys.load, issuer.keys.follow),
        "provisioning": _provisioning(view, accounts, federation),
        "revocation": _revocation(store, federation),
    }
    return IdentityParts(
        oauth=issuer,
        relying_party=relying_party,
        sync=sync,
        routers=(
            oauth.router(issuer),
            pages.router(
                _console(
                    services,
                    issuer,
                    relying_party,
                    store=store,
                    sealer=sealer,
                    session_idle_s=settings.identity.session_idle_s,
                )
            ),
            scim.router(_scim(settings, services, accounts, store, sync)),
            backchannel.router(
                BackchannelServices(
                    tokens=LogoutTokens(federation.provider_of, time.time),
                    grants=store,
                    revocations=store,
                    audit=audit,
                    instance=services.instance,
                    in_force=sync.catch_up,
                )
            ),
            revocations.router(RevocationServices(services, store, store, sync.catch_up)),
        ),
    )


def missing_routers() -> Sequence[APIRouter]:
    """Return routes that say, in the parts' place, that there is no identity state."""
    routes = APIRouter(include_in_schema=False)

    def missing() -> None:
        raise ProblemError(oauth.MISSING)

    for path in MISSING_PATHS:
        routes.add_api_route(path, missing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    return (oauth.router(None), routes)


def _console(
    services: Services,
    issuer: OAuthServices,
    relying_party: RelyingParty,
    *,
    store: StateStore,
    sealer: Sealer,
    session_idle_s: int,
) -> ConsoleServices:
    return ConsoleServices(
        providers=services.providers,
        relying_party=relying_party,
        sessions=issuer.sessions,
        authorization=issuer.authorization,
        devices=issuer.devices,
        grants=store,
        session_idle_s=session_idle_s,
        recheck=services.federation.recheck,
        sealer=sealer,
        audit=services.audit,
        public_url=services.public_url,
        instance=services.instance,
        clock=time.time,
    )


def _scim(
    settings: Settings, services: Services, accounts: PushedAccounts, store: StateStore, sync: IdentitySync
) -> ScimServices:
    feeds = {}
    for provider in settings.identity.providers:
        if provider.scim is not None:
            place = f"identity.providers, {provider.name}, scim.token"
            token = read_secret(place, provider.scim.token_file, provider.scim.token_env)
            service = ScimService(
                accounts,
                store,
                provider=provider.name,
                attribute=provider.scim.attribute,
                base_url=f"{settings.public_url}/-/scim/v2/{provider.name}",
                now=lambda: int(time.time()),
            )
            feeds[provider.name] = ScimFeed(secret_digest(token.get_secret_value()), service)
    return ScimServices(feeds, services.audit, services.instance, sync.catch_up)


def _revocation(store: StateStore, federation: Federation) -> Following:
    async def load_all() -> None:
        federation.revoke(await asyncio.to_thread(store.revocations, int(time.time())))

    async def load_some(keys: Sequence[str]) -> None:
        federation.revoke(await asyncio.to_thread(store.revocations, int(time.time()), keys))

    return Following(load_all, load_some)


def _provisioning(view: ProvisioningView, accounts: AccountReader, federation: Federation) -> Following:
    async def load(providers: Collection[str]) -> None:
        for name in dict.fromkeys(providers):
            # A provider whose `scim` was taken out of the configuration may still be in the journal.
            if view.covers(name):
                changes = await asyncio.to_thread(accounts.accounts, name, view.attribute(name), view.position(name))
                view.apply(name, changes)
        federation.identity_changed()

    async def load_all() -> None:
        # From the beginning: the database may be another one than before, put back from a backup.
        for name in view.providers:
            view.replace(name, await asyncio.to_thread(accounts.accounts, name, view.attribute(name), 0))
        federation.identity_changed()

    return Following(load_all, load)
