"""The view of pushed accounts, and which account a token is of."""

import pytest

from identity.authenticator import InvalidCredentialError
from identity.provisioning import (
    NO_PROVISIONING,
    Account,
    AccountChanges,
    ProvisioningView,
    account_key,
    fold,
    pushed_as,
    pushed_groups,
)
from identity.scim_settings import ScimSettings

BY_NAME = ScimSettings(token_env="TOKEN", attribute="userName", claim="preferred_username", required=True)
BY_ID = ScimSettings(token_env="TOKEN", claim="oid")


def test_a_token_is_of_the_account_that_its_claim_names() -> None:
    assert pushed_as({"preferred_username": "Alice@Example.com"}, BY_NAME) == "alice@example.com"
    assert pushed_as({"oid": "E-1", "sub": "x"}, BY_ID) == "E-1"


@pytest.mark.parametrize(
    ("value", "code"),
    [(None, "missing_claim"), (7, "malformed_claim"), ("", "malformed_claim"), ("al\u00efce", "malformed_claim")],
)
def test_a_token_that_names_none_is_refused(value: object, code: str) -> None:
    """Nobody could tell whether its account was deactivated."""
    with pytest.raises(InvalidCredentialError) as raised:
        pushed_as({"oid": value, "sub": "alice"}, BY_ID)
    assert raised.value.code == code


def test_look_alikes_are_not_the_same_account() -> None:
    """SECURITY-CASES 21: Unicode's own folding makes an ASCII `k` of the Kelvin sign."""
    assert fold("ALICE") == "alice"
    for look_alike in ("\u212a", "\u017f", "\u0130", "\uff21"):
        assert fold(look_alike) == look_alike
    assert account_key("externalId", "E-A") == "E-A"


def test_groups_that_no_rule_can_name_are_dropped() -> None:
    assert pushed_groups("corp", ["ops", "dev", "two words", "*", "a,b", ""]) == ("group:corp:dev", "group:corp:ops")


def test_a_view_knows_who_pushes_and_whether_that_is_required() -> None:
    view = ProvisioningView({"corp": BY_NAME, "partner": BY_ID})
    view.apply("corp", AccountChanges({"alice": Account(True, ()), "bob": Account(False, ())}, 7))
    assert (len(view), view.providers) == (2, ("corp", "partner"))
    assert [view.requires(name) for name in ("corp", "partner", "other")] == [True, False, False]
    assert [view.covers(name) for name in ("corp", "partner", "other")] == [True, True, False]
    assert (view.attribute("corp"), view.position("corp"), view.position("partner")) == ("userName", 7, 0)
    assert view.find("corp", "bob") == Account(False, ())
    assert view.find("partner", "bob") is None
    assert NO_PROVISIONING.find("corp", "bob") is None
