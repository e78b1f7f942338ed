"""What the gateway's own API answers from, handed to it by the composition root."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audit.log import AuditLog
from gateway.backends import Backend
from gateway.counters import Counters
from gateway.identity_sync import SyncCounters
from gateway.judgement import Judge
from gateway.open_exchanges import OpenExchanges
from gateway.policy.source import PolicySource
from identity.federation import Federation
from identity.provider_settings import ProviderSettings


@dataclass(frozen=True, slots=True)
class Services:
    """The running parts. `checkpoint` returns the log's newest signed checkpoint, None before the first."""

    backends: Mapping[str, Backend]
    providers: tuple[ProviderSettings, ...]
    federation: Federation
    judge: Judge
    policy: PolicySource
    audit: AuditLog
    counters: Counters
    open_exchanges: OpenExchanges
    sync: SyncCounters
    public_url: str
    instance: str
    checkpoint: Callable[[], bytes | None]
