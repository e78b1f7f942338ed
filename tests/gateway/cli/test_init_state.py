"""`portcullis init-state` makes what is missing, once, and never touches what is there."""

import stat
from pathlib import Path

import pytest

from adapters.state.database import StateDatabase
from identity.sealing import Sealer
from tests.gateway.cli.conftest import Run
from tests.parts.postgres import Postgres


@pytest.fixture
def site(run: Run, tmp_path: Path) -> Path:
    """What `portcullis init` makes, without its identity state."""
    site = tmp_path / "site"
    assert run("init", site).code == 0
    (site / "var/identity.db").unlink()
    (site / "var/identity.secret").unlink()
    return site


def test_a_file_and_its_secret_are_made_once(run: Run, site: Path) -> None:
    config = site / "portcullis.yaml"
    assert run("config", "check", "--config", config).code == 2
    done = run("init-state", "--config", config, "--format", "json")
    assert (done.code, done.err) == (0, "")
    secret = site / "var/identity.secret"
    assert done.json == {
        "database": f"sqlite:///{site}/var/identity.db",
        "secret_file": str(secret),
        "secret_made": True,
    }
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert run("config", "check", "--config", config).code == 0
    before = secret.read_bytes()
    again = run("init-state", "--config", config)
    assert (again.code, "there is identity state already" in again.err) == (2, True)
    assert secret.read_bytes() == before


def test_a_secret_that_others_can_read_is_not_kept_for_new_state(run: Run, site: Path) -> None:
    secret = site / "var/identity.secret"
    Sealer.create(secret)
    secret.chmod(0o644)
    done = run("init-state", "--config", site / "portcullis.yaml")
    assert (done.code, done.err) == (2, f"portcullis: {secret} can be read or changed by others: chmod 600 {secret}\n")
    assert not (site / "var/identity.db").exists()


def test_a_server_gets_its_tables_and_the_secret_that_replicas_share_is_kept(
    run: Run, site: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = site / "portcullis.yaml"
    Sealer.create(site / "var/identity.secret")
    monkeypatch.setenv("STATE_PASSWORD", postgres.password)
    with postgres.database() as url:
        text = config.read_text()
        assert "sqlite:///var/identity.db" in text
        name = "    database_password_env: STATE_PASSWORD\n"
        config.write_text(text.replace("sqlite:///var/identity.db\n", f"{url}\n{name}"))
        done = run("init-state", "--config", config)
        assert (done.code, done.err) == (0, "")
        assert "Kept the secret" in done.out
        assert run("config", "check", "--config", config).code == 0
        database = StateDatabase(url, postgres.password)
        database.open()
        database.close()
        again = run("init-state", "--config", config)
        assert (again.code, "never made anew" in again.err) == (2, True)
        monkeypatch.setenv("STATE_PASSWORD", "not-the-password")
        wrong = run("init-state", "--config", config)
        assert (wrong.code, "password authentication failed" in wrong.err) == (2, True)
        assert "not-the-password" not in wrong.err + wrong.out


def test_a_configuration_without_state_and_a_place_that_can_not_be_written_are_told(run: Run, site: Path) -> None:
    config = site / "portcullis.yaml"
    text = config.read_text()
    config.write_text(text.replace("sqlite:///var/identity.db", "sqlite:///nowhere/identity.db"))
    done = run("init-state", "--config", config)
    assert (done.code, "can't be made: No such file" in done.err) == (2, True)
    config.write_text(text.replace("var/identity.secret", "nowhere/identity.secret"))
    done = run("init-state", "--config", config)
    assert (done.code, "nowhere/identity.secret: No such file" in done.err) == (2, True)
    start, _, rest = text.partition("  state:\n")
    config.write_text(start + rest[rest.index("  providers:") :])
    done = run("init-state", "--config", config)
    assert (done.code, "`identity.state` is missing" in done.err) == (2, True)
