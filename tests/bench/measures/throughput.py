"""Requests a second of every system, in turns, so that each round's ratios see the same machine."""

import shutil
from collections.abc import Sequence
from statistics import median

from tests.bench.processes import BenchError, cpu_seconds
from tests.bench.setting import Findings, Setting, fixed_backend, verified
from tests.bench.system import System
from tests.bench.systems import apache, envoy, fastapi_httpx, haproxy, nginx, portcullis
from tests.bench.wrk import load

SYSTEMS: Sequence[System] = (
    nginx.SYSTEM,
    apache.SYSTEM,
    haproxy.SYSTEM,
    envoy.SYSTEM,
    envoy.CACHED,
    fastapi_httpx.SYSTEM,
    portcullis.SYSTEM,
)


def throughput(setting: Setting) -> Findings:
    """Measure every system in each round; a system that fails once is refused for the whole run."""
    for system in SYSTEMS:
        print(f"  {system.title}: {system.version()}; checks {system.checks}")
    findings = Findings()
    rates: dict[str, list[float]] = {system.key: [] for system in SYSTEMS}
    with fixed_backend(setting) as backend_port:
        for number in range(1, setting.rounds + 1):
            for system in SYSTEMS:
                if system.key not in rates:
                    continue
                try:
                    rate, cpu_us = _one(system, setting, backend_port)
                except BenchError as why:
                    findings.refused.append(f"{system.title}: {why}")
                    del rates[system.key]
                else:
                    rates[system.key].append(rate)
                    cost = f"{cpu_us:>7,.0f} µs of processor each"
                    print(f"  round {number}  {system.title:<32} {rate:>9,.0f} requests/s {cost}", flush=True)
    findings.figures.update({f"throughput_rps_{key}": median(seen) for key, seen in rates.items()})
    findings.figures.update(_ratios(rates))
    return findings


def _one(system: System, setting: Setting, backend_port: int) -> tuple[float, float]:
    """Return requests a second, and microseconds of the system's own processor time a request."""
    with verified(system, setting, backend_port) as (site, pid):
        url = f"http://127.0.0.1:{site.port}{system.path}"

        def wrk(seconds: int) -> tuple[int, float]:
            seen = load(
                url,
                setting.credentials.token,
                seconds=seconds,
                connections=setting.connections,
                core=setting.cores.load,
                directory=setting.directory,
            )
            return seen.requests, seen.requests_per_s

        warmed, _ = wrk(setting.warm_up_s)
        before = cpu_seconds(pid)
        measured, rate = wrk(setting.seconds)
        cpu_us = (cpu_seconds(pid) - before) / measured * 1e6
        system.check_after(site, warmed + measured)
    shutil.rmtree(site.directory)
    return rate, cpu_us


def _ratios(rates: dict[str, list[float]]) -> dict[str, float]:
    own = rates.get(portcullis.SYSTEM.key)
    if own is None:
        return {}
    return {
        f"throughput_vs_{key}": median(ours / theirs for ours, theirs in zip(own, seen, strict=True))
        for key, seen in rates.items()
        if key != portcullis.SYSTEM.key
    }
