"""Names that are safe in a policy, and e-mail addresses that are believed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.accounts import (
    account_subject,
    group_subjects,
    is_safe_name,
    linkable_email,
    normalise_email,
    username,
    verified_email,
)
from identity.authenticator import InvalidCredentialError
from identity.provider_settings import ProviderSettings


def _settings(**changes: Any) -> ProviderSettings:
    fields = {
        "name": "corp",
        "issuer": "https://corp.example.com",
        "audiences": ["portcullis"],
        "groups_claim": "groups",
    }
    return ProviderSettings.model_validate(fields | changes)


@pytest.mark.parametrize(
    "name", ["dev", "auth0|5f7c", "/platform/team", "alice@example.com", "a-b_c.d~e", "CN=dev", "repo:x"]
)
def test_the_names_providers_use_are_safe(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name", ["", "*", "dev*", "a,b", "a b", "a\n", "\ndev", "a\tb", 'a"b', "#a", "caf\u00e9", "x" * 256, "a\0"]
)
def test_what_could_mean_more_than_itself_in_a_policy_is_not_safe(name: str) -> None:
    assert not is_safe_name(name)


def test_groups_are_namespaced_unsafe_ones_dropped_and_repeats_merged() -> None:
    groups = ["dev", "on call", "dev", "a,b", "*", 7, "ops\n", "ops"]
    assert group_subjects(groups, _settings()) == ("group:corp:dev", "group:corp:ops")
    assert group_subjects("dev", _settings()) == ("group:corp:dev",)
    assert group_subjects(None, _settings()) == ()


def test_groups_of_another_form_refuse_the_token() -> None:
    with pytest.raises(InvalidCredentialError) as caught:
        group_subjects({"dev": True}, _settings())
    assert caught.value.code == "malformed_claim"


@pytest.mark.parametrize("value", ["alice smith", "*", "alice\n", "", None, 7, ["alice"], "a,b", "\u0430lice"])
def test_an_unsafe_user_name_refuses_the_token(value: object) -> None:
    with pytest.raises(InvalidCredentialError) as caught:
        username({"sub": "x", "preferred_username": value}, _settings(username_claim="preferred_username"))
    assert caught.value.code == "unusable_username"


def test_an_unlinked_account_is_never_a_person() -> None:
    assert account_subject("corp", "alice") == "user:corp:alice"
    assert account_subject("corp", "alice").count(":") == 2


@pytest.mark.parametrize(
    "address",
    [
        "a@evil.com@corp.com",
        "alice@example.com\n",
        " alice@example.com",
        "alice@ex\u0430mple.com",
        "\u0430lice@example.com",
        "alice@example\u3002com",
        "\u212alice@example.com",
        '"alice@evil.com"@example.com',
        "alice@[127.0.0.1]",
        "alice@example",
        "alice@.example.com",
        "alice@example..com",
        "alice@-example.com",
        ".alice@example.com",
        "alice.@example.com",
        "al ice@example.com",
        "<alice@example.com>",
        "alice@example.com, bob@example.com",
        "@example.com",
        "alice@",
        "alice",
        "",
        "a" * 250 + "@example.com",
    ],
)
def test_what_is_not_one_plain_ascii_address_is_no_address(address: str) -> None:
    """SECURITY-CASES 21: two `@`, Unicode look-alikes."""
    assert normalise_email(address) is None


@given(st.text(max_size=30))
def test_a_normalised_address_has_one_at_is_ascii_and_stays_as_it_is(text: str) -> None:
    for address in (text, f"{text}@example.com", f"alice@{text}"):
        normal = normalise_email(address)
        if normal is not None:
            assert normal.isascii()
            assert normal.count("@") == 1
            assert normal == normal.lower() == normalise_email(normal)
            assert normal == address.lower()


@pytest.mark.parametrize("verified", [False, None, "true", 1, "yes"])
def test_an_unverified_address_never_matches_a_person(verified: object) -> None:
    """SECURITY-CASES 21: unverified e-mail addresses."""
    claims = {"email": "alice@example.com", "email_verified": verified}
    assert verified_email(claims) is None
    assert linkable_email(claims, _settings(email_domains=["example.com"])) is None


def test_an_address_links_only_in_the_domains_its_provider_is_trusted_for() -> None:
    claims = {"email": "Alice@Example.COM", "email_verified": True}
    assert linkable_email(claims, _settings(email_domains=["example.com"])) == "alice@example.com"
    assert linkable_email(claims, _settings()) is None
    for domain in ("corp.example.com", "ample.com", "example.org"):
        assert linkable_email(claims, _settings(email_domains=[domain])) is None


def test_an_email_as_user_name_is_verified_and_of_a_trusted_domain() -> None:
    claims = {"sub": "1", "email": "Alice@example.com", "email_verified": True}
    assert username(claims, _settings(username_claim="email")) == "alice@example.com"
    refused: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (claims | {"email_verified": False}, {}),
        (claims, {"email_domains": ["example.org"]}),
        (claims | {"email": "al*ice@example.com"}, {}),
    ]
    for case, changes in refused:
        with pytest.raises(InvalidCredentialError) as caught:
            username(case, _settings(username_claim="email", **changes))
        assert caught.value.code == "unusable_username"
