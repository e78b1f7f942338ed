"""Durable audit records a second with 64 writers, on SQLite."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.bench.processes import BenchError
from tests.bench.setting import Findings, Setting, new_directory

_ROOT = Path(__file__).resolve().parents[3]
_SECONDS = 4
_WRITERS = 64


def audit(setting: Setting) -> Findings:
    """Run the writers in a process of their own on the system's core; the figure is the median of the rounds."""
    rates = [_one(setting) for _ in range(setting.rounds)]
    return Findings({"audit_sqlite_rps": median(rates)})


def _one(setting: Setting) -> float:
    command = ["taskset", "-c", str(setting.cores.system), sys.executable, "-m", "tests.bench.audit_writers"]
    directory = new_directory(setting, "audit")
    answer = subprocess.run(
        [*command, str(_SECONDS), str(_WRITERS)],
        cwd=_ROOT,
        # The database goes where the run's other files are: on a disk.
        env={**os.environ, "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=_SECONDS + 60,
        check=False,
    )
    if answer.returncode != 0:
        raise BenchError(f"the audit writers failed: {answer.stderr.strip()[-500:]}")
    seen: dict[str, float] = json.loads(answer.stdout)
    print(
        f"  {seen['records_per_s']:,.0f} records/s, durable after {seen['p50_ms']} ms (p99 {seen['p99_ms']} ms),"
        f" {seen['records_per_batch']} a batch",
        flush=True,
    )
    return seen["records_per_s"]
