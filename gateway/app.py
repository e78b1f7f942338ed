"""The composition root: every part is made here, in order, and handed to the parts that need it."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Literal

import uvicorn
from fastapi import FastAPI

from adapters.aws import AwsAdapter, AwsSettings
from adapters.backend import Adapter
from adapters.backend_settings import BackendSettings
from adapters.connections import ConnectionPool
from adapters.http import HttpAdapter, HttpSettings
from adapters.sql_store import SqlAuditReader, SqlAuditStore, create_store
from adapters.state.database import StateDatabase, create_state
from adapters.state.provisioning import SqlProvisioning
from adapters.state.state import SqlState
from audit.log import AuditLog
from audit.note import Signer
from audit.record import policy_load
from audit.store import AuditReader
from gateway.api.application import control_application
from gateway.api.services import Services
from gateway.backends import Backend
from gateway.counters import Counters
from gateway.forwarding import Forwarder
from gateway.identity_parts import IdentityParts, identity_parts, missing_routers
from gateway.identity_sync import SyncCounters
from gateway.judgement import Judge
from gateway.open_exchanges import OpenExchanges
from gateway.pipeline import Pipeline
from gateway.policy.engine import PolicyEngine
from gateway.policy.request import Revision
from gateway.policy.source import PolicySource
from gateway.possession import Possession
from gateway.proxy import Proxy
from gateway.server import ExactProtocol
from gateway.settings import Settings, StateSettings
from gateway.standing import problem_now, problem_of_age
from gateway.tls import server_context
from identity.dpop import ProofVerifier
from identity.federation import Federation
from identity.proof_nonces import ProofNonces
from identity.sealing import SECRET_BYTES, Sealer
from identity.secret import read_secret

logger = logging.getLogger("portcullis")

ADAPTERS: Final[Mapping[str, type[BackendSettings]]] = {"aws": AwsSettings, "http": HttpSettings}
_MAKERS: Final[Mapping[type[BackendSettings], Callable[[Any], Adapter]]] = {
    AwsSettings: AwsAdapter,
    HttpSettings: HttpAdapter,
}
KEEP_ALIVE_S: Final = 75
DRAIN_S: Final = 30
PROVIDERS_WITHIN_S: Final = 3
AGE_LOOKED_AT_EVERY_S: Final = 1.0
YOUNG_OBJECTS: Final = 100_000


def create_audit_store(url: str) -> None:
    """Create an empty audit database; raises AuditUnavailableError where something is there already."""
    create_store(url)


def create_identity_state(url: str, password: str | None = None) -> None:
    """Create an empty identity database; raises StateUnavailableError where something is there already."""
    create_state(url, password)


def state_password(state: StateSettings) -> str | None:
    """Return the identity database's password, None where it has none; raises SecretError."""
    file, env = state.database_password_file, state.database_password_env
    if file is None and env is None:
        return None
    return read_secret("identity.state.database_password", file, env).get_secret_value()


def open_audit_reader(url: str) -> AuditReader:
    """Return a reader of an existing audit database, which somebody else may be writing."""
    return SqlAuditReader(url)


@contextmanager
def open_identity_state(state: StateSettings, *, read_only: bool = False) -> Iterator[tuple[SqlState, SqlProvisioning]]:
    """Open the identity database: what it keeps, and what providers push; `read_only` also beside a gateway.

    Raises StateUnavailableError and SecretError.
    """
    database = StateDatabase(state.database, state_password(state), read_only=read_only)
    try:
        database.open()
        yield SqlState(database), SqlProvisioning(database)
    finally:
        database.close()


def _backend(settings: BackendSettings) -> Backend:
    pool = ConnectionPool(
        settings.url,
        connect_timeout_s=settings.connect_timeout_s,
        first_byte_timeout_s=settings.first_byte_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
    )
    return Backend(
        settings.name,
        settings.environment,
        settings.url,
        _MAKERS[type(settings)](settings),
        pool,
        settings.require_token_binding,
    )


@dataclass(slots=True)
class Parts:
    """What has to be started and stopped with the process; without identity state the last two are None."""

    audit: AuditLog
    federation: Federation
    policy: PolicySource
    backends: Mapping[str, Backend]
    open_exchanges: OpenExchanges
    instance: str
    session_idle_s: int
    state: StateDatabase | None = None
    identity: IdentityParts | None = None

    def cut_what_is_old(self) -> None:
        """End every forwarded request whose caller nobody vouches for any more, because their token is too old."""
        now = time.time()
        self.open_exchanges.cut(lambda exchange: problem_of_age(exchange, self.federation, self.session_idle_s, now))


def build(settings: Settings) -> Proxy:
    """Wire a gateway from its settings, in the order in which a request meets the parts.

    Raises BundleError where the policy can't be loaded, and SigningKeyError where the log can't be signed: without
    either there is nothing to serve. A log that can't be opened yet is not an error here: requests are answered 503
    until it can.
    """
    instance = f"{socket.gethostname()}:{os.getpid()}"
    counters = Counters()
    policy = PolicySource(settings.policies)
    policy.load()
    federation = Federation(settings.identity.providers, policy.engine.directory)
    backends = {item.name: _backend(item) for item in settings.backends}
    signer = Signer.load(settings.audit.origin, settings.audit.signing_key_file)
    store = SqlAuditStore(settings.database)
    reader = SqlAuditReader(settings.database)
    audit = AuditLog(store, reader, signer=signer, instance=instance, version=version("portcullis"))

    state = settings.identity.state
    # Without a shared secret a replica accepts only the nonces that it issued itself.
    sealer = Sealer.load(state.secret_file) if state is not None else Sealer(os.urandom(SECRET_BYTES))
    proofs = ProofVerifier(ProofNonces(sealer), nonce_required=settings.identity.dpop_nonce)
    possession = Possession(proofs, settings.public_url)
    judge = Judge(backends, federation, lambda: policy.engine, possession)
    open_exchanges = OpenExchanges(lambda exchange: problem_now(exchange, federation, policy.engine))
    forwarder = Forwarder(audit, counters, settings.public_url, open_exchanges)
    pipeline = Pipeline(
        judge, audit, forwarder, open_exchanges, counters, public_url=settings.public_url, instance=instance
    )
    services = Services(
        backends=backends,
        providers=settings.identity.providers,
        federation=federation,
        judge=judge,
        policy=policy,
        audit=audit,
        counters=counters,
        open_exchanges=open_exchanges,
        sync=SyncCounters(),
        public_url=settings.public_url,
        instance=instance,
        checkpoint=reader.last_checkpoint,
    )
    parts = Parts(audit, federation, policy, backends, open_exchanges, instance, settings.identity.session_idle_s)
    if state is not None:
        parts.state = StateDatabase(state.database, state_password(state))
        parts.identity = identity_parts(
            settings,
            services,
            store=SqlState(parts.state),
            accounts=SqlProvisioning(parts.state),
            sealer=sealer,
            offered=possession.offered,
            on_effect=open_exchanges.judge_again,
        )
    identity = parts.identity
    routers = identity.routers if identity is not None else missing_routers()
    control = control_application(
        services, identity.oauth if identity is not None else None, routers, lambda app: _running(app, parts)
    )
    return Proxy(pipeline, control, settings.public_url)


@asynccontextmanager
async def _running(app: FastAPI, parts: Parts) -> AsyncIterator[None]:
    """Start the parts, and stop them in the opposite order; the log is the first to start and the last to stop."""
    await parts.audit.start()
    _record_policy(parts, parts.policy.engine)
    if parts.identity is not None:
        await parts.identity.start()
    await parts.federation.start()
    with suppress(TimeoutError):
        # A provider that answers at once is known before the first request; the others are tried in the background.
        await asyncio.wait_for(parts.federation.first_attempts(), PROVIDERS_WITHIN_S)
    watching = asyncio.create_task(
        parts.policy.watch(
            lambda engine: _take_policy(parts, engine), lambda problem: _record_refused_policy(parts, problem)
        )
    )
    ageing = asyncio.create_task(_follow_time(parts))
    try:
        yield
    finally:
        watching.cancel()
        ageing.cancel()
        await asyncio.gather(watching, ageing, return_exceptions=True)
        for backend in parts.backends.values():
            await backend.upstream.close()
        if parts.identity is not None:
            await parts.identity.close()
        await parts.federation.close()
        if parts.state is not None:
            await asyncio.to_thread(parts.state.close)
        await parts.audit.close()


async def _follow_time(parts: Parts) -> None:
    while True:
        await asyncio.sleep(AGE_LOOKED_AT_EVERY_S)
        try:
            parts.cut_what_is_old()
        except Exception:
            # Were this to end the task, no stream would ever end by its age again.
            logger.exception("the age of open requests can't be looked at")


def _take_policy(parts: Parts, engine: PolicyEngine) -> None:
    parts.federation.use_directory(engine.directory)
    parts.open_exchanges.judge_again()
    _record_policy(parts, engine)


def _record_policy(parts: Parts, engine: PolicyEngine) -> None:
    revision = engine.revision
    logger.info("policy %s (%s) is in force", revision.commit or "outside git", revision.digest[:12])
    _record_load(parts, "loaded", revision, engine.rule_count, "")


def _record_refused_policy(parts: Parts, problem: str) -> None:
    # The revision is the one that stays in force.
    engine = parts.policy.engine
    _record_load(parts, "refused", engine.revision, engine.rule_count, problem)


def _record_load(
    parts: Parts, result: Literal["loaded", "refused"], revision: Revision, rules: int, detail: str
) -> None:
    parts.audit.append_soon(
        policy_load(
            time_us=time.time_ns() // 1000,
            instance=parts.instance,
            result=result,
            commit=revision.commit,
            digest=revision.digest,
            rules=rules,
            detail=detail,
        )
    )


def serve(settings: Settings) -> None:
    """Run the gateway until SIGINT or SIGTERM; raises what `build` raises, and OSError where it can't serve TLS."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    proxy = build(settings)
    context = server_context(settings.tls) if settings.tls is not None else None
    config = uvicorn.Config(
        proxy,
        host=settings.listen_host,
        port=settings.listen_port,
        http=ExactProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        ssl_context_factory=(lambda *_: context) if context is not None else None,
    )
    # uvicorn handles both while it serves and raises them again afterwards; a stop in order is exit code 0.
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, signal.SIG_IGN)
    # What is here now stays: the collector need not look at it again. Requests leave no cycles behind, so it rarely
    # has to run, and a quarter more of them pass.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        # The log says why: the address is taken, or a part could not be started.
        raise SystemExit(2)
