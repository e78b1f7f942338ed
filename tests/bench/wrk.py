"""Closed-loop load from wrk (https://github.com/wg/wrk), read back as numbers."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import BenchError, program

# `e.status` counts answers above 399; wrk follows no redirect, so the systems' own checks rule those out.
_REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"duration_us":%d,"failed":%d}\\n',
    summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: how many requests were answered, every one well, and how many a second."""

    requests: int
    requests_per_s: float


def load(url: str, token: str, *, seconds: int, connections: int, core: int, directory: Path) -> Load:
    """Ask for `url` as fast as it is answered over `connections` kept-alive connections from one thread.

    Raises BenchError where wrk fails or any answer was an error: a rate of refusals is no figure.
    """
    script = directory / "report.lua"
    script.write_text(_REPORT)
    command = ["taskset", "-c", str(core), program("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "10s", "-s", str(script), "-H", f"Authorization: Bearer {token}", url]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    line = next((text for text in answer.stdout.splitlines() if text.startswith("JSON ")), None)
    if answer.returncode != 0 or line is None:
        raise BenchError(f"wrk failed: {(answer.stdout + answer.stderr).strip()[-500:]}")
    seen = json.loads(line.removeprefix("JSON "))
    if seen["failed"] or not seen["requests"]:
        raise BenchError(f"{seen['failed']} of {seen['requests']} requests failed under load at {url}")
    return Load(seen["requests"], seen["requests"] / (seen["duration_us"] / 1e6))
