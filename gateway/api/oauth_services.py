"""What the OAuth endpoints need, handed to them by the composition root."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from audit.log import AuditLog
from gateway.exchange import Exchange
from gateway.policy.engine import PolicyEngine
from gateway.recording import CONTROL_BACKEND
from gateway.settings import IdentitySettings
from identity.federation import Federation
from identity.issuer.access_tokens import AccessTokens
from identity.issuer.authorization import Authorization
from identity.issuer.device import DeviceFlow
from identity.issuer.exchange import TokenExchange
from identity.issuer.introspection import IntrospectionClients
from identity.issuer.sessions import Lifetimes, ProviderRenewal, Sessions
from identity.issuer.signing_keys import SigningKeys
from identity.principal import Confirmation
from identity.sealing import Sealer
from identity.secret import read_secret
from identity.state import CodeStore, DeviceStore, GrantStore, RefreshTokenStore, RevocationStore, SigningKeyStore

AUTHORIZE: Final = "/-/oauth/authorize"
TOKEN: Final = "/-/oauth/token"  # noqa: S105  # a path
DEVICE_AUTHORIZATION: Final = "/-/oauth/device_authorization"
INTROSPECT: Final = "/-/oauth/introspect"
REVOKE: Final = "/-/oauth/revoke"
JWKS: Final = "/-/oauth/jwks"


class IssuerStore(GrantStore, RefreshTokenStore, CodeStore, DeviceStore, SigningKeyStore, RevocationStore, Protocol):
    """Everything that an issuer remembers, in one store."""


@dataclass(frozen=True, slots=True)
class OAuthServices:
    """The running parts of the gateway as an authorization server.

    `offered` returns the key that a request's client proves to hold (see `Possession.offered`), `policy` the engine in
    force. `in_force` puts in force, in this process, what was just written (see `IdentitySync.catch_up`). `mutual_tls`
    says whether clients can show a certificate here.
    """

    issuer: str
    instance: str
    federation: Federation
    audit: AuditLog
    keys: SigningKeys
    sessions: Sessions
    authorization: Authorization
    devices: DeviceFlow
    exchange: TokenExchange
    revocations: RevocationStore
    clients: IntrospectionClients
    policy: Callable[[], PolicyEngine]
    offered: Callable[[Exchange], Confirmation | None]
    in_force: Callable[[], Awaitable[None]]
    mutual_tls: bool


def oauth_services(
    settings: IdentitySettings,
    *,
    public_url: str,
    instance: str,
    store: IssuerStore,
    sealer: Sealer,
    federation: Federation,
    renewal: ProviderRenewal,
    audit: AuditLog,
    backends: Collection[str],
    policy: Callable[[], PolicyEngine],
    offered: Callable[[Exchange], Confirmation | None],
    in_force: Callable[[], Awaitable[None]],
    mutual_tls: bool,
) -> OAuthServices:
    """Make the issuer's parts, in the order in which they build on each other, and have its tokens trusted.

    Raises SecretError where the secret of an introspection client can't be read.
    """
    keys = SigningKeys(store, sealer, issuer=public_url, signing_key_s=settings.signing_key_s)
    tokens = AccessTokens(keys)
    sessions = Sessions(
        store,
        store,
        sealer,
        tokens,
        Lifetimes(settings.access_token_s, settings.session_idle_s, settings.session_max_s),
        renewal=renewal,
        recheck=federation.recheck,
        in_force=in_force,
    )
    federation.trust(keys)
    return OAuthServices(
        issuer=public_url,
        instance=instance,
        federation=federation,
        audit=audit,
        keys=keys,
        sessions=sessions,
        authorization=Authorization(store, sessions, issuer=public_url),
        devices=DeviceFlow(
            store, issuer=public_url, providers=[each.name for each in settings.providers if each.has_login]
        ),
        exchange=TokenExchange(
            federation,
            tokens,
            # A token can also be limited to the gateway's own API.
            backends=frozenset((*backends, CONTROL_BACKEND)),
            access_token_s=settings.access_token_s,
        ),
        revocations=store,
        clients=_introspection_clients(settings),
        policy=policy,
        offered=offered,
        in_force=in_force,
        mutual_tls=mutual_tls,
    )


def _introspection_clients(settings: IdentitySettings) -> IntrospectionClients:
    return IntrospectionClients(
        {
            client.client_id: read_secret(
                f"identity.introspection_clients, {client.client_id}, client_secret",
                client.client_secret_file,
                client.client_secret_env,
            )
            for client in settings.introspection_clients
        }
    )
