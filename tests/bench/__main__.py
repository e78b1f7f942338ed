"""`python -m tests.bench`: measures the parts that are asked for, prints a table, writes build/bench.json."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from tests.bench.credentials import serving_provider
from tests.bench.machine import Cores, facts, install_missing, two_cores
from tests.bench.measures.audit import audit
from tests.bench.measures.body import body
from tests.bench.measures.cli import cli
from tests.bench.measures.decision import decision
from tests.bench.measures.latency import latency
from tests.bench.measures.revocation import revocation
from tests.bench.measures.throughput import throughput
from tests.bench.measures.token_check import token_check
from tests.bench.processes import BenchError
from tests.bench.report import markdown, missed, print_table, update_page, write_json
from tests.bench.setting import Findings, Setting

BUILD = Path(__file__).resolve().parents[2] / "build"

PARTS: Mapping[str, Callable[[Setting], Findings]] = {
    "throughput": throughput,
    "latency": latency,
    "decision": decision,
    "audit": audit,
    "token": token_check,
    "revocation": revocation,
    "body": body,
    "cli": cli,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench.

    Returns 0, 1 where a figure was refused (or, with --strict, missed its bar), 2 where it can't run, 130 on Ctrl-C.
    """
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        if {"throughput", "latency"} & set(options.only):
            install_missing(peers="throughput" in options.only)
        cores = two_cores()
        findings = Findings()
        with _work_directory() as directory, _setting(options, cores, directory) as setting:
            machine = facts(cores, directory)
            for name, text in machine.items():
                console.print(f"{name:<10} {text}", markup=False)
            for name in options.only:
                _run_part(console, name, setting, findings)
        if options.page is not None:
            update_page(options.page, markdown(machine, findings.figures))
    except BenchError as why:
        console.print(f"bench: {why}", style="bold red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("bench: interrupted, everything that was started is stopped")
        return 130
    print_table(console, findings.figures, findings.refused)
    write_json(options.output, findings.figures)
    console.print(f"written: {options.output}")
    too_low = missed(findings.figures) if options.strict else []
    return 1 if findings.refused or too_low else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", type=_parts, default=_environment_parts(), metavar="PART,…", help=", ".join(PARTS))
    parser.add_argument("--connections", type=int, default=32, help="kept-alive connections of the load")
    parser.add_argument("--rounds", type=_at_least(3), default=3, help="rounds, three at least")
    parser.add_argument("--seconds", type=_at_least(1), default=5, help="length of one measurement")
    parser.add_argument("--warm-up", type=_at_least(1), default=2, help="seconds of load before each measurement")
    parser.add_argument("--output", type=Path, default=BUILD / "bench.json")
    parser.add_argument("--page", type=Path, help="also put the figures into this page, between its markers")
    parser.add_argument("--strict", action="store_true", help="a figure that misses its bar fails the run")
    return parser.parse_args(arguments)


def _parts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}: choose from {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def _environment_parts() -> list[str] | str:
    return os.environ.get("ONLY") or list(PARTS)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more")
        return int(text)

    return number


def _interrupted(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _work_directory() -> Iterator[Path]:
    """Yield a directory on the project's own disk: where /tmp is memory, durable writes there would cost nothing."""
    BUILD.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=BUILD))
    # Servers started by root read their files as another user.
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _setting(options: argparse.Namespace, cores: Cores, directory: Path) -> Iterator[Setting]:
    # This process is the load, or starts it: it keeps off the core of the system that is measured.
    os.sched_setaffinity(0, {cores.load})
    with serving_provider(directory) as credentials:
        yield Setting(
            cores=cores,
            directory=directory,
            credentials=credentials,
            connections=options.connections,
            rounds=options.rounds,
            warm_up_s=options.warm_up,
            seconds=options.seconds,
        )


def _run_part(console: Console, name: str, setting: Setting, findings: Findings) -> None:
    console.print(f"\n{name}", style="bold")
    try:
        found = PARTS[name](setting)
    except BenchError as why:
        findings.refused.append(f"{name}: {why}")
        return
    findings.figures.update(found.figures)
    findings.refused += found.refused


if __name__ == "__main__":
    sys.exit(main())
