"""Gateways with identity state, in front of a backend that streams: one on SQLite, or two on one PostgreSQL."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gateway.app import create_identity_state
from identity.sealing import Sealer
from tests.bench import bulk_backend
from tests.bench.credentials import AUDIENCE, GROUPS, USERNAME
from tests.bench.processes import Launch, running
from tests.bench.rules import BACKEND, ENVIRONMENT, PROVIDER
from tests.bench.setting import Setting, new_directory
from tests.parts.gateway import make_site
from tests.parts.ports import free_port
from tests.parts.postgres import Postgres

STREAM = f"/{BACKEND}/drip"
_RULES = (
    f"p, group:{PROVIDER}:{GROUPS[0]}, {ENVIRONMENT}, {BACKEND}/drip, read, allow,",
    f"p, user:{PROVIDER}:{USERNAME}, control, -/revocations/**, revoke, allow,",
)


@contextmanager
def one(setting: Setting) -> Iterator[list[str]]:
    """Run one gateway with its state in SQLite; yields its URL, alone in a list."""
    directory = new_directory(setting, "revoking")
    database = f"sqlite:///{directory}/identity.db"
    create_identity_state(database)
    with _gateways(setting, directory, {"database": database}, {}, count=1) as urls:
        yield urls


@contextmanager
def two(setting: Setting) -> Iterator[list[str]]:
    """Run two gateways with their state in PostgreSQL; yields their URLs."""
    directory = new_directory(setting, "replicas")
    with Postgres() as postgres:
        database = postgres.create_database()
        create_identity_state(database, postgres.password)
        state = {"database": database, "database_password_env": "DB_PASSWORD"}
        with _gateways(setting, directory, state, {"DB_PASSWORD": postgres.password}, count=2) as urls:
            yield urls


@contextmanager
def _gateways(
    setting: Setting, directory: Path, state: Mapping[str, Any], environment: Mapping[str, str], *, count: int
) -> Iterator[list[str]]:
    secret = directory / "identity.secret"
    Sealer.create(secret)
    backend_port = free_port()
    command = [sys.executable, str(Path(bulk_backend.__file__)), "--port", str(backend_port)]
    with ExitStack() as stack:
        stack.enter_context(running(Launch(command, backend_port, directory), setting.cores.load))
        urls = []
        for number in range(count):
            port, home = free_port(), directory / f"gateway-{number}"
            home.mkdir()
            site = make_site(
                home,
                providers=[_provider(setting)],
                backends=[_backend(backend_port)],
                rules=_RULES,
                identity={"state": {**state, "secret_file": str(secret)}},
                port=port,
            )
            serve = [str(Path(sys.executable).with_name("portcullis")), "serve", "--config", str(site.config)]
            launch = Launch(serve, port, home, environment, ready_path="/-/readyz")
            stack.enter_context(running(launch, setting.cores.system))
            urls.append(f"http://127.0.0.1:{port}")
        yield urls


def _provider(setting: Setting) -> Mapping[str, Any]:
    return {
        "name": PROVIDER,
        "issuer": setting.credentials.issuer,
        "audiences": [AUDIENCE],
        "username_claim": "email",
        "groups_claim": "groups",
    }


def _backend(port: int) -> Mapping[str, Any]:
    return {
        "name": BACKEND,
        "adapter": "http",
        "url": f"http://127.0.0.1:{port}",
        "environment": ENVIRONMENT,
        "routes": [{"methods": ["GET"], "path": "/drip", "resource": "drip", "action": "read"}],
    }
