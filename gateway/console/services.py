"""What the gateway's pages need, handed to them by the composition root."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.log import AuditLog
from identity.issuer.authorization import Authorization
from identity.issuer.device import DeviceFlow
from identity.issuer.sessions import Sessions
from identity.login import RelyingParty
from identity.principal import Principal
from identity.provider_settings import ProviderSettings
from identity.sealing import Sealer
from identity.state import GrantStore


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """The running parts.

    `recheck` returns a principal as it is now and raises InvalidCredentialError where it is good no more (see
    `Federation.recheck`). `clock` gives seconds since the Unix epoch. `instance` names this process in audit records.
    """

    providers: Sequence[ProviderSettings]
    relying_party: RelyingParty
    sessions: Sessions
    authorization: Authorization
    devices: DeviceFlow
    grants: GrantStore
    session_idle_s: int
    recheck: Callable[[Principal], Principal]
    sealer: Sealer
    audit: AuditLog
    public_url: str
    instance: str
    clock: Callable[[], float]
