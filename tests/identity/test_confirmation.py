"""A token that is bound to a key is never read as if it were not."""

from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError
from identity.confirmation import confirmation_of
from identity.principal import Confirmation
from tests.identity.issuer import Issuer, World, in_world

JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.parametrize("method", ["jkt", "x5t#S256"])
def test_a_bound_token_names_its_key(method: Any) -> None:
    assert confirmation_of({"cnf": {method: JKT}}) == Confirmation(method, JKT)


def test_a_token_without_cnf_is_bound_to_nothing() -> None:
    assert confirmation_of({"sub": "alice"}) is None


@pytest.mark.parametrize(
    ("cnf", "code"),
    [
        ({"jwk": {"kty": "EC"}}, "sender_constrained"),
        ({"kid": "k1"}, "sender_constrained"),
        ({"x5t": JKT}, "sender_constrained"),
        ({"x5t#s256": JKT}, "sender_constrained"),
        ({"jkt": JKT, "x5t#S256": JKT}, "sender_constrained"),
        ({"jkt": JKT, "other": 1}, "sender_constrained"),
        (None, "malformed_claim"),
        ({}, "malformed_claim"),
        ([], "malformed_claim"),
        (JKT, "malformed_claim"),
        ({"jkt": None}, "malformed_claim"),
        ({"jkt": [JKT]}, "malformed_claim"),
        ({"jkt": ""}, "malformed_claim"),
        ({"jkt": JKT + "="}, "malformed_claim"),
        ({"jkt": JKT[:-1]}, "malformed_claim"),
        ({"jkt": JKT[:-1] + "J"}, "malformed_claim"),
        ({"jkt": JKT + "AAAA"}, "malformed_claim"),
        ({"jkt": "\u00e9" * 43}, "malformed_claim"),
    ],
)
def test_a_binding_that_cannot_be_checked_refuses_the_token(cnf: object, code: str) -> None:
    with pytest.raises(InvalidCredentialError) as caught:
        confirmation_of({"cnf": cnf})
    assert caught.value.code == code


def test_the_principal_of_a_bound_token_says_so_and_the_cached_one_too() -> None:
    issuer = Issuer()

    async def story(world: World) -> None:
        token = issuer.token(cnf={"jkt": JKT})
        for _ in range(2):
            assert (await world.federation.authenticate(token)).confirmation == Confirmation("jkt", JKT)
        with pytest.raises(InvalidCredentialError, match="sender_constrained"):
            await world.federation.authenticate(issuer.token(cnf={"kid": "k1"}))

    in_world(story, issuer)
