"""An ID token counts for the login that was begun here, and vouches for the access token beside it."""

from collections.abc import Callable
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError
from identity.login_token import check_access_token_hash, check_login
from identity.provider_settings import ProviderSettings

SETTINGS = ProviderSettings(name="corp", issuer="https://corp.example.com", audiences=("portcullis",), client_id="us")
# OpenID Connect Core 1.0, appendix A.3.
ACCESS_TOKEN, AT_HASH = b"jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"aud": "us", "nonce": "n"}, None),
        ({"aud": ["us"], "nonce": "n"}, None),
        ({"aud": ["us", "them"], "azp": "us", "nonce": "n"}, None),
        ({"nonce": "n"}, "wrong_audience"),
        ({"aud": "them", "nonce": "n"}, "wrong_audience"),
        ({"aud": "portcullis", "nonce": "n"}, "wrong_audience"),
        ({"aud": {"us": 1}, "nonce": "n"}, "wrong_audience"),
        ({"aud": ["us", "them"], "nonce": "n"}, "wrong_authorized_party"),
        ({"aud": ["us", "them"], "azp": "them", "nonce": "n"}, "wrong_authorized_party"),
        ({"aud": "us", "azp": "them", "nonce": "n"}, "wrong_authorized_party"),
        ({"aud": "us"}, "wrong_nonce"),
        ({"aud": "us", "nonce": "m"}, "wrong_nonce"),
        ({"aud": "us", "nonce": 5}, "wrong_nonce"),
        ({"aud": "us", "nonce": "\ud800"}, "wrong_nonce"),
    ],
)
def test_the_token_is_for_our_client_and_for_this_login(claims: dict[str, Any], code: str | None) -> None:
    """OpenID Connect Core 1.0, section 3.1.3.7, numbers 3 to 5 and 11"""
    assert _refused(lambda: check_login(claims, SETTINGS, "n")) == code


def test_a_renewal_has_no_nonce_of_its_own() -> None:
    """OpenID Connect Core 1.0, section 12.2"""
    check_login({"aud": "us"}, SETTINGS, None)
    check_login({"aud": "us", "nonce": "of the login"}, SETTINGS, None)


@pytest.mark.parametrize(
    ("at_hash", "algorithm", "token", "code"),
    [
        (AT_HASH, "RS256", ACCESS_TOKEN, None),
        (AT_HASH, "ES256", ACCESS_TOKEN, None),
        (AT_HASH, "RS256", None, None),
        (None, "RS256", ACCESS_TOKEN, None),
        (AT_HASH, "RS384", ACCESS_TOKEN, "wrong_access_token_hash"),
        (AT_HASH, "EdDSA", ACCESS_TOKEN, "wrong_access_token_hash"),
        (AT_HASH, "RS256", b"another", "wrong_access_token_hash"),
        (AT_HASH + "=", "RS256", ACCESS_TOKEN, "wrong_access_token_hash"),
        (5, "RS256", ACCESS_TOKEN, "wrong_access_token_hash"),
    ],
)
def test_the_access_token_is_the_one_that_the_id_token_names(
    at_hash: object, algorithm: str, token: bytes | None, code: str | None
) -> None:
    """OpenID Connect Core 1.0, section 3.1.3.8"""
    claims = {"at_hash": at_hash} if at_hash is not None else {}
    assert _refused(lambda: check_access_token_hash(claims, algorithm, token)) == code


def _refused(check: Callable[[], None]) -> str | None:
    try:
        check()
    except InvalidCredentialError as error:
        return error.code
    return None
