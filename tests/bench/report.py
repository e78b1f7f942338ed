"""What each key means, its bar, and the table and file that a run leaves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.processes import BenchError

_BEGIN = "<!-- figures: begin -->"
_END = "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Bar:
    """The value a figure has to reach: no less than `limit`, or no more where `at_most`."""

    limit: float
    at_most: bool = False

    def passed(self, value: float) -> bool:
        """Say whether a figure reaches the bar."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.limit:,g}"


@dataclass(frozen=True, slots=True)
class Key:
    """One figure's meaning and unit; `bar` is None where it is only reported."""

    what: str
    unit: str
    bar: Bar | None = None


KEYS: Mapping[str, Key] = {
    "throughput_rps_nginx_plain": Key("nginx, plain proxy", "requests/s"),
    "throughput_rps_apache": Key("Apache mod_auth_openidc", "requests/s"),
    "throughput_rps_haproxy_jwt": Key("HAProxy jwt_verify", "requests/s"),
    "throughput_rps_envoy_jwt_rbac": Key("Envoy jwt_authn + RBAC", "requests/s"),
    "throughput_rps_envoy_jwt_cache": Key("Envoy jwt_authn + RBAC, its token cache on", "requests/s"),
    "throughput_rps_fastapi_httpx": Key("FastAPI route with a default httpx client", "requests/s"),
    "throughput_rps_portcullis": Key("Portcullis, all features on", "requests/s"),
    "throughput_vs_apache": Key("Portcullis / Apache mod_auth_openidc", "ratio", Bar(1.2)),
    "throughput_vs_envoy_jwt_rbac": Key("Portcullis / Envoy jwt_authn + RBAC", "ratio", Bar(1.0)),
    "throughput_vs_envoy_jwt_cache": Key("Portcullis / Envoy with its token cache on", "ratio"),
    "throughput_vs_haproxy_jwt": Key("Portcullis / HAProxy jwt_verify", "ratio", Bar(0.8)),
    "throughput_vs_fastapi_httpx": Key("Portcullis / FastAPI with httpx", "ratio", Bar(30)),
    "throughput_vs_nginx_plain": Key("Portcullis / nginx plain proxy", "ratio"),
    "added_latency_p50_ms": Key("latency added at 1,000 requests/s, median", "ms", Bar(2, at_most=True)),
    "added_latency_p99_ms": Key("latency added at 1,000 requests/s, p99", "ms", Bar(10, at_most=True)),
    "decision_us_1k": Key("one decision over 1,000 rules, median", "µs"),
    "decision_us_1k_pycasbin": Key("the same by pycasbin itself", "µs"),
    "audit_sqlite_rps": Key("durable audit records, 64 writers, SQLite", "records/s", Bar(10_000)),
    "token_cached_us": Key("token check, seen before, median", "µs", Bar(5, at_most=True)),
    "token_uncached_us": Key("token check, first time, RS256, median", "µs", Bar(200, at_most=True)),
    "token_cache_100k_mb": Key("memory of 100,000 tokens that were seen before", "MB", Bar(150, at_most=True)),
    "token_bad_100k_mb": Key("memory after 100,000 different bad tokens", "MB", Bar(10, at_most=True)),
    "revocation_p99_s": Key("revocation to the last byte served, p99, one process", "s", Bar(1, at_most=True)),
    "revocation_replicas_p99_s": Key("the same, revoked at another replica", "s", Bar(3, at_most=True)),
    "body_1gib_mb": Key("memory over idle for 1 GiB up, then 1 GiB down", "MB", Bar(30, at_most=True)),
    "cli_start_ms": Key("portcullis --help, median", "ms", Bar(300, at_most=True)),
}


def print_table(console: Console, figures: Mapping[str, float], refused: list[str]) -> None:
    """Print every figure with its bar, then what could not be measured and why."""
    table = Table("figure", "what", title="Figures", title_justify="left")
    for heading in ("value", "unit", "bar", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for row in _rows(figures):
        table.add_row(*row)
    console.print(table)
    for why in refused:
        console.print(f"REFUSED {why}", style="bold red", markup=False)


def markdown(facts: Mapping[str, str], figures: Mapping[str, float]) -> str:
    """Return the machine and every figure as Markdown, for a page."""
    lines = [f"- {name}: {text}" for name, text in facts.items()]
    lines += ["", "| figure | what | value | unit | bar | |", "|---|---|---:|---|---|---|"]
    for name, what, value, unit, bar, verdict in _rows(figures):
        lines.append(f"| `{name}` | {what} | {value} | {unit} | {bar} | {verdict} |")
    return "\n".join(lines)


def update_page(path: Path, text: str) -> None:
    """Put `text` between the page's two markers; raises BenchError where they are not there."""
    page = path.read_text()
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise BenchError(f"{path}: the figures go between the lines {_BEGIN} and {_END}, which it does not have")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def missed(figures: Mapping[str, float]) -> list[str]:
    """Return the keys whose figure does not reach its bar."""
    return [name for name, value in figures.items() if (bar := KEYS[name].bar) and not bar.passed(value)]


def write_json(path: Path, figures: Mapping[str, float]) -> None:
    """Write the figures as one flat JSON object, one number a key, measured ones only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = {name: float(f"{figures[name]:.4g}") for name in KEYS if name in figures}
    path.write_text(json.dumps(ordered, indent=2) + "\n")


def _rows(figures: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    for name, key in KEYS.items():
        if name in figures:
            value = figures[name]
            verdict = "" if key.bar is None else "pass" if key.bar.passed(value) else "MISS"
            bar = str(key.bar) if key.bar else "report"
            yield name, key.what, _shown(value), key.unit, bar, verdict


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
