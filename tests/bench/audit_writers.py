"""Durable audit records a second: 64 asyncio writers append decision-sized records to SQLite for some seconds.

Run as `python -m tests.bench.audit_writers [seconds] [writers]`; prints one JSON line: records a second, milliseconds
to durable (p50, p99), records a batch, microseconds of CPU a record (all threads) and bytes a record.
"""

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.sql_store import SqlAuditReader, SqlAuditStore, create_store
from audit import record
from audit.log import AuditLog
from audit.note import Signer
from audit.request_id import new_request_id
from identity.principal import Delegate


@dataclass(frozen=True, slots=True)
class Caller:
    subject: str = "user:alice"
    provider: str = "corp"
    issuer: str = "https://sso.example.com"
    token_subject: str = "00u1a2b3c4"
    username: str = "alice@example.com"
    groups: tuple[str, ...] = ("group:corp:dev", "group:corp:oncall")
    acr: str | None = None
    amr: tuple[str, ...] = ()
    token_sha256: str = "5f" * 32
    session: str | None = None
    delegates: tuple[Delegate, ...] = ()


def decision(caller: Caller) -> record.Record:
    now_us = time.time_ns() // 1000
    return record.decision(
        request_id=new_request_id(now_us),
        time_us=now_us,
        instance="gw-1",
        actor=caller,
        source="192.0.2.7",
        method="GET",
        path="/logs-prod/loki/api/v1/query_range",
        query_keys=("query", "start"),
        backend="logs-prod",
        environment="prod",
        accesses=(("logs-prod/payments", "query"),),
        verdict="denied",
        status=403,
        reason="denied_by_rule",
        rule_file="rules/logs.csv",
        rule_line=12,
        rule_text="p, role:dev, prod, logs-prod/**, query, allow",
        role_path=("user:alice", "role:dev"),
        policy_commit="",
        policy_digest="c4" * 32,
    )


async def measure(folder: Path, seconds: float, writers: int) -> dict[str, float]:
    url = f"sqlite:///{folder}/audit.db"
    create_store(url)
    signer = Signer("bench.example.com/audit", Ed25519PrivateKey.generate())
    log = AuditLog(SqlAuditStore(url), SqlAuditReader(url), signer=signer, instance="bench")
    await log.start()
    caller = Caller()
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def write() -> None:
        while (before := time.perf_counter()) < end:
            await log.append(decision(caller))
            waits.append(time.perf_counter() - before)

    before, cpu, batches = time.perf_counter(), time.process_time(), log.counters.batches
    await asyncio.gather(*(write() for _ in range(writers)))
    took, cpu = time.perf_counter() - before, time.process_time() - cpu
    batches = log.counters.batches - batches
    await log.close()
    cuts = statistics.quantiles(waits, n=100)
    return {
        "records_per_s": round(len(waits) / took),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "records_per_batch": round(len(waits) / batches, 1),
        "cpu_us_per_record": round(cpu / len(waits) * 1e6, 1),
        "body_bytes": len(decision(caller).body),
    }


def main() -> None:
    logging.basicConfig()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    writers = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(asyncio.run(measure(Path(folder), seconds, writers))) + "\n")


if __name__ == "__main__":
    main()
