"""`portcullis init`: a directory to start from. Nothing that exists is ever overwritten."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import CommandError, Format, FormatOption, print_json, print_text

STARTER = Path(__file__).with_name("starter")
_ORIGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_ORIGIN = "gateway.example.com/audit"
_KEY = Path("var/audit.key")
_VERIFIER_KEY = Path("var/audit.pub")
_DATABASE = Path("var/portcullis.db")
_STATE_DATABASE = Path("var/identity.db")
_STATE_SECRET = Path("var/identity.secret")


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.")],
    origin: Annotated[
        str, typer.Option("--origin", help="The audit log's name in its signed checkpoints; a name of your own.")
    ] = _ORIGIN,
    output: FormatOption = Format.text,
) -> None:
    """Write a configuration, a starter policy, an audit signing key, an empty audit log and empty identity state.

    The policy becomes a git repository with one commit, where git is installed and DIR is in no repository yet.
    """
    from audit.note import Signer, SigningKeyError
    from gateway.app import create_audit_store, create_identity_state
    from identity.sealing import Sealer
    from identity.state import StateUnavailableError

    if not _ORIGIN_NAME.fullmatch(origin):
        raise CommandError("--origin: use letters, digits, `.`, `_`, `/` and `-`, as in gateway.example.com/audit")
    templates = dict(_templates(origin))
    made = [*templates, _KEY, _VERIFIER_KEY, _DATABASE, _STATE_DATABASE, _STATE_SECRET]
    _refuse_existing(directory, made)
    try:
        for name, text in templates.items():
            _write_new(directory / name, text)
        (directory / "var").mkdir(mode=0o700, exist_ok=True)
        signer = Signer.create(origin, directory / _KEY)
        _write_new(directory / _VERIFIER_KEY, signer.verifier.key + "\n")
        create_audit_store(f"sqlite:///{(directory / _DATABASE).absolute()}")
        Sealer.create(directory / _STATE_SECRET)
        create_identity_state(f"sqlite:///{(directory / _STATE_DATABASE).absolute()}")
    except (SigningKeyError, StateUnavailableError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    commit = _commit(directory / "policies")
    config = directory / "portcullis.yaml"
    if output is Format.json:
        document = {"config": str(config), "files": sorted(str(directory / name) for name in made), "commit": commit}
        print_json(document)
        return
    print_text(f"Made {config}, a starter policy, keys, an empty audit log and empty identity state in {directory}.")
    print_text(f"policy revision: {commit or 'none (policies/ is in no git repository of its own)'}")
    print_text(f"Next: edit {config} (providers, backends), then")
    print_text(f"  portcullis config check --config {config}")
    print_text(f"  portcullis policy test {directory / 'policies'}")
    print_text(f"  portcullis serve --config {config}")


def _templates(origin: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(STARTER.rglob("*")):
        if path.is_file():
            # A file whose name begins with a dot would not be shipped in every kind of package.
            name = path.relative_to(STARTER)
            target = name.with_name(".gitignore") if name.name == "gitignore" else name
            yield target, path.read_text("utf-8").replace(_ORIGIN, origin)


def _refuse_existing(directory: Path, made: list[Path]) -> None:
    if directory.exists() and not directory.is_dir():
        raise CommandError(f"{directory} is not a directory: name another one")
    existing = [str(directory / name) for name in made if os.path.lexists(directory / name)]
    if existing:
        raise CommandError("nothing was written, because these exist already:\n" + "\n".join(existing))


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _commit(policies: Path) -> str | None:
    """Make the policy a git repository of one commit and return the commit's id, None where that can't be."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(policies), *arguments]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("rev-parse", "--is-inside-work-tree") == "true":
        return None
    if git("init", "--quiet", "--initial-branch=main") is None or git("add", "--all") is None:
        return None
    # The user's own hooks and signing keys have no part in a first commit, and might ask questions.
    quiet = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false"]
    if git("var", "GIT_COMMITTER_IDENT") is None or git("config", "user.email") is None:
        quiet += ["-c", "user.name=portcullis init", "-c", "user.email=portcullis@localhost"]
    if git(*quiet, "commit", "--quiet", "--message", "Starter policy") is None:
        return None
    return git("rev-parse", "HEAD")
