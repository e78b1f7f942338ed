"""`portcullis config` tells every error with its line and ends with 2; its schema is the file's own."""

from pathlib import Path

import jsonschema
import yaml

from tests.gateway.cli.conftest import Run
from tests.parts.issuer import Issuer


def test_a_good_file_ends_with_zero(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    config = tmp_path / "portcullis.yaml"
    done = run("config", "check", "--config", config)
    assert (done.code, done.out) == (0, f"{config}: good; providers: corp; backends: deploy-staging\n")
    assert run("config", "check", "-c", config, "--format", "json").json == {
        "ok": True,
        "findings": [],
        "providers": ["corp"],
        "backends": ["deploy-staging"],
    }


def test_every_error_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "portcullis.yaml"
    config.write_text("listen: nowhere\npolices: x\n")
    done = run("config", "check", "--config", config)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert f"{config}:1: `listen` must be host:port, such as 127.0.0.1:8080 or [::1]:8080" in lines
    assert f"{config}:2: `polices` is not a known key: did you mean `policies`?" in lines
    document = run("config", "check", "-c", config, "--format", "json").json
    assert document["ok"] is False
    assert {"file": str(config), "line": 1, "message": lines[2].split(": ", 1)[1]} in document["findings"]


def test_no_file_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    for command in (["config", "check"], ["serve"], ["audit", "search"], ["audit", "verify"]):
        done = run(*command, "--config", tmp_path / "none.yaml")
        assert done.code == 2
        assert "`portcullis init DIR` writes one" in done.err


def test_the_schema_accepts_what_init_writes(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    schema = run("config", "schema").json
    jsonschema.validate(yaml.safe_load((tmp_path / "portcullis.yaml").read_text()), schema)


def test_serve_says_why_it_can_not_start(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    (tmp_path / "policies/rules/access.csv").write_text("p, role:x, staging, a/**, read, dney,\n")
    done = run("serve", "--config", tmp_path / "portcullis.yaml")
    assert done.code == 2
    assert "does not load" in done.err
    assert "rules/access.csv:1" in done.err
    assert "Traceback" not in done.err
    (tmp_path / "policies/rules/access.csv").unlink()
    (tmp_path / "var/audit.key").write_text("not a key\n")
    done = run("serve", "--config", tmp_path / "portcullis.yaml")
    assert (done.code, "not an unencrypted PEM" in done.err) == (2, True)
    assert f"{tmp_path / 'portcullis.yaml'}:18: `audit.signing_key_file`" in done.err


def test_a_gateway_that_could_not_work_is_not_good(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    config = tmp_path / "portcullis.yaml"
    (tmp_path / "var/portcullis.db").unlink()
    (tmp_path / "var/audit.key").chmod(0o644)
    done = run("config", "check", "--config", config)
    assert (done.code, done.out) == (2, "")
    database, key = done.err.splitlines()
    assert database.startswith(f"{config}:13: `database` names a file that does not exist")
    assert key.startswith(f"{config}:18: `audit.signing_key_file` names a key that others may use or change")


def _answered(run: Run, directory: Path, issuer: str) -> Path:
    """Make a site whose one provider has this issuer, and nobody can log in at."""
    run("init", directory)
    config = directory / "portcullis.yaml"
    document = yaml.safe_load(config.read_text())
    (provider,) = document["identity"]["providers"]
    document["identity"]["providers"] = [{"name": "corp", "issuer": issuer, "audiences": provider["audiences"]}]
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    return config


def test_online_asks_the_providers_and_ends_with_one_where_one_does_not_fit(run: Run, tmp_path: Path) -> None:
    with Issuer() as issuer:
        config = _answered(run, tmp_path, issuer.url)
        done = run("config", "check", "-c", config, "--online")
        assert (done.code, done.out) == (0, f"{config}: good; providers: corp; backends: deploy-staging\n")
        assert issuer.requests == ["/.well-known/openid-configuration", "/jwks"]
        run("config", "check", "-c", config)
        assert len(issuer.requests) == 2, "the ordinary check asks nobody"
    done = run("config", "check", "-c", config, "--online")
    assert done.code == 1
    finding, verdict = done.out.splitlines()
    line = config.read_text().splitlines().index(f"    issuer: {issuer.url}") + 1
    assert finding.startswith(f"{config}:{line}: error: provider corp: the provider can't be used: {issuer.url}/")
    assert verdict == f"{config}: a provider does not fit; providers: corp; backends: deploy-staging"
    document = run("config", "check", "-c", config, "--online", "--format", "json").json
    assert document["ok"] is False
    ((found),) = document["findings"]
    assert (found["file"], found["line"], found["level"], found["provider"]) == (str(config), line, "error", "corp")


def test_online_looks_at_the_identity_state_too(run: Run, tmp_path: Path) -> None:
    with Issuer() as issuer:
        config = _answered(run, tmp_path, issuer.url)
        state = f"sqlite:///{tmp_path}/var/identity.db"
        document = yaml.safe_load(config.read_text())
        document["identity"]["state"] = {"database": state, "secret_file": "var/identity.secret"}
        config.write_text(yaml.safe_dump(document, sort_keys=False))
        assert run("config", "check", "-c", config, "--online").code == 0
        (tmp_path / "var/identity.db").write_bytes(b"")
        assert run("config", "check", "-c", config).code == 0
        done = run("config", "check", "-c", config, "--online")
    assert done.code == 1
    finding, verdict = done.out.splitlines()
    assert ": error: identity state: " in finding
    assert "holds no identity state: `portcullis init-state` makes it" in finding
    assert verdict.startswith(f"{config}: the identity state can't be used; ")


def test_warnings_are_told_and_change_no_exit_code(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    identities = tmp_path / "policies/identities.yaml"
    identities.write_text("people:\n  alice:\n    accounts: [{provider: crop, subject: '1'}]\n")
    config = tmp_path / "portcullis.yaml"
    done = run("config", "check", "-c", config)
    assert done.code == 0
    warning, verdict = done.out.splitlines()
    assert warning.startswith(
        f"{identities}:3: warning: an account is linked at the provider 'crop', which is not conf"
    )
    assert verdict.startswith(f"{config}: good; ")
    (found,) = run("config", "check", "-c", config, "--format", "json").json["findings"]
    assert (found["file"], found["line"], found["level"], found["provider"]) == (str(identities), 3, "warning", None)


def test_online_does_not_ask_with_a_wrong_file(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "portcullis.yaml"
    config.write_text("listen: nowhere\n")
    assert run("config", "check", "-c", config, "--online").code == 2
