"""A login is kept whole or not at all, for its owner alone."""

import fcntl
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.output import CommandError
from gateway.cli.token_store import Login, TokenStore

LOGIN = Login(
    gateway="https://gateway.example.com",
    issuer="https://gateway.example.com",
    token="a-token",
    expires_at=1_795_459_600,
    refresh_token="a-refresh-token",
)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "state" / "portcullis", "file")


def kept_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "state" / "portcullis").glob("login-*")
    return path


def test_each_gateway_has_its_own_login(store: TokenStore) -> None:
    other = replace(LOGIN, gateway="https://other.example.com", token="another")
    assert store.load(LOGIN.gateway) is None
    assert store.last_gateway() is None
    store.add(LOGIN)
    store.add(other)
    assert store.load(LOGIN.gateway) == LOGIN
    assert store.load(other.gateway) == other
    assert store.last_gateway() == other.gateway
    assert store.remove(other.gateway)
    assert not store.remove(other.gateway)
    assert store.load(LOGIN.gateway) == LOGIN


def test_the_file_is_the_owners_alone_whatever_the_umask(store: TokenStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.add(LOGIN)
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept_file(tmp_path).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_file_that_others_can_touch_is_refused(store: TokenStore, tmp_path: Path, mode: int) -> None:
    store.add(LOGIN)
    kept_file(tmp_path).chmod(mode)
    with pytest.raises(CommandError, match="portcullis logout"):
        store.load(LOGIN.gateway)
    assert store.load(LOGIN.gateway, exposed=True) == LOGIN


def test_a_file_of_somebody_else_is_refused(store: TokenStore, tmp_path: Path) -> None:
    store.add(LOGIN)
    another = TokenStore(tmp_path / "state" / "portcullis", owner=os.geteuid() + 1)
    with pytest.raises(CommandError, match="belongs to somebody else"):
        another.load(LOGIN.gateway)


def test_a_link_is_not_followed(store: TokenStore, tmp_path: Path) -> None:
    store.add(LOGIN)
    kept = kept_file(tmp_path)
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match="can't be read"):
        store.load(LOGIN.gateway)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"gateway": 1}',
        '{"gateway": "x", "issuer": "x", "expires_at": "now", "token": "x"}',
        "\xff",
    ],
)
def test_a_damaged_file_says_what_to_do(store: TokenStore, tmp_path: Path, text: str) -> None:
    store.add(LOGIN)
    kept_file(tmp_path).write_text(text, "latin-1")
    with pytest.raises(CommandError, match="is damaged: run `portcullis login` again"):
        store.load(LOGIN.gateway)


def test_a_write_that_fails_leaves_the_old_login(store: TokenStore, tmp_path: Path) -> None:
    store.add(LOGIN)
    with pytest.raises(TypeError):
        store.renew(replace(LOGIN, token=b"not text"))  # type: ignore[arg-type]
    assert store.load(LOGIN.gateway) == LOGIN
    assert not list((tmp_path / "state/portcullis").glob(".new-*"))


def test_a_login_of_an_older_version_is_read(store: TokenStore, tmp_path: Path) -> None:
    """The file's compatibility rule: unknown fields are ignored, and tokens are in the file by default."""
    store.add(LOGIN)
    older = {
        "gateway": LOGIN.gateway,
        "provider": "corp",
        "issuer": LOGIN.issuer,
        "client_id": "portcullis",
        "scopes": ["openid"],
        "token": LOGIN.token,
        "expires_at": LOGIN.expires_at,
        "refresh_token": LOGIN.refresh_token,
    }
    kept_file(tmp_path).write_text(json.dumps(older))
    assert store.load(LOGIN.gateway) == LOGIN


def test_only_one_renews_at_a_time(store: TokenStore, tmp_path: Path) -> None:
    with (
        store.exclusive(),
        (tmp_path / "state/portcullis/lock").open("w") as another,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "state/portcullis/lock").open("w") as another:
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
