"""What the gateway adds to a request's time at 1,000 requests a second, against the backend asked directly."""

from statistics import median

from tests.bench.open_loop import Latencies, measure
from tests.bench.setting import Findings, Setting, fixed_backend, verified
from tests.bench.systems import portcullis

PER_SECOND = 1000
_WARM_UP_S = 1.0


def latency(setting: Setting) -> Findings:
    """Measure backend and gateway in turns; the figures are medians of each round's difference, in milliseconds."""
    p50, p99 = [], []
    with (
        fixed_backend(setting) as backend_port,
        verified(portcullis.SYSTEM, setting, backend_port) as (site, _),
    ):
        for number in range(1, setting.rounds + 1):
            direct = _one(setting, backend_port, portcullis.SYSTEM.path)
            through = _one(setting, site.port, portcullis.SYSTEM.path)
            p50.append(through.percentile(50) - direct.percentile(50))
            p99.append(through.percentile(99) - direct.percentile(99))
            print(
                f"  round {number}  backend p50 {direct.percentile(50):.2f} p99 {direct.percentile(99):.2f} ms,"
                f" through the gateway p50 {through.percentile(50):.2f} p99 {through.percentile(99):.2f} ms",
                flush=True,
            )
    return Findings({"added_latency_p50_ms": median(p50), "added_latency_p99_ms": median(p99)})


def _one(setting: Setting, port: int, path: str) -> Latencies:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {setting.credentials.token}\r\n\r\n"
    )
    return measure(port, request.encode(), per_second=PER_SECOND, seconds=setting.seconds, warm_up_s=_WARM_UP_S)
