"""The settings of a provider: nothing unsafe is the default, and nothing unsafe is accepted."""

from typing import Any

import pytest
from pydantic import ValidationError

from identity.provider_settings import ProviderSettings, provider_conflicts

FIELDS: dict[str, Any] = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"]}


def _settings(**changes: Any) -> ProviderSettings:
    return ProviderSettings.model_validate(FIELDS | changes)


def test_the_defaults_are_the_strict_ones() -> None:
    settings = _settings()
    assert settings.algorithms == ("RS256", "ES256")
    assert settings.accept_id_tokens is False
    assert settings.username_claim == "sub"
    assert settings.groups_claim is None
    assert settings.email_domains == ()
    assert settings.leeway_s == 60


@pytest.mark.parametrize(
    "issuer",
    [
        "https://sso.example.com/",
        "https://sso.example.com/realms/dev",
        "http://127.0.0.1:9000",
        "http://localhost:1",
        "http://[::1]:1",
    ],
)
def test_an_issuer_is_https_or_on_this_machine_and_kept_as_it_is(issuer: str) -> None:
    assert _settings(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://sso.example.com"},
        {"issuer": "http://127.0.0.1.example.com"},
        {"issuer": "http://localhost.example.com"},
        {"issuer": "http://localhost@example.com"},
        {"issuer": "https://user:secret@sso.example.com"},
        {"issuer": "https://user@sso.example.com"},
        {"issuer": "https://sso.example.com?x=1"},
        {"issuer": "https://sso.example.com#x"},
        {"issuer": "https://sso.example.com:port"},
        {"issuer": "https://sso.ex\u0430mple.com"},
        {"issuer": "https://sso.example.com "},
        {"issuer": "file:///etc/passwd"},
        {"issuer": "sso.example.com"},
        {"issuer": ""},
        {"audiences": []},
        {"audiences": [""]},
        {"algorithms": []},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": ["RS256", "rs256"]},
        {"name": "Corp"},
        {"name": "corp:dev"},
        {"name": "corp\n"},
        {"leeway_s": 301},
        {"leeway_s": -1},
        {"scopes": ["email"]},
        {"email_domains": ["Example.com"]},
        {"email_domains": ["*.example.com"]},
        {"client_secret_file": "secret"},
        {"accept_id_tokens": True},
        {"accept_id_tokens": True, "client_id": "another"},
        {"client_secret": "in the open"},
    ],
)
def test_what_would_weaken_the_checks_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        _settings(**changes)
    assert len(caught.value.errors()) == 1


def test_id_tokens_can_be_accepted_on_purpose() -> None:
    assert _settings(accept_id_tokens=True, client_id="portcullis").accept_id_tokens


def test_two_providers_share_neither_name_nor_issuer() -> None:
    other = _settings(name="partner", issuer="https://partner.example.com")
    assert provider_conflicts([_settings(), other]) == ()
    conflicts = provider_conflicts(
        [_settings(), other, _settings(name="again"), _settings(issuer="https://x.example.com")]
    )
    assert [index for index, _ in conflicts] == [2, 3]
