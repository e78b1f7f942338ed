"""Every part of the demo on loopback, in one directory: how each starts, is found by the others, and stops."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from string import Template
from types import TracebackType
from typing import Self

from tests.demo import aws_account
from tests.demo.process import PartFailedError, Process
from tests.parts.buildbot_master import BuildbotMaster
from tests.parts.moto_server import MotoServer
from tests.parts.ports import free_port

_HERE = Path(__file__).parent
_POLICIES = _HERE.parent.parent / "policies"
_BIN = Path(sys.executable).parent
_NEEDED_PROGRAMS = ("bash", "curl", "git")
_TOKEN_LIFE_S = 24 * 3600
_PROVIDERS = ("corp", "partner")
# Each person's accounts: the provider and the `sub` there.
_ACCOUNTS = {"alice": {"corp": "alice", "partner": "a-1017"}, "bob": {"corp": "bob"}}


@dataclass(frozen=True, slots=True)
class Part:
    """One running part: what it is and where."""

    name: str
    what: str
    url: str


class World:
    """The running demo in `root`, an empty directory; use as a context manager.

    `report` is told what is being started. Raises PartFailedError, or RuntimeError from the backends, with the log of
    the part that did not start.
    """

    def __init__(self, root: Path, report: Callable[[str], None]) -> None:
        self.root = root
        self.gateway_url = f"http://127.0.0.1:{free_port()}"
        self._report = report
        self._providers = {name: f"http://127.0.0.1:{free_port()}" for name in _PROVIDERS}
        self._processes: list[Process] = []
        self._moto = MotoServer(root / "logs" / "aws.log")
        self._buildbot = BuildbotMaster(root / "buildbot", projects=("payments",))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop every part, the gateway first. Safe to call twice."""
        while self._processes:
            self._processes.pop().stop()
        self._buildbot.stop()
        self._moto.stop()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What runs, and where."""
        return (
            Part("gateway", "Portcullis", self.gateway_url),
            Part("corp", "identity provider (oidc-provider-mock): alice, bob", self._providers["corp"]),
            Part("partner", "identity provider (oidc-provider-mock): alice again", self._providers["partner"]),
            Part("aws-staging", "AWS account (moto); it checks every signature", self._moto.url),
            Part("deploy-prod", "deploy service (Buildbot); only its own account may deploy", self._buildbot.url),
        )

    def shell(self, person: str) -> dict[str, str]:
        """Return the variables of that person's shell: a home of their own, and no backend's credential."""
        home = self.root / "people" / person
        home.mkdir(parents=True, exist_ok=True)
        accounts = {self._providers[name]: account for name, account in _ACCOUNTS.get(person, {}).items()}
        return {
            "PATH": f"{self.root / 'bin'}{os.pathsep}{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "COLUMNS": "110",
            "NO_COLOR": "1",
            "GATEWAY": self.gateway_url,
            "AWS": self._moto.url,
            "DEPLOYS": self._buildbot.url,
            "AWS_DEFAULT_REGION": aws_account.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BROWSER": f"{shlex.join(_our_module('tests.parts.scripted_person'))} %s",
            "ACCOUNTS": json.dumps(accounts),
            # A keyring of the machine's owner is none of the demo's.
            "PORTCULLIS_TOKEN_STORE": "file",
        }

    def commit(self, revision: str = "HEAD") -> str:
        """Return the id of a commit of the policy repository, by default the newest."""
        return self._git("rev-parse", revision)

    def _start(self) -> None:
        for program in _NEEDED_PROGRAMS:
            if shutil.which(program) is None:
                raise PartFailedError(f"{program} is not on this machine: install the package {program}")
        (self.root / "logs").mkdir(parents=True)
        self._make_phone()
        for name in _PROVIDERS:
            self._start_provider(name)
        self._report("AWS account (S3, CloudWatch Logs, IAM)")
        self._moto.start()
        aws_key = aws_account.furnish(self._moto.url)
        self._report("deploy service (Buildbot and its worker)")
        self._buildbot.create()
        self._buildbot.start()
        self._create_policy_repository()
        self._start_gateway(aws_key)

    def _make_phone(self) -> None:
        # A program by that name for everybody's shell: it reads what a login prints, as its owner would.
        phone = self.root / "bin" / "phone"
        phone.parent.mkdir()
        phone.write_text(f"#!/bin/sh\nexec {shlex.join(_our_module('tests.demo.phone'))}\n")
        phone.chmod(0o755)

    def _start_provider(self, name: str) -> None:
        url = self._providers[name]
        command: list[str | Path] = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock"]
        command += ["--port", url.rpartition(":")[2], "--token-max-age", str(_TOKEN_LIFE_S)]
        for person, accounts in _ACCOUNTS.items():
            if name in accounts:
                claims = {"email": f"{person}@example.com", "email_verified": True, "groups": ["developers"]}
                command += ["--user-claims", json.dumps({"sub": accounts[name], **claims})]
        provider = self._spawn(f"identity provider {name}", command, os.environ, self.root)
        provider.wait_until_ready(f"{url}/.well-known/openid-configuration", deadline_s=30)

    def _create_policy_repository(self) -> None:
        for source in (_POLICIES, _HERE / "policies"):
            shutil.copytree(source, self.root / "policies", dirs_exist_ok=True)
        self._git("init", "--quiet", "--initial-branch=main")
        # Whoever types in the demo's shells has a home of their own, without a git identity.
        self._git("config", "user.name", "Platform team")
        self._git("config", "user.email", "platform@example.com")
        self._git("add", ".")
        self._git("commit", "--quiet", "-m", "The policy as it is today")

    def _git(self, *arguments: str) -> str:
        return self._finish(["git", "-C", str(self.root / "policies"), *arguments])

    def _start_gateway(self, aws_key: aws_account.AccessKey) -> None:
        home = self.root / "gateway"
        self._finish([str(_BIN / "portcullis"), "init", str(home), "--origin", "demo.example.com/audit"])
        settings = Template((_HERE / "portcullis.yaml").read_text()).substitute(
            listen=self.gateway_url.removeprefix("http://"),
            corp_url=self._providers["corp"],
            partner_url=self._providers["partner"],
            aws_url=self._moto.url,
            deploy_url=self._buildbot.url,
        )
        (home / "portcullis.yaml").write_text(settings)
        secrets = {"deploy.cookie": self._buildbot.session(), **{f"{name}.secret": token_hex() for name in _PROVIDERS}}
        for name, secret in secrets.items():
            file = home / "var" / name
            file.touch(mode=0o600)
            file.write_text(secret)
        environment = {
            **self.shell("operator"),
            "STAGING_KEY_ID": aws_key.access_key_id,
            "STAGING_SECRET": aws_key.secret_access_key,
        }
        command: list[str | Path] = [_BIN / "portcullis", "serve", "--config", "portcullis.yaml"]
        gateway = self._spawn("gateway", command, environment, home)
        gateway.wait_until_ready(f"{self.gateway_url}/-/readyz", deadline_s=30)

    def _spawn(self, name: str, command: list[str | Path], environment: Mapping[str, str], directory: Path) -> Process:
        self._report(name)
        log = self.root / "logs" / f"{name.replace(' ', '-')}.log"
        process = Process(name, command, log, environment, directory)
        self._processes.append(process)
        return process

    def _finish(self, command: list[str]) -> str:
        done = subprocess.run(
            command, env=self.shell("operator"), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise PartFailedError(f"`{shlex.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()


def _our_module(name: str) -> list[str]:
    """Return the command that runs a module of this repository, wherever it is typed."""
    return ["env", f"PYTHONPATH={_HERE.parent.parent}", sys.executable, "-m", name]
