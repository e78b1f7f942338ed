"""How much memory the gateway takes, over idle, while 1 GiB goes through it, first up, then down."""

import socket
import sys
import time
from pathlib import Path

from tests.bench import bulk_backend
from tests.bench.processes import BenchError, Launch, running
from tests.bench.setting import Findings, Setting, new_directory, started
from tests.bench.systems import portcullis
from tests.parts.ports import free_port

GIB = 1 << 30
_PIECE = bytes(256 * 1024)
_TIMEOUT_S = 60


def body(setting: Setting) -> Findings:
    """Measure the peak resident memory of both transfers; the figure is the larger, in MB (10^6 bytes) over idle."""
    directory = new_directory(setting, "bulk")
    backend_port = free_port()
    command = [sys.executable, str(Path(bulk_backend.__file__)), "--port", str(backend_port)]
    with (
        running(Launch(command, backend_port, directory), setting.cores.load),
        started(portcullis.SYSTEM, setting, backend_port) as (site, pid),
    ):
        # Small transfers first: what is loaded on first use belongs to idle.
        _upload(site.port, setting.credentials.token, 1 << 20)
        _download(site.port, setting.credentials.token, 1 << 20)
        idle = _resident(pid, "VmRSS")
        peaks = []
        for transfer in (_upload, _download):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            begun = time.perf_counter()
            transfer(site.port, setting.credentials.token, GIB)
            seconds = time.perf_counter() - begun
            peaks.append(_resident(pid, "VmHWM"))
            print(
                f"  {transfer.__name__.strip('_'):<9} {GIB / seconds / 1e6:,.0f} MB/s,"
                f" peak {peaks[-1] / 1e6:.1f} MB, idle {idle / 1e6:.1f} MB",
                flush=True,
            )
    return Findings({"body_1gib_mb": max(0.0, (max(peaks) - idle) / 1e6)})


def _resident(pid: int, field: str) -> int:
    """Return a memory field of /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"/proc/{pid}/status has no {field}")


def _upload(port: int, token: str, length: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(_head("PUT", f"{portcullis.PREFIX}/sink/object", port, token, length))
        sent = 0
        while sent < length:
            sent += connection.send(_PIECE[: min(len(_PIECE), length - sent)])
        head, answer = _read_head(connection)
        wanted = _content_length(head)
        while len(answer) < wanted:
            answer += connection.recv(65536)
    if not head.startswith(b"HTTP/1.1 200 ") or int(answer) != length:
        raise BenchError(f"the upload was answered {head[:60]!r} {answer[:200]!r}")


def _download(port: int, token: str, length: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(_head("GET", f"{portcullis.PREFIX}/source/{length}", port, token, None))
        head, answer = _read_head(connection)
        if not head.startswith(b"HTTP/1.1 200 ") or _content_length(head) != length:
            raise BenchError(f"the download was answered {head!r} {answer[:200]!r}")
        received, room = len(answer), bytearray(len(_PIECE))
        while received < length:
            count = connection.recv_into(room)
            if not count:
                raise BenchError(f"the download ended after {received} of {length} bytes")
            received += count


def _head(method: str, target: str, port: int, token: str, length: int | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}"]
    if length is not None:
        lines += [f"Content-Length: {length}", "Content-Type: application/octet-stream"]
    return "\r\n".join([*lines, "", ""]).encode()


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            raise BenchError(f"the gateway closed the connection after {received!r}")
        received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return -1
