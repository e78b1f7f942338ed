"""`portcullis init` makes a directory that works, and never touches what is there."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from audit.note import Verifier
from gateway.app import ADAPTERS, open_audit_reader, open_identity_state
from gateway.settings import load_settings
from identity.sealing import Sealer
from tests.gateway.cli.conftest import Run

ROOT = Path(__file__).parents[3]


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", directory, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_what_init_writes_passes_every_check(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = run("init", site, "--format", "json")
    assert (done.code, done.err) == (0, "")
    for command in (
        ["config", "check", "--config", site / "portcullis.yaml"],
        ["policy", "check", site / "policies"],
        ["policy", "test", site / "policies"],
        ["audit", "verify", "--config", site / "portcullis.yaml"],
    ):
        assert run(*command).code == 0, run(*command)
    assert all(Path(name).exists() for name in done.json["files"])


def test_the_policy_is_a_repository_whose_commit_names_the_revision(run: Run, tmp_path: Path) -> None:
    commit = run("init", tmp_path / "site", "--format", "json").json["commit"]
    policies = tmp_path / "site" / "policies"
    assert git(policies, "rev-parse", "HEAD") == commit
    assert git(policies, "status", "--porcelain") == ""
    assert run("policy", "check", policies, "--format", "json").json["policy"]["commit"] == commit


def test_init_inside_a_repository_makes_none_of_its_own(run: Run, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert run("init", tmp_path / "site", "--format", "json").json["commit"] is None
    assert not (tmp_path / "site/policies/.git").exists()


def test_init_works_where_git_is_not_installed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("init", tmp_path / "site")
    assert done.code == 0
    assert "policy revision: none" in done.out


def test_a_commit_needs_no_git_configuration_and_runs_no_hook(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(f"[core]\nhooksPath = {hooks}\n[commit]\ngpgSign = true\n")
    assert run("init", tmp_path / "site", "--format", "json").json["commit"]
    assert not (tmp_path / "ran").exists()


def test_keys_and_log_are_the_owners_alone(run: Run, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert run("init", tmp_path / "site", "--origin", "example.com/log").code == 0
    finally:
        os.umask(before)
    var = tmp_path / "site" / "var"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (var, *var.iterdir())}
    assert modes["audit.key"] == modes["identity.secret"] == 0o600
    assert modes["var"] == 0o700
    assert modes["portcullis.db"] & 0o077 == modes["identity.db"] & 0o077 == 0
    assert Verifier.parse((var / "audit.pub").read_text()).name == "example.com/log"
    assert "origin: example.com/log" in (tmp_path / "site/portcullis.yaml").read_text()
    reader = open_audit_reader(f"sqlite:///{var}/portcullis.db")
    assert reader.head().size == 0
    reader.close()


def test_each_site_has_a_secret_and_empty_state_of_its_own(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run("init", tmp_path / name).code == 0
        settings = load_settings(tmp_path / name / "portcullis.yaml", ADAPTERS)
        assert settings.identity.state is not None
        with open_identity_state(settings.identity.state) as (store, _):
            assert (store.newest_change(), store.signing_keys(0)) == (0, [])
        Sealer.load(settings.identity.state.secret_file)
    secrets = [(tmp_path / name / "var/identity.secret").read_text() for name in ("one", "two")]
    assert secrets[0] != secrets[1]


def test_what_exists_is_listed_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "var").mkdir(parents=True)
    (site / "var/audit.key").write_text("the real key")
    (site / "var/identity.secret").write_text("the real secret")
    (site / "portcullis.yaml").symlink_to("nowhere")
    done = run("init", site)
    assert (done.code, done.out) == (2, "")
    assert f"{site}/var/audit.key" in done.err
    assert f"{site}/portcullis.yaml" in done.err
    assert "model.conf" not in done.err
    assert sorted(str(path.relative_to(site)) for path in site.rglob("*")) == [
        "portcullis.yaml",
        "var",
        "var/audit.key",
        "var/identity.secret",
    ]
    assert f"{site}/var/identity.secret" in done.err
    assert (site / "var/audit.key").read_text() == "the real key"


@pytest.mark.parametrize("origin", ["a b", "a+b", "", '"', "a: b", "#"])
def test_an_origin_that_is_no_name_writes_nothing(run: Run, tmp_path: Path, origin: str) -> None:
    done = run("init", tmp_path / "site", "--origin", origin)
    assert (done.code, "--origin" in done.err) == (2, True)
    assert not (tmp_path / "site").exists()


def test_a_place_that_can_not_be_written_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "is not a directory" in run("init", tmp_path / "file").err
    done = run("init", tmp_path / "file" / "below")
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_the_starters_model_is_the_shipped_one() -> None:
    starter = ROOT / "gateway/cli/starter/policies/model.conf"
    assert starter.read_bytes() == (ROOT / "policies/model.conf").read_bytes()


def test_the_starter_is_in_the_package() -> None:
    import tomllib

    with (ROOT / "pyproject.toml").open("rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    packages = [ROOT.joinpath(*name.split(".")) for name in setuptools["packages"]]
    patterns = setuptools["package-data"]["*"]
    shipped = {path for package in packages for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in (ROOT / "gateway/cli/starter").rglob("*") if path.is_file()} <= shipped
