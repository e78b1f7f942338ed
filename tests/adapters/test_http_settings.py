"""A wrong HTTP backend is refused when the configuration is read, at the field that is wrong."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.http import HttpAdapter, HttpSettings
from identity.secret import SecretError, read_secret

GOOD: dict[str, Any] = {"methods": ["GET"], "path": "/a/{b}", "resource": "{b}", "action": "read"}


def settings(**changes: Any) -> HttpSettings:
    entry: dict[str, Any] = {"name": "api", "url": "http://127.0.0.1:1", "environment": "prod", "routes": [GOOD]}
    return HttpSettings.model_validate({**entry, **changes})


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("methods", ["get"], "upper-case"),
        ("methods", ["CONNECT"], "never forwarded"),
        ("methods", ["GET", "GET"], "twice"),
        ("methods", [], "at least 1"),
        ("path", "a", "begin with"),
        ("path", "/a//b", "empty segment"),
        ("path", "/a/**/b", "no template"),
        ("path", "/a/*", "no template"),
        ("path", "/a/{b}{c}", "no template"),
        ("path", "/a/{B}", "no template"),
        ("path", "/a/../b", "never reach"),
        ("path", "/a%20b", "decoded"),
        ("path", "/a?b=c", "no template"),
        ("path", "/{b}/{b}", "twice"),
        ("resource", "", "must not be empty"),
        ("resource", "/{b}", "empty segment"),
        ("resource", "{b}/", "must not be empty"),
        ("resource", "{c}", "no variable"),
        ("resource", "x/**", "no value"),
        ("resource", "{b**}", "no variable"),
        ("resource", "*", "no template"),
        ("action", "read *", "pattern"),
        ("query", {"q": "{a}{b}"}, "no template"),
        ("query", {"q": "{b}"}, "two values"),
        ("body", {"method": 1.5}, "valid"),
        ("extra", 1, "Extra inputs"),
    ],
)
def test_a_wrong_route_is_refused_at_its_field(field: str, value: object, text: str) -> None:
    """Each mistake in a route is one error at that route's field, and the text says what to write."""
    with pytest.raises(ValidationError, match=text) as raised:
        settings(routes=[GOOD | {field: value}])
    assert raised.value.errors()[0]["loc"][:2] == ("routes", 0)


def test_a_route_that_is_never_reached_is_refused() -> None:
    """Two routes for the same requests can't both be meant."""
    with pytest.raises(ValidationError, match=r"route 2 \(GET /a/\{b\}\) is never reached: route 1"):
        settings(routes=[GOOD, GOOD | {"action": "write"}])
    settings(routes=[GOOD, GOOD | {"query": {"x": "1"}}])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"routes": [GOOD | {"body": {"a": "b"}}]}, "have no body"),
        ({"routes": []}, "at least 1"),
        ({"url": "http://h/a//b"}, "plain segments"),
        ({"url": "http://h/a/../b"}, "plain segments"),
        ({"url": "http://hä/"}, "ASCII"),
        ({"credential": {}}, "exactly one of basic and header"),
        ({"credential": {"basic": {"username": "a"}}}, "exactly one of password_file and password_env"),
        ({"credential": {"basic": {"username": "a:b", "password_env": "P"}}}, "no colon"),
        ({"credential": {"basic": {"username": "a", "password": "secret"}}}, "Extra inputs"),
        ({"credential": {"header": {"name": "Host", "value_env": "P"}}}, "frames or routes"),
        ({"credential": {"header": {"name": "X_Y", "value_env": "P"}}}, "letters, digits"),
        ({"credential": {"header": {"name": "X-Y", "value_env": "P", "prefix": "a\nb"}}}, "pattern"),
        ({"adapter": "aws"}, "Input should be 'http'"),
    ],
)
def test_a_wrong_backend_is_refused(changes: dict[str, Any], text: str) -> None:
    """A backend with a mistake does not load."""
    with pytest.raises(ValidationError, match=text):
        settings(**changes)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot read .*create it"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"one\ntwo\n", "line break"),
        (b"tab\there", "control character"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 70_000, "not a secret"),
    ],
)
def test_an_unusable_secret_file_is_named_with_its_remedy(tmp_path: Path, content: bytes | None, text: str) -> None:
    """SECURITY-CASES 14, 24: a secret that is missing or could forge a header stops the start unseen."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    entry = settings(credential={"header": {"name": "X-Key", "value_file": str(file)}})
    with pytest.raises(SecretError, match=text) as raised:
        HttpAdapter(entry)
    assert "backend api, credential.header.value" in str(raised.value)
    assert str(file) in str(raised.value)
    assert "two" not in str(raised.value)


def test_a_missing_environment_variable_is_named() -> None:
    """The error names the variable."""
    entry = settings(credential={"header": {"name": "X-Key", "value_env": "PORTCULLIS_NO_SUCH_VARIABLE"}})
    with pytest.raises(SecretError, match="PORTCULLIS_NO_SUCH_VARIABLE is not set"):
        HttpAdapter(entry)


def test_a_secret_is_in_no_representation(tmp_path: Path) -> None:
    """SECURITY-CASES 24: neither settings nor adapter nor secret show what they hold."""
    file = tmp_path / "secret"
    file.write_text("hunter2\r\n")
    secret = read_secret("here", file, None)
    entry = settings(credential={"header": {"name": "X-Key", "value_file": str(file)}})
    assert secret.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{secret!r} {secret} {entry!r} {HttpAdapter(entry)!r}"


def test_a_header_value_must_be_plain_ascii(tmp_path: Path) -> None:
    """SECURITY-CASES 14: a header's value never holds what another server decodes differently."""
    file = tmp_path / "secret"
    for text in ("ü", " padded"):
        file.write_text(text)
        with pytest.raises(SecretError, match="ASCII"):
            HttpAdapter(settings(credential={"header": {"name": "X-Key", "value_file": str(file)}}))
