"""How the gateway's client signs in at a provider, by each of the three methods."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from identity.client_credential import introspection_credential, own_credential
from identity.provider_settings import ProviderSettings
from identity.secret import SecretError

FORM = {"grant_type": "refresh_token"}


def _settings(**changes: Any) -> ProviderSettings:
    fields = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"], "client_id": "a:b c"}
    return ProviderSettings.model_validate({name: value for name, value in (fields | changes).items() if value})


def test_each_method_puts_the_secret_where_it_belongs(tmp_path: Path) -> None:
    """RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined by a colon."""
    secret = tmp_path / "secret"
    secret.write_text("s:ü")
    headers, form = own_credential(_settings(client_secret_file=secret)).sign_in(FORM)
    assert headers["Authorization"] == httpx.BasicAuth("a%3Ab+c", "s%3A%C3%BC")._auth_header
    assert form == FORM
    posted = own_credential(_settings(client_secret_file=secret, client_auth="client_secret_post"))
    assert posted.sign_in(FORM) == ({}, {**FORM, "client_id": "a:b c", "client_secret": "s:ü"})
    assert own_credential(_settings()).sign_in(FORM) == ({}, {**FORM, "client_id": "a:b c"})
    assert "s:ü" not in repr(posted)


def test_introspection_may_have_a_client_of_its_own(tmp_path: Path) -> None:
    secret, other = tmp_path / "secret", tmp_path / "other"
    secret.write_text("one")
    other.write_text("two")
    shared = _settings(client_secret_file=secret, introspection={"cache_s": 5})
    assert introspection_credential(shared).secret == "one"
    own = _settings(client_secret_file=secret, introspection={"client_id": "ci", "client_secret_file": other})
    assert (introspection_credential(own).client_id, introspection_credential(own).secret) == ("ci", "two")
    other.unlink()
    with pytest.raises(SecretError, match=r"identity\.providers, corp, introspection\.client_secret: cannot read"):
        introspection_credential(own)


def test_what_is_not_configured_has_no_credential() -> None:
    with pytest.raises(ValueError, match="no client_id"):
        own_credential(_settings(client_id=None))
    with pytest.raises(ValueError, match="does not introspect"):
        introspection_credential(_settings())
