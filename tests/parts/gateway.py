"""A real gateway in a process of its own, with a site (configuration, policy, key, database) made for one test.

site = make_site(tmp_path, providers=[issuer.settings], backends=[...], rules=["p, user:alice, ..."])
with GatewayProcess(site) as gateway:
    httpx.get(gateway.url + "/logs/x", headers=bearer(token))
"""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from audit.note import Signer
from audit.store import Row
from gateway.app import create_audit_store, create_identity_state, open_audit_reader
from identity.sealing import Sealer

ORIGIN = "gateway.example.com/audit"
MODEL = Path(__file__).parents[2] / "policies" / "model.conf"
PORTCULLIS = str(Path(sys.executable).with_name("portcullis"))
PATIENCE_S = 20.0
_LISTENING = re.compile(r"Uvicorn running on https?://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Site:
    """Everything one gateway is configured with, in one directory."""

    directory: Path
    config: Path
    policies: Path
    database: Path
    key_file: Path
    verifier_key: str


def make_site(
    directory: Path,
    *,
    providers: Sequence[Mapping[str, Any]],
    backends: Sequence[Mapping[str, Any]],
    rules: Sequence[str] = (),
    identities: str = "",
    tls: Mapping[str, Any] | None = None,
    identity: Mapping[str, Any] | None = None,
    with_state: bool = False,
    port: int = 0,
) -> Site:
    """Write a complete site below `directory` and return it; `identity` adds keys to that section.

    `with_state` gives it identity state in an SQLite database of its own. With a `port` its public URL is where it
    listens, for browsers to come to.
    """
    policies = directory / "policies"
    (policies / "rules").mkdir(parents=True)
    (policies / "model.conf").write_bytes(MODEL.read_bytes())
    (policies / "rules" / "rules.csv").write_text("".join(f"{rule}\n" for rule in rules))
    if identities:
        (policies / "identities.yaml").write_text(identities)
    key_file = directory / "audit.key"
    signer = Signer.create(ORIGIN, key_file)
    database = directory / "portcullis.db"
    create_audit_store(f"sqlite:///{database}")
    state = _identity_state(directory) if with_state else {}
    config = directory / "portcullis.yaml"
    document = {
        "listen": f"127.0.0.1:{port}",
        "public_url": f"http://127.0.0.1:{port}" if port else "https://gateway.example.com",
        "policies": "./policies",
        "database": "sqlite:///portcullis.db",
        "audit": {"origin": ORIGIN, "signing_key_file": "audit.key"},
        "identity": {"providers": [dict(provider) for provider in providers], **(identity or {}), **state},
        "backends": [dict(backend) for backend in backends],
    }
    if tls is not None:
        document["tls"] = dict(tls)
    config.write_text(yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False))
    return Site(directory, config, policies, database, key_file, signer.verifier.key)


def _identity_state(directory: Path) -> dict[str, Any]:
    database, secret = directory / "identity.db", directory / "identity.secret"
    create_identity_state(f"sqlite:///{database}")
    Sealer.create(secret)
    return {"state": {"database": f"sqlite:///{database}", "secret_file": str(secret)}}


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def stored_rows(site: Site) -> list[Row]:
    """Return every row of the site's log."""
    reader = open_audit_reader(f"sqlite:///{site.database}")
    try:
        return list(reader.rows())
    finally:
        reader.close()


def verify(site: Site) -> "subprocess.CompletedProcess[str]":
    """Run `portcullis audit verify` on the site's log."""
    command = [PORTCULLIS, "audit", "verify", "--config", str(site.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class GatewayProcess:
    """`portcullis serve`, started on a free port; `log` is what it has written so far.

    `tls` is the context of a client, for a site that ends TLS.
    """

    def __init__(
        self,
        site: Site,
        *,
        wait_ready: bool = True,
        environment: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.site = site
        self._tls = tls
        self.port = 0
        self._wait_ready = wait_ready
        self._environment = {**os.environ, **(environment or {})}
        self._log_file = site.directory / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The gateway's base URL."""
        return f"{'https' if self._tls is not None else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything written to standard output and error."""
        return self._log_file.read_text()

    def start(self) -> None:
        """Start, and wait until it listens (and, unless told otherwise, is ready)."""
        offset = self._log_file.stat().st_size if self._log_file.exists() else 0
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PORTCULLIS, "serve", "--config", str(self.site.config)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=Path(__file__).parents[2],
            )
        self.wait_until(lambda: self._find_port(offset), "it listens")
        if self._wait_ready:
            with httpx.Client(verify=self._tls if self._tls is not None else True) as client:
                self.wait_until(lambda: client.get(f"{self.url}/-/readyz").status_code == 200, "it is ready")

    def wait_until(self, condition: Any, what: str) -> None:
        """Poll until `condition()` holds; fails with the log where it does not in time or the process ends."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self._process.returncode} before {what}:\n{self.log}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the gateway was not seen in {PATIENCE_S} s to have reached: {what}\n{self.log}")
            time.sleep(0.02)

    def stop(self) -> int:
        """End it in order and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the gateway did not stop in {PATIENCE_S} s:\n{self.log}") from None

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, where it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def _find_port(self, offset: int) -> bool:
        found = _LISTENING.search(self.log[offset:])
        if found:
            self.port = int(found[1])
        return found is not None
