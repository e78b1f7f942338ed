"""A real deploy service on loopback: a Buildbot master with its web API, a local worker and one builder a project."""

import base64
import json
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_LISTENING = re.compile(r"BuildbotSite starting on (\d+)")
_CONFIGURATION = Path(__file__).with_name("buildbot") / "master.cfg"
_RUN = "from buildbot.scripts.runner import run; run()"


class BuildbotMaster:
    """One master in `directory`; use as a context manager, or call `create`, `start` and `stop`.

    Each project has a builder of its own name and a force scheduler `<project>-force`. Nobody but `username` may
    start or stop a build. Buildbot's API takes that account's session cookie only, so a gateway is
    configured with `credential: {header: {name: Cookie, value_file: …, prefix: "TWISTED_SESSION="}}` and the file
    holds what `session()` returns.
    """

    def __init__(self, directory: Path, projects: tuple[str, ...] = ("payments",), username: str = "gateway") -> None:
        self.directory = directory
        self.projects = projects
        self.username = username
        self.password = secrets.token_urlsafe(24)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The master's process id, None where it does not run."""
        return self._process.pid if self._process else None

    def create(self) -> None:
        """Create the master's directory, database and configuration."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        settings = {"projects": self.projects, "username": self.username, "password": self.password}
        secret = self.directory / "deploy.json"
        secret.touch(mode=0o600)
        secret.write_text(json.dumps(settings))
        shutil.copyfile(_CONFIGURATION, self.directory / "master.cfg")
        self._buildbot("create-master", "--quiet", str(self.directory))

    def start(self, deadline_s: float = 30.0) -> None:
        """Start the master and return once its worker is attached; raises RuntimeError with its log."""
        with (self.directory / "console.log").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUN, "start", "--nodaemon", str(self.directory)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        try:
            self.url = "http://127.0.0.1:" + self._wait(self._port, deadline_s)
            self._wait(self._worker_attached, deadline_s)
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(f"Buildbot did not start within {deadline_s} s:\n{self._log()[-4000:]}") from error

    def stop(self) -> None:
        """End the process that `start` started. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def session(self) -> str:
        """Log in with the account's password and return the session cookie's value, good for a year."""

        class KeepRedirect(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: object, **__: object) -> None:
                return None

        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        login = urllib.request.Request(f"{self.url}/auth/login", headers={"Authorization": f"Basic {basic}"})
        try:
            with urllib.request.build_opener(KeepRedirect).open(login, timeout=10) as answer:
                raise RuntimeError(f"Buildbot's login answered {answer.status}, not a redirect")
        except urllib.error.HTTPError as redirect:
            with redirect:
                # Buildbot sets an anonymous session first and the account's after it: the last one counts.
                cookies: SimpleCookie = SimpleCookie()
                for line in redirect.headers.get_all("Set-Cookie", []):
                    cookies.load(line)
        if "TWISTED_SESSION" not in cookies:
            raise RuntimeError("Buildbot's login set no session cookie")
        return cookies["TWISTED_SESSION"].value

    def builds(self, project: str) -> list[dict[str, Any]]:
        """Return the project's builds, oldest first, as Buildbot's API tells them."""
        builds: list[dict[str, Any]] = self._get(f"/api/v2/builders/{project}/builds?order=number")["builds"]
        return builds

    def wait_for_build(self, project: str, number: int = 1, deadline_s: float = 30.0) -> dict[str, Any]:
        """Return the project's build with that number (the first is 1) once it is complete; raises TimeoutError.

        `results` is 0 for success.
        """

        def complete() -> dict[str, Any] | None:
            return next((b for b in self.builds(project) if b["number"] == number and b["complete"]), None)

        return self._wait(complete, deadline_s)

    def _port(self) -> str | None:
        if self._process is None or self._process.poll() is not None:
            raise TimeoutError("the master's process ended")
        found = _LISTENING.search(self._log())
        return found[1] if found else None

    def _worker_attached(self) -> bool:
        return any(w["connected_to"] for w in self._get("/api/v2/workers")["workers"])

    def _get(self, target: str) -> Any:
        with urllib.request.urlopen(self.url + target, timeout=10) as answer:
            return json.load(answer)

    def _log(self) -> str:
        logs = (self.directory / name for name in ("console.log", "twistd.log"))
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    @staticmethod
    def _wait(probe: Callable[[], _T | None], deadline_s: float) -> _T:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            result = probe()
            if result:
                return result
            time.sleep(0.05)
        raise TimeoutError(f"not ready within {deadline_s} s")

    @staticmethod
    def _buildbot(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *arguments],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"buildbot {arguments[0]} failed:\n{done.stdout.decode()}{done.stderr.decode()}")

    def __enter__(self) -> Self:
        self.create()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
