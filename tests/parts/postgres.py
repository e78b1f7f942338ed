"""A real PostgreSQL server on a free port of 127.0.0.1, with a password, for tests.

    with Postgres() as server:
        url = server.create_database()       # postgresql://portcullis@127.0.0.1:PORT/test_1, password server.password
        with server.database() as url: ...   # the same, emptied afterwards and given to the next one who asks
        server.stop(); server.start()        # a server that is away for a while: same port, same data

Tests share one server by the fixture `postgres` and have a database each. A database is 7 MB of files, so they are
used again. It never runs as root, which PostgreSQL
refuses: then it runs as the user `postgres` or `nobody`. It doesn't sync to disk; nothing here outlives the machine.
"""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg

from tests.parts.ports import free_port

USER: Final = "portcullis"
_PATIENCE_S: Final = 30.0
_DEBIAN: Final = Path("/usr/lib/postgresql")
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Postgres:
    """One server with its own data directory, which is removed at the end. `password` is that of the user USER."""

    def __init__(self) -> None:
        self.password = secrets.token_urlsafe(12)
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    def create_database(self) -> str:
        """Make an empty database and return its URL, without the password."""
        name = f"test_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend an empty database: its URL, without the password. Whoever uses it has left it at the end."""
        url = self._free.pop() if self._free else self.create_database()
        yield url
        with self.connect(url) as connection:
            connection.execute("SET lock_timeout = '5s'")
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        self._free.append(url)

    def url(self, database: str) -> str:
        """Return a database's URL, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection of the test's own, in autocommit mode, by a database's name or URL."""
        url = database if "://" in database else self.url(database)
        return psycopg.connect(url, password=self.password, autocommit=True, connect_timeout=5)

    def start(self) -> None:
        """Start and wait until it answers; raises RuntimeError with its log where it doesn't."""
        directory = self._directory = self._directory or self._make()
        log = directory / "log"
        options = [option for name, value in _SETTINGS.items() for option in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", directory / "data", "-p", str(self.port), *options],
                cwd=directory,
                stdout=output,
                stderr=output,
                **_identity(),
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("PostgreSQL did not start:\n" + log.read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """End all connections, stop at once, and wait until it is gone; what was committed stays."""
        if self._process is not None:
            # Without a checkpoint: the next start, where there is one, recovers from the write-ahead log.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_PATIENCE_S)
            self._process = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and remove the data."""
        self.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory)

    def _make(self) -> Path:
        # Not below a test's own directory, which only its owner may enter.
        directory = Path(tempfile.mkdtemp(prefix="portcullis-postgres-"))
        identity = _identity()
        password_file = directory / "password"
        password_file.write_text(self.password)
        if identity:
            os.chown(directory, identity["user"], identity["group"])
            os.chown(password_file, identity["user"], identity["group"])
        login = ["--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
        place = ["-D", str(directory / "data"), "--locale", "C.UTF-8", "--encoding", "UTF8", "--no-sync"]
        made = subprocess.run(
            [_program("initdb"), *place, *login],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            **identity,
        )
        if made.returncode != 0:
            shutil.rmtree(directory)
            raise RuntimeError("initdb failed:\n" + made.stdout + made.stderr)
        return directory

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def _program(name: str) -> Path:
    # Debian keeps the server's programs off the PATH, a directory for each version.
    found = [path for path in _DEBIAN.glob(f"*/bin/{name}") if os.access(path, os.X_OK)]
    on_path = shutil.which(name)
    if found:
        return max(found, key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if on_path is None:
        raise RuntimeError(f"PostgreSQL's `{name}` is missing: `tests/parts/install.sh test` installs it")
    return Path(on_path)


def _identity() -> dict[str, Any]:
    """Return how a program is started as a user that is not root."""
    if os.geteuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = users.get("postgres") or users["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
