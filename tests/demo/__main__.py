"""`python -m tests.demo`: Portcullis between real people's tools and real backends, told step by step.

With `--once` it stops after the last step. Exit code 0: every step's answer was as told; 1: one differed, or a part
did not start. Everything that was started is stopped at the end, whatever the end is.
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.demo import commands
from tests.demo.process import PartFailedError
from tests.demo.runner import Runner, StepFailedError
from tests.demo.story import story
from tests.demo.world import World


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="Tell the demo's story on real parts.")
    parser.add_argument("--once", action="store_true", help="stop after the last step instead of staying up")
    once: bool = parser.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    # Everything is on this machine: a proxy that the environment names has no part in it.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    root = Path(tempfile.mkdtemp(prefix="portcullis-demo-"))
    try:
        _run(console, root, once)
    except KeyboardInterrupt:
        console.print("\nEverything is stopped.")
        shutil.rmtree(root)
        return 130 if once else 0
    except (PartFailedError, StepFailedError, RuntimeError) as failure:
        console.print("\n[bold red]The demo failed.")
        console.print(str(failure), markup=False, soft_wrap=True)
        console.print(f"\nEverything is stopped. Its files are left in {root}; logs/ holds a log for each part.")
        return 1
    shutil.rmtree(root)
    return 0


def _run(console: Console, root: Path, once: bool) -> None:
    began = time.monotonic()
    with World(root, lambda part: console.print(f"[dim]starting: {part}")) as world:
        console.print(f"[dim]ready after {time.monotonic() - began:.0f} s, in {root}\n")
        steps = story(world)
        Runner(console, world.shell, root).tell(steps)
        console.print(f"[bold green]All {len(steps)} steps went as told.\n")
        if not once:
            _stay(console, world)


def _stay(console: Console, world: World) -> None:
    parts = Table("part", "what it is", "where", title="Still running", title_justify="left")
    for part in world.parts:
        parts.add_row(part.name, part.what, part.url)
    console.print(parts)
    for person in ("alice", "bob"):
        variables = world.shell(person) | {"PS1": f"{person}$ "}
        shell = world.root / "people" / person / "shell"
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        shell.write_text("".join(lines) + f"cd {shlex.quote(str(world.root))}\n")
        console.print(
            f"\nTo type as [bold]{person}[/], every command above: [cyan]bash --rcfile {shell}", soft_wrap=True
        )
    console.print("\nEvery command above works there, and for example:")
    for example in (
        "portcullis whoami",
        "portcullis can-i s3:GetObject aws-staging/s3/invoices/1.txt",
        commands.BUILDS,
    ):
        console.print(Text(f"  {example}", style="cyan"), soft_wrap=True)
    console.print(f"\nThe policy: {world.root / 'policies'}; the logs: {world.root / 'logs'}", soft_wrap=True)
    console.print("[bold]Press Ctrl-C to stop everything.")
    threading.Event().wait()


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
