"""Portcullis with everything on: token checks, revocation, 1,000 rules, and a durable record before forwarding."""

import sys
from pathlib import Path

import yaml

from audit.note import Signer
from gateway.app import create_audit_store, create_identity_state, open_audit_reader
from identity.sealing import Sealer
from tests.bench.credentials import AUDIENCE
from tests.bench.machine import python_version_of
from tests.bench.processes import BenchError, Launch
from tests.bench.rules import BACKEND, ENVIRONMENT, PROVIDER, write_policies
from tests.bench.system import Site, System, write_config

PREFIX = f"/{BACKEND}"
RULES = 1000
_ORIGIN = "bench.example.com/audit"
_ROUTES = [
    {"methods": ["GET"], "path": "/{service}/status", "resource": "{service}", "action": "read"},
    {"methods": ["GET"], "path": "/source/{size}", "resource": "bulk", "action": "read"},
    {"methods": ["PUT"], "path": "/sink/{name}", "resource": "bulk", "action": "write"},
]


def _prepare(site: Site) -> Launch:
    command = Path(sys.executable).with_name("portcullis")
    if not command.exists():
        raise BenchError("the command 'portcullis' is missing: pip install -e .")
    write_policies(site.directory / "policies", RULES)
    Signer.create(_ORIGIN, site.directory / "audit.key")
    create_audit_store(_database(site))
    create_identity_state(_state(site))
    Sealer.create(site.directory / "identity.secret")
    config = write_config(site.directory, "portcullis.yaml", yaml.safe_dump(_config(site), sort_keys=False))
    return Launch([str(command), "serve", "--config", str(config)], site.port, site.directory, ready_path="/-/readyz")


def _database(site: Site) -> str:
    return f"sqlite:///{site.directory}/audit.db"


def _state(site: Site) -> str:
    return f"sqlite:///{site.directory}/identity.db"


def _config(site: Site) -> dict[str, object]:
    return {
        "listen": f"127.0.0.1:{site.port}",
        "public_url": f"http://127.0.0.1:{site.port}",
        "policies": "policies",
        "database": _database(site),
        "audit": {"origin": _ORIGIN, "signing_key_file": "audit.key"},
        "identity": {
            "state": {"database": _state(site), "secret_file": "identity.secret"},
            "providers": [
                {
                    "name": PROVIDER,
                    "issuer": site.credentials.issuer,
                    "audiences": [AUDIENCE],
                    "client_id": "bench",
                    "username_claim": "email",
                    "groups_claim": "groups",
                }
            ],
        },
        "backends": [
            {
                "name": BACKEND,
                "adapter": "http",
                "url": f"http://127.0.0.1:{site.backend_port}",
                "environment": ENVIRONMENT,
                "routes": _ROUTES,
            }
        ],
    }


def _check_recorded(site: Site, requests: int) -> None:
    """Raise BenchError unless the log holds an allowed decision for each request that was answered."""
    reader = open_audit_reader(_database(site))
    try:
        recorded = sum(row.kind == "decision" and row.verdict == "allowed" for row in reader.rows())
    finally:
        reader.close()
    if recorded < requests:
        raise BenchError(f"{requests} requests were answered, but only {recorded} decisions are in the audit log")


SYSTEM = System(
    key="portcullis",
    title="Portcullis",
    checks="RS256 signature, iss, aud, exp, nbf; 1,000 rules; durable audit",
    refuses=True,
    path=f"{PREFIX}/payments/status",
    version=lambda: python_version_of("portcullis", "uvicorn"),
    prepare=_prepare,
    check_after=_check_recorded,
)
