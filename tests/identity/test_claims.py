"""Decision tables for times, audiences and the kind of a token."""

from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError
from identity.claims import check_audience, check_kind, check_lifetime, printable_text, printable_texts, subject
from identity.provider_settings import ProviderSettings
from tests.identity.issuer import NOW


def _settings(**changes: Any) -> ProviderSettings:
    fields = {
        "name": "corp",
        "issuer": "https://corp.example.com",
        "audiences": ["portcullis", "portcullis-web"],
        "client_id": "portcullis-web",
    }
    return ProviderSettings.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": NOW + 1, "iat": NOW}, None),
        ({"exp": NOW - 59, "iat": NOW - 600}, None),
        ({"exp": NOW - 60, "iat": NOW - 600}, "token_expired"),
        ({"exp": NOW + 600, "iat": NOW, "nbf": NOW + 60}, None),
        ({"exp": NOW + 600, "iat": NOW, "nbf": NOW + 61}, "token_not_yet_valid"),
        ({"exp": NOW + 600, "iat": NOW + 61}, "token_not_yet_valid"),
        ({"exp": NOW + 600, "iat": NOW + 61, "nbf": NOW}, "token_not_yet_valid"),
        ({"iat": NOW}, "missing_claim"),
        ({"exp": None, "iat": NOW}, "missing_claim"),
        ({"exp": NOW + 600}, "missing_claim"),
        ({"exp": True, "iat": NOW}, "malformed_claim"),
        ({"exp": float(NOW + 600), "iat": NOW}, "malformed_claim"),
        ({"exp": str(NOW + 600), "iat": NOW}, "malformed_claim"),
        ({"exp": 10**300, "iat": NOW}, "malformed_claim"),
        ({"exp": -1, "iat": NOW}, "malformed_claim"),
        ({"exp": NOW + 600, "iat": NOW, "nbf": "now"}, "malformed_claim"),
        ({"exp": NOW + 600, "iat": [NOW]}, "malformed_claim"),
    ],
)
def test_times_are_whole_seconds_and_hold_with_the_leeway(claims: dict[str, Any], code: str | None) -> None:
    assert _code(lambda: check_lifetime(claims, NOW, 60)) == code


@pytest.mark.parametrize(
    ("audience", "code"),
    [
        ("portcullis", None),
        (["other", "portcullis"], None),
        (None, "missing_claim"),
        ("", "wrong_audience"),
        ([], "wrong_audience"),
        ("portcullis2", "wrong_audience"),
        ("ortculli", "wrong_audience"),
        ("Portcullis", "wrong_audience"),
        ("portcullis ", "wrong_audience"),
        ("other portcullis", "wrong_audience"),
        (["portcullis", 7], "malformed_claim"),
        ([["portcullis"]], "malformed_claim"),
        ({"portcullis": True}, "malformed_claim"),
        (["portcullis"] * 65, "malformed_claim"),
    ],
)
def test_an_audience_is_matched_whole(audience: object, code: str | None) -> None:
    """SECURITY-CASES 19: missing, wrong or substring `aud` fails."""
    assert _code(lambda: check_audience({"aud": audience}, _settings())) == code


ACCESS, ID_TOKEN, OTHER = None, "id_token_not_accepted", "wrong_token_type"


@pytest.mark.parametrize(
    ("typ", "claims", "audience", "code"),
    [
        ("at+jwt", {}, "portcullis", ACCESS),
        ("at+jwt", {"nonce": "n"}, "portcullis-web", ACCESS),
        ("jwt", {}, "portcullis", ACCESS),
        (None, {}, "portcullis", ACCESS),
        ("jwt", {"nonce": "n"}, "portcullis", ID_TOKEN),
        (None, {"at_hash": "h"}, "portcullis", ID_TOKEN),
        ("jwt", {"c_hash": "h", "scope": "openid"}, "portcullis", ID_TOKEN),
        ("jwt", {"s_hash": "h"}, "portcullis", ID_TOKEN),
        ("jwt", {}, "portcullis-web", ID_TOKEN),
        ("jwt", {"scope": "openid"}, "portcullis-web", ACCESS),
        ("jwt", {"scp": "api"}, "portcullis-web", ACCESS),
        ("jwt", {"client_id": "portcullis-web"}, "portcullis-web", ACCESS),
        ("jwt", {"typ": "Bearer", "nonce": "n"}, "portcullis-web", ACCESS),
        ("jwt", {"typ": "ID", "scope": "openid"}, "portcullis", ID_TOKEN),
        ("jwt", {"typ": "Refresh"}, "portcullis", OTHER),
        ("jwt", {"typ": ["Bearer"]}, "portcullis", OTHER),
        ("jwt", {"token_use": "access"}, "portcullis-web", ACCESS),
        ("jwt", {"token_use": "id", "scope": "openid"}, "portcullis", ID_TOKEN),
        ("jwt", {"events": {}}, "portcullis", OTHER),
        ("logout+jwt", {}, "portcullis", OTHER),
        ("dpop+jwt", {}, "portcullis", OTHER),
        ("id_token", {}, "portcullis", OTHER),
        ("", {}, "portcullis", OTHER),
    ],
)
def test_only_an_access_token_is_an_access_token(
    typ: str | None, claims: dict[str, Any], audience: str, code: str | None
) -> None:
    """SECURITY-CASES 19: an ID token is not an access token; `at+jwt` is honoured where present."""
    assert _code(lambda: check_kind(typ, claims, (audience,), _settings())) == code


@pytest.mark.parametrize(
    ("claims", "audiences", "code"),
    [
        ({}, ("portcullis-web",), None),
        ({"azp": "portcullis-web"}, ("portcullis-web",), None),
        ({"azp": "portcullis-web"}, ("portcullis-web", "other"), None),
        ({}, ("portcullis-web", "other"), "wrong_authorized_party"),
        ({"azp": "other"}, ("portcullis-web", "other"), "wrong_authorized_party"),
        ({"azp": "other"}, ("portcullis-web",), "wrong_authorized_party"),
        ({"azp": ["portcullis-web"]}, ("portcullis-web",), "wrong_authorized_party"),
    ],
)
def test_an_accepted_id_token_was_issued_to_one_of_our_clients(
    claims: dict[str, Any], audiences: tuple[str, ...], code: str | None
) -> None:
    settings = _settings(accept_id_tokens=True)
    assert _code(lambda: check_kind("jwt", {"nonce": "n"} | claims, audiences, settings)) == code


def test_a_logout_token_stays_refused_where_id_tokens_are_accepted() -> None:
    settings = _settings(accept_id_tokens=True)
    for typ, claims in (("logout+jwt", {}), ("jwt", {"events": {}}), ("jwt", {"typ": "Logout"})):
        assert _code(lambda t=typ, c=claims: check_kind(t, c, ("portcullis-web",), settings)) == OTHER


@pytest.mark.parametrize("value", ["", "a\nb", "caf\u00e9", "x" * 256, 7, ["alice"], "\ud800", True])
def test_a_subject_is_printable_ascii(value: object) -> None:
    assert _code(lambda: subject({"sub": value})) == "malformed_claim"


def test_odd_evidence_is_as_good_as_absent() -> None:
    claims = {"acr": "urn:mfa\n", "amr": ["pwd", 7, "o\u200btp", "otp"]}
    assert printable_text(claims, "acr") is None
    assert printable_texts(claims, "amr") == ("pwd", "otp")
    assert printable_texts({"amr": "pwd"}, "amr") == ()


def _code(check: Any) -> str | None:
    try:
        check()
    except InvalidCredentialError as error:
        return error.code
    return None
