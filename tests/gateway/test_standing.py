"""How long an open request is vouched for: a decision table."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.exchange import Exchange
from gateway.standing import problem_of_age
from identity.federation import Federation
from identity.principal import Principal
from identity.provider_settings import ProviderSettings

NOW = 1_795_456_000
IDLE_S = 3600
CORP = ProviderSettings(name="corp", issuer="https://sso.example.com", audiences=("portcullis",), leeway_s=60)
ALICE = Principal(
    subject="user:alice",
    provider="corp",
    issuer=CORP.issuer,
    token_subject="a-1",
    username="alice",
    groups=(),
    expires_at=NOW + 600,
    issued_at=NOW,
    authenticated_at=None,
    acr=None,
    amr=(),
    token_sha256="aa",
)
SESSION = replace(ALICE, session="s-1")
EXCHANGED = replace(SESSION, made_from=("bb",))


@pytest.mark.parametrize(
    ("principal", "lasts_s"),
    [
        (ALICE, 600 + 60),
        (replace(ALICE, made_from=("bb",)), 600 + 60),
        (SESSION, IDLE_S),
        (replace(SESSION, expires_at=NOW + 2 * IDLE_S), 2 * IDLE_S),
        (EXCHANGED, 600),
    ],
    ids=["the provider's token", "exchanged from it", "a session's", "one that lives longer", "exchanged from that"],
)
def test_an_open_request_lasts_as_long_as_what_vouches_for_it(principal: Principal, lasts_s: int) -> None:
    """What was exchanged has no renewal and may be in other hands: it ends as it says."""
    federation = Federation([CORP])
    exchange = cast(Exchange, SimpleNamespace(principal=principal))
    assert problem_of_age(exchange, federation, IDLE_S, NOW + lasts_s - 1) is None
    problem = problem_of_age(exchange, federation, IDLE_S, NOW + lasts_s)
    assert problem is not None
    assert problem.members == {"error": "token_expired"}
