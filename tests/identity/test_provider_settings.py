"""The settings of a provider: nothing unsafe is the default, and nothing unsafe is accepted."""

from typing import Any

import pytest
from pydantic import ValidationError

from identity.provider_settings import ProviderSettings, provider_conflicts

FIELDS: dict[str, Any] = {"name": "corp", "issuer": "https://sso.example.com", "audiences": ["portcullis"]}

INTROSPECTION = {"client_id": "ci", "client_secret_env": "SECRET"}


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


@pytest.mark.parametrize("path", ["openid-configuration", "openid-configuration/", "oauth-authorization-server"])
def test_an_issuer_that_is_the_address_of_its_metadata_is_told_what_to_leave_off(path: str) -> None:
    with pytest.raises(ValidationError, match=f"leave off /.well-known/{path.rstrip('/')}"):
        _settings(issuer=f"https://sso.example.com/realms/dev/.well-known/{path}")


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
        {"client_secret_env": "SECRET"},
        {"client_auth": "none"},
        {"client_id": "portcullis", "client_auth": "none", "client_secret_env": "SECRET"},
        {"client_id": "portcullis", "client_auth": "client_secret_post"},
        {"client_id": "portcullis", "client_auth": "private_key_jwt"},
        {"client_id": "portcullis", "client_secret_env": "SECRET", "client_secret_file": "secret"},
        {"cli_client_id": "portcullis-cli"},
        {"proxy_url": "proxy:3128"},
        {"proxy_url": "socks5://proxy:1080"},
        {"proxy_url": "http://user:secret@proxy:3128"},
        {"proxy_url": "http://proxy:3128/path"},
        {"proxy_url": "http://proxy:port"},
        {"proxy_url": "http://proxy:3128", "issuer": "http://127.0.0.1:9000"},
        {"proxy_url": "http://proxy:3128", "issuer": "spiffe://example.org", "jwks_uri": "http://127.0.0.1:1/keys"}
        | {"tokens": "workloads"},
        {"jwks_uri": "http://sso.example.com/jwks"},
        {"jwks_uri": "http://127.0.0.1/jwks"},
        {"jwks_uri": "https://sso.example.com/jwks", "jwks_file": "keys.json"},
        {"jwks_uri": "https://sso.example.com/jwks", "client_id": "portcullis"},
        {"jwks_file": "keys.json", "introspection": INTROSPECTION},
        {"introspection": {}},
        {"introspection": {"client_id": "ci"}},
        {"introspection": {"client_secret_env": "SECRET"}},
        {"introspection": {**INTROSPECTION, "cache_s": 0}},
        {"introspection": {**INTROSPECTION, "token_prefix": ""}},
        {"introspection": {**INTROSPECTION, "token_prefix": "a b"}},
        {"scim": {}},
        {"scim": {"token_env": "T", "token_file": "t"}},
        {"scim": {"token_env": "T", "attribute": "emails"}},
        {"groups_claim": "/a~2b"},
        {"groups_overage": "ignore"},
        {"tokens": "machines"},
        {"tokens": "workloads", "client_id": "portcullis"},
        {"tokens": "workloads", "email_domains": ["example.com"]},
        {"tokens": "workloads", "groups_claim": "groups"},
        {"tokens": "workloads", "scim": {"token_env": "T"}},
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


def test_the_gateways_own_client_may_be_public_or_confidential() -> None:
    public = _settings(client_id="portcullis")
    assert (public.has_login, public.has_client_secret) == (True, False)
    secret = _settings(client_id="portcullis", client_secret_env="SECRET", client_auth="client_secret_post")
    assert (secret.has_login, secret.has_client_secret) == (True, True)
    assert not _settings().has_login


def test_null_is_as_good_as_nothing() -> None:
    assert _settings(jwks_uri=None, proxy_url=None, groups_claim=None, introspection=None).has_discovery


SPIFFE = {"issuer": "spiffe://example.org", "tokens": "workloads", "jwks_file": "bundle.json"}


def test_a_spiffe_trust_domain_is_a_provider_of_workloads() -> None:
    settings = _settings(**SPIFFE)
    assert settings.trust_domain == "example.org"
    assert not settings.has_discovery
    assert not settings.has_login
    assert _settings().trust_domain is None


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"issuer": "spiffe://example.org/workload"}, "a trust domain alone"),
        ({"issuer": "spiffe://Example.org"}, "a trust domain alone"),
        ({"tokens": "people"}, "add tokens: workloads"),
        ({"jwks_file": None}, "needs jwks_uri or jwks_file"),
        ({"algorithms": ["EdDSA"]}, "remove it from algorithms"),
        ({"client_id": "portcullis", "accept_id_tokens": True}, "remove accept_id_tokens"),
    ],
)
def test_what_a_spiffe_trust_domain_can_not_have_is_refused_with_the_remedy(
    changes: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ValidationError, match=remedy):
        _settings(**{**SPIFFE, "audiences": ["portcullis"], **changes})


def test_every_contradiction_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        _settings(tokens="workloads", email_domains=["example.com"], groups_claim="groups", client_auth="none")
    (error,) = caught.value.errors()
    for key in ("client_auth need client_id", "email_domains means nothing", "groups_claim means nothing"):
        assert key in error["msg"]


def _introspecting(name: str, token_prefix: str | None) -> ProviderSettings:
    introspection = {**INTROSPECTION, "token_prefix": token_prefix}
    return _settings(name=name, issuer=f"https://{name}.example.com", introspection=introspection)


@pytest.mark.parametrize(
    ("prefixes", "conflicting"),
    [
        ([None], []),
        (["corp_", "partner_"], []),
        ([None, "partner_"], [1]),
        (["corp_", None], [1]),
        (["corp_", "corp_x"], [1]),
        (["corp_x", "corp_"], [1]),
        (["corp_", "partner_", "corp_"], [2]),
    ],
)
def test_no_token_could_be_shown_to_two_providers(prefixes: list[str | None], conflicting: list[int]) -> None:
    """SECURITY-CASES 20: whoever is asked about a token can use it."""
    providers = [_introspecting(f"p{number}", prefix) for number, prefix in enumerate(prefixes)]
    assert [index for index, _ in provider_conflicts(providers)] == conflicting


def test_two_providers_share_neither_name_nor_issuer() -> None:
    other = _settings(name="partner", issuer="https://partner.example.com")
    assert provider_conflicts([_settings(), other]) == ()
    conflicts = provider_conflicts(
        [_settings(), other, _settings(name="again"), _settings(issuer="https://x.example.com")]
    )
    assert [index for index, _ in conflicts] == [2, 3]
