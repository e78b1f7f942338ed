"""Tokens go to the OS keyring where there is one, to a file where not, and never silently elsewhere than was chosen."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.output import CommandError
from gateway.cli.token_store import TokenStore
from tests.gateway.cli.conftest import BROWSER, Run, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway
from tests.gateway.cli.file_keyring import MODULE
from tests.gateway.cli.test_token_store import LOGIN


@pytest.fixture
def secrets(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's keyring: the file that their secrets are in."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{MODULE}.FileKeyring")
    monkeypatch.setenv("TEST_KEYRING", str(tmp_path / "keyring.json"))
    return tmp_path / "keyring.json"


def stored(home: Path, place: str = "auto") -> TokenStore:
    return TokenStore(home / "portcullis", place)  # type: ignore[arg-type]


def kept_file(home: Path) -> str:
    (path,) = home.rglob("login-*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path.read_text()


def test_a_login_s_tokens_are_in_the_keyring_and_nowhere_else(
    secrets: Path, home: Path, run: Run, fake_gateway: FakeGateway
) -> None:
    done = finish(start("login", "--gateway", fake_gateway.url, browser=BROWSER))
    assert done.code == 0, done.err
    found = json.loads(secrets.read_text())
    access, refresh = (f"portcullis/{fake_gateway.url} {kind} token" for kind in ("access", "refresh"))
    assert run("token").out == f"{found[access]}\n"
    assert set(found) == {access, refresh}
    everything = "".join(path.read_text() for path in home.rglob("*") if path.is_file())
    assert found[access] not in everything
    assert found[refresh] not in everything
    assert run("logout").code == 0
    assert json.loads(secrets.read_text()) == {}


def test_a_renewed_login_stays_in_the_keyring(secrets: Path, home: Path) -> None:
    store = stored(home)
    store.add(LOGIN)
    renewal = replace(LOGIN, token="another", refresh_token="another-refresh-token", expires_at=7)
    store.renew(renewal)
    assert store.load(LOGIN.gateway) == renewal
    assert "another" not in kept_file(home)


def test_a_login_without_renewal_leaves_no_old_refresh_token(secrets: Path, home: Path) -> None:
    store = stored(home)
    store.add(LOGIN)
    store.add(replace(LOGIN, refresh_token=None))
    loaded = store.load(LOGIN.gateway)
    assert loaded is not None
    assert loaded.refresh_token is None


@pytest.mark.parametrize(
    "backend",
    ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "keyring.backends.chainer.ChainerBackend"],
)
def test_a_keyring_that_keeps_nothing_is_none(home: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    store = stored(home)
    store.check()
    store.add(LOGIN)
    assert "a-refresh-token" in kept_file(home)
    assert store.load(LOGIN.gateway) == LOGIN


def test_a_chosen_keyring_that_is_not_there_ends_the_login_before_the_browser(
    home: Path, run: Run, fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN_STORE", "keyring")
    done = run("login", "--gateway", fake_gateway.url)
    assert done.code == 2
    assert "there is no OS keyring here" in done.err
    assert "set PORTCULLIS_TOKEN_STORE=file" in done.err
    assert fake_gateway.asked == []


def test_a_chosen_keyring_that_stays_locked_is_never_replaced_by_a_file(
    secrets: Path, home: Path, run: Run, fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTCULLIS_TOKEN_STORE", "keyring")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{MODULE}.LockedKeyring")
    done = run("login", "--gateway", fake_gateway.url)
    assert done.code == 2
    assert "the OS keyring can't be used (Failed to unlock the collection!): unlock it and try again" in done.err
    with pytest.raises(CommandError, match="can't be used"):
        stored(home, "keyring").add(LOGIN)
    assert not list(home.rglob("login-*"))


def test_a_keyring_that_nobody_chose_is_replaced_by_a_file_and_that_is_said(
    secrets: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{MODULE}.LockedKeyring")
    store = stored(home)
    store.add(LOGIN)
    assert "The login is kept in a file of mode 0600 instead" in capsys.readouterr().err
    assert store.load(LOGIN.gateway) == LOGIN


def test_a_token_too_large_for_the_keyring_goes_to_the_file_whole(
    secrets: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither half of it stays behind in the keyring."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{MODULE}.SmallKeyring")
    store = stored(home)
    large = replace(LOGIN, token="x" * 2000)
    store.add(large)
    assert store.load(LOGIN.gateway) == large
    assert json.loads(secrets.read_text()) == {}


def test_a_login_in_a_keyring_that_is_out_of_reach_says_what_to_do(
    secrets: Path, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over SSH, after a login at the desktop."""
    stored(home).add(LOGIN)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for command in ("token", "logout"):
        done = run(command)
        assert done.code == 2
        assert "run this inside a desktop session, or set PORTCULLIS_TOKEN_STORE=file" in done.err
    assert "a-token" in secrets.read_text()


def test_a_login_under_auto_is_renewed_where_it_is(secrets: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login over SSH, in the file, is not moved to the desktop's keyring, where SSH would not find it again."""
    stored(home, "file").add(LOGIN)
    stored(home).renew(replace(LOGIN, token="another"))
    assert "another" in kept_file(home)
    assert not secrets.exists()


@pytest.mark.parametrize(("first", "then"), [("file", "keyring"), ("keyring", "file")])
def test_a_choice_moves_the_login_at_its_next_renewal(secrets: Path, home: Path, first: str, then: str) -> None:
    stored(home, first).add(LOGIN)
    assert stored(home, then).load(LOGIN.gateway) == LOGIN
    renewal = replace(LOGIN, token="another")
    stored(home, then).renew(renewal)
    assert stored(home, first).load(LOGIN.gateway) == renewal
    assert ("another" in kept_file(home)) is (then == "file")
    assert ("another" in secrets.read_text()) is (then == "keyring")
    assert "a-refresh-token" not in (kept_file(home) if then == "keyring" else secrets.read_text())


def test_a_login_that_the_keyring_lost_says_so(secrets: Path, home: Path) -> None:
    store = stored(home)
    store.add(LOGIN)
    secrets.write_text("{}")
    with pytest.raises(CommandError, match=r"does not hold the login .* any more: run `portcullis login`"):
        store.load(LOGIN.gateway)
    assert store.remove(LOGIN.gateway)


def test_a_crash_between_the_two_entries_leaves_what_renews_the_login(secrets: Path, home: Path) -> None:
    store = stored(home)
    store.add(LOGIN)
    with pytest.raises(TypeError):
        store.renew(replace(LOGIN, refresh_token="the-next", token=b"not text"))  # type: ignore[arg-type]
    loaded = store.load(LOGIN.gateway)
    assert loaded is not None
    assert (loaded.token, loaded.refresh_token) == (LOGIN.token, "the-next")


@pytest.mark.parametrize("backend", ["nowhere.Keyring", "keyring.backends.Nothing"])
def test_a_backend_that_is_named_and_not_there_is_told(
    home: Path, run: Run, fake_gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", backend)
    done = run("login", "--gateway", fake_gateway.url)
    assert done.code == 2
    assert "PYTHON_KEYRING_BACKEND or keyringrc.cfg names can't be used" in done.err
    assert fake_gateway.asked == []
