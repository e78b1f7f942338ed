"""Records and keys as the tests use them."""

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import record
from audit.batch import batch_of
from audit.checkpoint import Checkpoint
from audit.merkle import Frontier
from audit.note import Signer
from audit.record import Record
from audit.store import Head, Row
from identity.principal import Principal

ORIGIN = "gateway.example.com/audit"
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer(ORIGIN, SIGNING_KEY)
NOW_US = 1_795_456_000_123_456

ALICE = Principal(
    subject="user:alice",
    provider="corp",
    issuer="https://sso.example.com",
    token_subject="00u1",
    username="alice@example.com",
    groups=("group:corp:dev",),
    expires_at=1_795_459_600,
    issued_at=1_795_456_000,
    authenticated_at=None,
    acr=None,
    amr=("pwd",),
    token_sha256="5f" * 32,
)


def decision(number: int = 0, **changes: Any) -> Record:
    """An allowed decision; `number` makes its request id and time."""
    fields: dict[str, Any] = {
        "request_id": f"0193fa3e-0000-7000-8000-{number:012x}",
        "time_us": NOW_US + number,
        "instance": "gw-1",
        "actor": ALICE,
        "source": "192.0.2.7",
        "method": "GET",
        "path": "/logs-prod/payments",
        "query_keys": ("query", "start"),
        "backend": "logs-prod",
        "environment": "prod",
        "accesses": (("logs-prod/payments", "query"),),
        "verdict": "allowed",
        "status": None,
        "reason": "allowed_by_rule",
        "rule_file": "rules/logs.csv",
        "rule_line": 3,
        "rule_text": "p, role:dev, prod, logs-prod/**, query, allow",
        "role_path": ("user:alice", "role:dev"),
        "policy_commit": "ab" * 20,
        "policy_digest": "cd" * 32,
    }
    return record.decision(**(fields | changes))


def outcome(number: int, decision_index: int, **changes: Any) -> Record:
    """The outcome of decision `number`, which stands at `decision_index`."""
    fields: dict[str, Any] = {
        "request_id": f"0193fa3e-0000-7000-8000-{number:012x}",
        "decision_index": decision_index,
        "time_us": NOW_US + number + 5,
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 1200,
        "duration_us": 830,
        "result": "ok",
        "detail": "",
    }
    return record.outcome(**(fields | changes))


def stored(records: Sequence[Record], start: int = 0, tree: Frontier | None = None) -> tuple[list[Row], Head]:
    """`records` as rows, and the head after them."""
    batch = batch_of([(entry, None) for entry in records], tree or Frontier(), settled=start)
    return list(batch.rows), batch.head


def checkpoint_of(head: Head, signer: Signer = SIGNER) -> bytes:
    """A signed checkpoint of everything up to `head`."""
    tree = Frontier(head.size, head.frontier)
    return Checkpoint(signer.verifier.name, head.size, tree.root).sign(signer)
