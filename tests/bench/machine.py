"""The machine and the programs the figures come from."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.bench.processes import BenchError, program

# Program -> the Debian package that has it.
LOAD_PROGRAMS = {"wrk": "wrk", "nginx": "nginx-light"}
PEER_PROGRAMS = {"apache2": "apache2", "haproxy": "haproxy"}
OPENIDC_MODULE = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")


@dataclass(frozen=True, slots=True)
class Cores:
    """The two cores of a run: one for the system that is measured, one for load and backend."""

    system: int
    load: int


def two_cores() -> Cores:
    """Return the first two cores this process may use; raises BenchError where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("only one core is available: the figures need one for the system and one for the load")
    return Cores(system=allowed[0], load=allowed[1])


def install_missing(*, peers: bool) -> None:
    """Install the Debian packages that are missing, where we may; a no-op where all are there.

    Without `peers` only those that make load are wanted. Raises BenchError with the command to run where this process
    is not root.
    """
    programs = LOAD_PROGRAMS | PEER_PROGRAMS if peers else LOAD_PROGRAMS
    wanted = [package for name, package in programs.items() if not _has(name, package)]
    if peers and not OPENIDC_MODULE.exists():
        wanted.append("libapache2-mod-auth-openidc")
    if not wanted:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *wanted]
    if os.geteuid() != 0:
        raise BenchError(f"missing programs; run as root: {' '.join(command)}")
    # Debian starts a server as soon as it is installed, but not in run level 1.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update"], check=False)
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise BenchError(f"could not install the missing programs; run by hand: {' '.join(command)}")


def _has(name: str, package: str) -> bool:
    try:
        program(name, package)
    except BenchError:
        return False
    return True


def facts(cores: Cores, directory: Path) -> dict[str, str]:
    """Return what a reader needs to judge the figures: name -> one line of text."""
    return {
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores (system on {cores.system}, load on {cores.load})",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "disk": _file_system(directory),
        "load": f"{os.getloadavg()[0]:.2f} processes in the last minute (above 0.3 the figures are rough)",
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _file_system(directory: Path) -> str:
    place = directory.resolve()
    mounts = [line.split()[:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(point, kind) for _, point, kind in mounts if place.is_relative_to(point)]
    point, kind = max(holding, key=lambda mount: len(mount[0]))
    return f"{kind} on {point}"


def version_of(name: str, package: str, *arguments: str) -> str:
    """Return the first version number that a program prints about itself."""
    answer = subprocess.run([program(name, package), *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(?:\.\d+)+", answer.stdout + answer.stderr)
    return found.group(0) if found else "unknown version"


def python_version_of(*distributions: str) -> str:
    """Return the installed versions of Python distributions, for the table of peers."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in distributions)
