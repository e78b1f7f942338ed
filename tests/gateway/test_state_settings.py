"""What is wrong with the identity state's settings is told at `config check` and at start, by line."""

from pathlib import Path

import pytest

from audit.note import Signer
from gateway.app import ADAPTERS, create_identity_state
from gateway.config_file import ConfigError
from gateway.settings import Settings, load_settings
from identity.sealing import Sealer

GOOD = """\
listen: 127.0.0.1:8080
public_url: https://gateway.example.com
policies: policies
database: sqlite:///var/audit.db
audit: {origin: gateway.example.com/audit, signing_key_file: audit.key}
identity:
  state:
    database: sqlite:///var/identity.db
    secret_file: var/identity.secret
  providers:
    - {name: corp, issuer: "https://sso.example.com", audiences: [portcullis]}
backends:
  - name: deploy
    adapter: http
    url: http://127.0.0.1:9000
    environment: prod
    routes: [{methods: [GET], path: "/{rest**}", resource: "{rest**}", action: read}]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory in which what GOOD names is there."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "var").mkdir()
    Signer.create("gateway.example.com/audit", tmp_path / "audit.key")
    Sealer.create(tmp_path / "var/identity.secret")
    create_identity_state(f"sqlite:///{tmp_path}/var/identity.db")
    return tmp_path


def load(place: Path, text: str) -> Settings:
    (place / "portcullis.yaml").write_text(text)
    return load_settings(place / "portcullis.yaml", ADAPTERS)


def finding(place: Path, text: str) -> tuple[int, str]:
    """Return the only finding of a file."""
    with pytest.raises(ConfigError) as caught:
        load(place, text)
    (found,) = caught.value.findings
    return found.line, found.message


def test_relative_paths_start_at_the_files_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    state = load(place, GOOD).identity.state
    assert state is not None
    assert state.database == f"sqlite:///{place}/var/identity.db"
    assert state.secret_file == place / "var/identity.secret"


def test_without_state_nothing_of_it_is_needed(place: Path) -> None:
    text = GOOD[: GOOD.index("  state:")] + GOOD[GOOD.index("  providers:") :]
    assert load(place, text).identity.state is None


def test_a_missing_database_is_told_before_serving(place: Path) -> None:
    """A gateway never makes one, and without its revocations it must not serve."""
    (place / "var/identity.db").unlink()
    line, message = finding(place, GOOD)
    assert line == 8
    assert message == (
        f"`identity.state.database` names a file that does not exist (a relative path starts at {place}): "
        "`portcullis init-state` makes one"
    )


def test_a_server_is_not_asked_by_the_check_of_the_file(place: Path) -> None:
    url = "postgresql://portcullis@db.example.com/portcullis?sslmode=verify-full"
    state = load(place, GOOD.replace("sqlite:///var/identity.db", url)).identity.state
    assert state is not None
    assert state.database == url


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o660])
def test_a_secret_that_others_may_read_is_told(place: Path, mode: int) -> None:
    secret = place / "var/identity.secret"
    secret.chmod(mode)
    line, message = finding(place, GOOD)
    assert line == 9
    assert "names a file that can be read or changed by others: chmod 600" in message
    secret.chmod(0o440)
    assert load(place, GOOD), "as an orchestrator mounts it for a group"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "names an empty file"),
        ("hunter2\n", "names a file that does not hold 64 hex digits"),
        ("A" * 64, "names a file that does not hold 64 hex digits"),
        ("é" * 32, "names a file that can't be read"),
    ],
)
def test_a_secret_that_is_none_is_told_and_never_repeated(place: Path, content: str, says: str) -> None:
    (place / "var/identity.secret").write_text(content)
    line, message = finding(place, GOOD)
    assert (line, says in message) == (9, True), message
    assert not content or content.strip() not in message


def test_a_missing_secret_is_told(place: Path) -> None:
    (place / "var/identity.secret").unlink()
    line, message = finding(place, GOOD)
    assert (line, "`identity.state.secret_file` names a file that does not exist" in message) == (9, True)


@pytest.mark.parametrize("same", ["sqlite:///var/audit.db", "sqlite:///./var/audit.db"])
def test_the_logs_own_database_is_refused(place: Path, same: str) -> None:
    """The log has exactly one writer."""
    (place / "var/audit.db").touch()
    line, message = finding(place, GOOD.replace("sqlite:///var/identity.db", same))
    assert (line, message) == (8, "`identity.state.database` is the audit log's: give each a file of its own")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://portcullis:sesame@db.example.com/x",
        "postgresql://db.example.com/x?password=sesame",
        "postgresql://db.example.com/x?sslpassword=sesame",
    ],
)
def test_a_password_in_the_url_is_refused_and_never_repeated(place: Path, url: str) -> None:
    """SECURITY-CASES 24, for a secret of the operator's."""
    line, message = finding(place, GOOD.replace("sqlite:///var/identity.db", url))
    assert line == 8
    assert "must hold no password: use database_password_file or database_password_env" in message
    assert "sesame" not in message


@pytest.mark.parametrize(
    ("database", "keys", "line", "says"),
    [
        (
            "postgresql://portcullis@db.example.com/x",
            ["database_password_env: PATH", "database_password_file: var/identity.secret"],
            10,
            "`identity.state.database_password_env` stands beside `database_password_file`: give one of them",
        ),
        (
            "sqlite:///var/identity.db",
            ["database_password_env: PATH"],
            10,
            "`identity.state.database_password_env` has no use: an SQLite file has no password",
        ),
        (
            "postgresql://portcullis@db.example.com/x",
            ["database_password_env: PORTCULLIS_TEST_UNSET"],
            10,
            "`identity.state.database_password_env` names an environment variable that is not set",
        ),
    ],
)
def test_a_password_is_given_once_and_where_it_has_a_use(
    place: Path, database: str, keys: list[str], line: int, says: str
) -> None:
    more = "".join(f"    {key}\n" for key in keys)
    text = GOOD.replace("sqlite:///var/identity.db", database).replace("  providers:\n", f"{more}  providers:\n")
    assert finding(place, text) == (line, says)
