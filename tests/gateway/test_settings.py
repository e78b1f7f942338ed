"""The configuration is checked as a whole: every error at once, each with its line and what to write instead."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from adapters.backend_settings import BackendSettings
from audit.note import Signer
from gateway.app import ADAPTERS
from gateway.config_file import ConfigError
from gateway.settings import Settings, load_settings, settings_schema
from gateway.settings_errors import PATTERN_WORDS


class _TokenCredential(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["token"] = "token"
    token_file: Path


class _KeyCredential(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["key"] = "key"
    key_env: str


class RobotSettings(BackendSettings):
    """An adapter of this test's own, with what real ones have: a union, free keys, a list."""

    adapter: Literal["robot"] = "robot"
    credential: _TokenCredential | _KeyCredential | None = None
    query: dict[str, str] = {}
    arms: Annotated[int, Field(gt=0)] = 2


ROBOTS: Mapping[str, type[BackendSettings]] = {"robot": RobotSettings}

GOOD = """\
listen: 127.0.0.1:8080
public_url: https://gateway.example.com
policies: policies
database: sqlite:///var/audit.db
audit:
  origin: gateway.example.com/audit
  signing_key_file: audit.key
identity:
  providers:
    - name: corp
      issuer: https://sso.example.com
      audiences: [portcullis]
backends:
  - name: robots
    adapter: robot
    url: http://127.0.0.1:9000
    environment: prod
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which what GOOD names is there, and an environment without overrides."""
    for name in ("LISTEN", "PUBLIC_URL", "POLICIES", "DATABASE"):
        monkeypatch.delenv(f"PORTCULLIS_{name}", raising=False)
    (tmp_path / "policies").mkdir()
    Signer.create("gateway.example.com/audit", tmp_path / "audit.key")
    return tmp_path


def load(place: Path, text: str, **options: bool) -> Settings:
    (place / "portcullis.yaml").write_text(text)
    return load_settings(place / "portcullis.yaml", ROBOTS, **options)


def findings(place: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        load(place, text)
    return [(finding.line, finding.message) for finding in caught.value.findings]


def test_a_good_file_gives_frozen_settings_with_absolute_paths(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = load(place, GOOD)
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 8080)
    assert settings.policies == place / "policies"
    assert settings.audit.signing_key_file == place / "audit.key"
    assert settings.database == f"sqlite:///{place}/var/audit.db"
    (backend,) = settings.backends
    assert isinstance(backend, RobotSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "0.0.0.0:1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("listen", "host", "port"), [("[::1]:0", "::1", 0), ("0.0.0.0:65535", "0.0.0.0", 65535), ("host:80", "host", 80)]
)
def test_the_address_to_listen_on_is_host_and_port(place: Path, listen: str, host: str, port: int) -> None:
    settings = load(place, GOOD.replace("127.0.0.1:8080", f'"{listen}"'))
    assert (settings.listen_host, settings.listen_port) == (host, port)


def test_every_error_is_told_at_once_in_file_order_each_with_its_line(place: Path) -> None:
    text = (
        GOOD.replace("127.0.0.1:8080", "8080")
        .replace("origin:", "origins:")
        .replace("audiences: [portcullis]", "audience: portcullis")
        .replace("url: http://127.0.0.1:9000", "url: ftp://127.0.0.1")
        .replace("audit.key", "none.key")
        + "    arms: 0\n  - {name: robots, adapter: robot, environment: prod, url: http://127.0.0.1:1}\n"
    )
    assert findings(place, text) == [
        (1, "`listen` must be text"),
        (5, "`audit.origin` is missing"),
        (6, "`audit.origins` is not a known key: did you mean `origin`?"),
        (7, f"`audit.signing_key_file` names a file that does not exist (a relative path starts at {place})"),
        (10, "`identity.providers[0].audiences` is missing"),
        (12, "`identity.providers[0].audience` is not a known key: did you mean `audiences`?"),
        (16, "`backends[0].url` must be an http:// or https:// URL with a host"),
        (18, "`backends[0].arms` must be greater than 0"),
        (19, "`backends[1].name` repeats an earlier entry's: each name must be its own"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("listen: 127.0.0.1:8080", "listen: 127.0.0.1", 1, "`listen` must be host:port"),
        ("127.0.0.1:8080", "127.0.0.1:65536", 1, "`listen` must be host:port"),
        ("https://gateway.example.com", "gateway.example.com", 2, "`public_url` must be an https:// URL"),
        ("https://gateway.example.com", "http://gateway.example.com", 2, "unless its host is this machine"),
        ("https://gateway.example.com", "https://gateway.example.com/x", 2, "scheme and host alone"),
        ("https://gateway.example.com", "https://a:b@gateway.example.com", 2, "scheme and host alone"),
        ("policies: policies", "policies: nowhere", 3, "`policies` must name a directory"),
        ("sqlite:///var/audit.db", "var/audit.db", 4, "`database` must be a database URL"),
        ("sqlite:///var/audit.db", "mysql://db.example.com/audit", 4, "`database` must be a sqlite:/// URL"),
        ("sqlite:///var/audit.db", "sqlite://", 4, "kept in memory"),
        ("sqlite:///var/audit.db", '"sqlite:///:memory:"', 4, "kept in memory"),
        ("gateway.example.com/audit", "gateway+audit", 6, "`audit.origin` must be 1 to 200 printable"),
        ("gateway.example.com/audit", '"the audit log"', 6, "`audit.origin` must be 1 to 200 printable"),
        ("https://sso.example.com", "http://sso.example.com", 11, "`identity.providers[0].issuer`"),
        ("[portcullis]", "portcullis", 12, "`identity.providers[0].audiences` must be a list"),
        ("name: robots", 'name: "-"', 14, "`backends[0].name`: the name `-` is reserved for the gateway's own API"),
        ("name: robots", "name: Robots", 14, "`backends[0].name` must be 1 to 63 lower-case letters, digits and `-`"),
        ("environment: prod", "environment: Prod EU", 17, "`backends[0].environment` must be 1 to 63 lower-case"),
        ("adapter: robot", "adapter: robots", 15, "`backends[0].adapter` is no known adapter: choose one of robot"),
        ("http://127.0.0.1:9000", "http://u:p@127.0.0.1:9000", 16, "must hold no credential"),
        ("environment: prod", "enviroment: prod", 17, "did you mean `environment`?"),
        ("audit:\n", "audit: yes\nx:\n", 5, "`audit` must be a mapping"),
    ],
)
def test_a_wrong_value_is_told_where_it_stands(place: Path, old: str, new: str, line: int, message: str) -> None:
    found = findings(place, GOOD.replace(old, new, 1))
    assert any(at == line and message in text for at, text in found), found


def test_an_unknown_adapter_does_not_make_its_keys_unknown(place: Path) -> None:
    assert len(findings(place, GOOD.replace("adapter: robot", "adapter: ruby") + "    arms: 1\n")) == 1


def test_two_providers_of_one_name_or_issuer_are_refused(place: Path) -> None:
    second = "    - {name: corp, issuer: 'https://sso.example.com', audiences: [x]}\n"
    assert findings(place, GOOD.replace("backends:\n", second + "backends:\n")) == [
        (13, "`identity.providers[1].issuer` repeats an earlier entry's: each issuer must be its own"),
        (13, "`identity.providers[1].name` repeats an earlier entry's: each name must be its own"),
    ]


def test_a_secret_in_the_file_is_refused_and_never_repeated(place: Path) -> None:
    secret = "hunter2hunter2"
    text = GOOD.replace("backends:\n", f"      client_secret: {secret}\nbackends:\n")
    text += f"    credential: {{kind: token, token: {secret}}}\n    password: {secret}\n"
    found = findings(place, text)
    assert found[0][0] == 13
    assert "`identity.providers[0].client_secret` would put a secret into this file" in found[0][1]
    assert any(
        "`backends[0].credential.token` would put a secret into this file: use `token_file`" in t for _, t in found
    )
    assert any("`backends[0].password` is not a known key; secrets never stand in this file" in t for _, t in found)
    assert secret not in str(found)


def test_a_secret_in_the_place_of_its_name_is_never_repeated(place: Path) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG"
    found = findings(place, GOOD + f"    credential: {{kind: key, key_env: {secret}}}\n")
    assert found == [
        (18, "`backends[0].credential.key_env` must be the name of an environment variable, not the secret itself")
    ]
    unset = findings(place, GOOD + "    credential: {kind: key, key_env: PORTCULLIS_TEST_UNSET}\n")
    assert unset == [(18, "`backends[0].credential.key_env` names an environment variable that is not set")]


def test_files_that_are_missing_empty_or_unreadable_are_told_apart(place: Path) -> None:
    (place / "audit.key").write_text("")
    assert findings(place, GOOD) == [(7, "`audit.signing_key_file` names an empty file")]
    found = findings(place, GOOD.replace("audit.key", "policies"))
    assert found == [(7, "`audit.signing_key_file` names a file that can't be read: Is a directory")]
    assert load(place, GOOD.replace("audit.key", "none"), check_inputs=False).policies == place / "policies"


def test_a_signing_key_that_can_not_sign_or_is_not_secret_is_told(place: Path) -> None:
    key = place / "audit.key"
    for mode in (0o660, 0o604, 0o601):
        key.chmod(mode)
        ((line, message),) = findings(place, GOOD)
        assert line == 7
        assert message.startswith("`audit.signing_key_file` names a key that others may use or change: `chmod 600` it")
    key.chmod(0o440)
    assert load(place, GOOD).audit.signing_key_file == key, "as an orchestrator mounts it for a group"
    key.chmod(0o600)
    key.write_text("hunter2")
    ((line, message),) = findings(place, GOOD)
    assert line == 7
    assert message.startswith("`audit.signing_key_file` can't be used: not an unencrypted PEM PKCS#8 private key")
    assert load(place, GOOD, check_inputs=False).audit.signing_key_file == key


def test_a_missing_database_is_told_only_where_it_is_asked_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway starts without its database and answers 503 until it is there."""
    assert load(place, GOOD).database == f"sqlite:///{place}/var/audit.db"
    with pytest.raises(ConfigError) as caught:
        load(place, GOOD.replace("listen: 127.0.0.1:8080", "listen: 1"), check_database=True)
    listen, database = caught.value.findings
    assert (listen.line, database.line) == (1, 4)
    assert database.message.startswith("`database` names a file that does not exist")
    assert "`portcullis init DIR` makes one" in database.message
    (place / "var").mkdir()
    (place / "var/audit.db").touch()
    load(place, GOOD, check_database=True)
    monkeypatch.setenv("PORTCULLIS_DATABASE", "sqlite:///elsewhere.db")
    with pytest.raises(ConfigError, match=r"^environment variable PORTCULLIS_DATABASE: `database` names a file"):
        load(place, GOOD, check_database=True)


def test_keys_of_the_users_own_are_neither_paths_nor_variables(place: Path) -> None:
    """A route's query may have a parameter called `upload_file`; only declared keys name files."""
    settings = load(place, GOOD + "    query: {upload_file: no/such/file, x_env: NOT SET, policies: x}\n")
    (backend,) = settings.backends
    assert isinstance(backend, RobotSettings)
    assert backend.query == {"upload_file": "no/such/file", "x_env": "NOT SET", "policies": "x"}


def test_the_environment_overrides_the_file_and_is_named_in_errors(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_LISTEN", "0.0.0.0:9999")
    monkeypatch.setenv("PORTCULLIS_DATABASE", "sqlite:////srv/audit.db")
    settings = load(place, GOOD)
    assert (settings.listen_port, settings.database) == (9999, "sqlite:////srv/audit.db")
    monkeypatch.setenv("PORTCULLIS_LISTEN", "everywhere")
    with pytest.raises(ConfigError, match=r"^environment variable PORTCULLIS_LISTEN: `listen` must be host:port"):
        load(place, GOOD)


def test_a_backend_and_a_provider_are_needed(place: Path) -> None:
    text = GOOD[: GOOD.index("backends:")] + "backends: []\n"
    assert findings(place, text)[0][0] == 13
    assert [line for line, _ in findings(place, "{}")] == [1] * 7


def everything(place: Path) -> str:
    """A file that uses the adapters as they ship."""
    (place / "secret").write_text("s\n")
    robots = "  - name: robots\n    adapter: robot\n"
    route = '{methods: [GET], path: "/p/{project}", resource: "{project}", action: read}'
    return GOOD.replace(robots, "  - name: deploy\n    adapter: http\n") + f"    routes: [{route}]\n"


def test_the_schema_of_the_shipped_adapters_accepts_what_loads(place: Path) -> None:
    text = everything(place)
    (place / "portcullis.yaml").write_text(text)
    load_settings(place / "portcullis.yaml", ADAPTERS)
    schema = settings_schema(ADAPTERS)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    for wrong in (text.replace("listen", "listens"), text.replace("adapter: http", "adapter: ftp")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(wrong), schema)


def test_the_starting_file_of_init_loads(place: Path) -> None:
    starter = Path(__file__).parents[2] / "gateway/cli/starter/portcullis.yaml"
    (place / "portcullis.yaml").write_text(starter.read_text())
    assert load_settings(place / "portcullis.yaml", ADAPTERS, check_inputs=False).backends[0].name == "deploy-staging"


def keys_of(schema: Mapping[str, Any]) -> set[str]:
    definitions = [schema, *schema["$defs"].values()]
    return {key for definition in definitions for key in definition.get("properties", {})}


def patterned(schema: object, key: str = "") -> set[str]:
    """The keys whose text has to match a pattern."""
    found: set[str] = set()
    for name, below in schema.items() if isinstance(schema, dict) else ():
        if name == "pattern" and isinstance(below, str):
            found.add(key)
        elif name in {"properties", "$defs"}:
            for inner, declared in below.items():
                found |= patterned(declared, inner)
        else:
            for part in below if isinstance(below, list) else [below]:
                found |= patterned(part, key)
    return found


def test_no_error_shows_a_regular_expression() -> None:
    assert patterned(settings_schema(ADAPTERS)) == set(PATTERN_WORDS)


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()
    missing = sorted(key for key in keys_of(settings_schema(ADAPTERS)) if f"`{key}`" not in page)
    assert missing == []
    for override in ("LISTEN", "PUBLIC_URL", "POLICIES", "DATABASE"):
        assert f"`PORTCULLIS_{override}`" in page


def test_the_examples_of_the_page_load(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()
    examples = [block.split("```")[0] for block in page.split("```yaml\n")[1:]]
    assert examples
    for example in examples:
        (place / "portcullis.yaml").write_text(example)
        load_settings(place / "portcullis.yaml", ADAPTERS, check_inputs=False)
    assert json.dumps(settings_schema(ADAPTERS))
