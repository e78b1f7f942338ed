"""A real nginx on a free port of 127.0.0.1, with a configuration of the test's own.

with Nginx(tmp_path, "location / { return 200 hello; }") as nginx:
    ...                                         # talk to nginx.url
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.parts.ports import free_port

_PATIENCE_S = 10.0
_CONFIG = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log notice;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {directory}/client_body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/root;
    {server}
  }}
}}
"""


class Nginx:
    """One nginx; `server` is the inside of its `server { }` block, files below `root` are served as they are.

    `command` is put before nginx's own: `("taskset", "-c", "1")` pins it to a core.
    """

    def __init__(self, directory: Path, server: str = "", *, command: Sequence[str] = ()) -> None:
        self._directory = directory
        self._server = server
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.root = directory / "root"
        self.port = 0
        self.url = ""

    def start(self) -> None:
        """Start and wait until it accepts connections; raises RuntimeError with its error log where it doesn't."""
        self.root.mkdir(exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # As root, nginx would hand its files to a user who can't enter the test's directory.
        user = "user root;" if os.geteuid() == 0 else ""
        config = self._directory / "nginx.conf"
        config.write_text(_CONFIG.format(user=user, directory=self._directory, port=self.port, server=self._server))
        self._process = subprocess.Popen(
            [*self._command, "nginx", "-e", str(self._directory / "error.log"), "-c", str(config)],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("nginx did not start:\n" + (self._directory / "error.log").read_text())
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop at once and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)
            self._process = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _is_listening(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
