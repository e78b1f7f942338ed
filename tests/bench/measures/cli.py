"""How long a person waits for `portcullis --help`."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.bench.processes import BenchError
from tests.bench.setting import Findings, Setting

_RUNS = 11


def cli(setting: Setting) -> Findings:
    """Measure whole runs of the installed command, in milliseconds, after one that warms the disk's cache."""
    command = Path(sys.executable).with_name("portcullis")
    if not command.exists():
        raise BenchError("the command 'portcullis' is missing: pip install -e .")
    _run(command, setting)
    return Findings({"cli_start_ms": median(_run(command, setting) for _ in range(_RUNS))})


def _run(command: Path, setting: Setting) -> float:
    begun = time.perf_counter()
    answer = subprocess.run(
        ["taskset", "-c", str(setting.cores.system), str(command), "--help"], capture_output=True, check=False
    )
    if answer.returncode != 0:
        raise BenchError(f"portcullis --help failed: {answer.stderr.decode(errors='replace').strip()[-500:]}")
    return (time.perf_counter() - begun) * 1000
