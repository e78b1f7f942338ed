"""Whatever is printed, logged or shown in a traceback by mistake holds no secret (SECURITY-CASES 24)."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from gateway.cli.oauth import Tokens
from gateway.cli.token_store import Login
from gateway.console.browser_session import BrowserSession
from gateway.credential import PresentedToken
from identity.client_credential import ClientCredential
from identity.compact_jws import CompactJws
from identity.issuer.access_tokens import MintedToken, TokenAnswer
from identity.issuer.device import DeviceAnswer
from identity.issuer.exchange import ExchangeRequest
from identity.login import FinishedLogin, PendingLogin
from identity.verification import Verification


@pytest.mark.parametrize(
    ("kind", "secrets"),
    [
        (BrowserSession, {"secret"}),
        (ClientCredential, {"secret"}),
        (CompactJws, {"signature"}),
        (DeviceAnswer, {"device_code", "user_code"}),
        (ExchangeRequest, {"subject_token", "actor_token"}),
        (FinishedLogin, {"refresh_token"}),
        (Login, {"token", "refresh_token"}),
        (MintedToken, {"text"}),
        (PendingLogin, {"nonce", "verifier"}),
        (PresentedToken, {"token"}),
        (TokenAnswer, {"access_token", "refresh_token"}),
        (Tokens, {"access_token", "refresh_token"}),
        (Verification, {"token", "login_nonce", "login_access_token"}),
    ],
)
def test_a_value_that_carries_a_secret_does_not_show_it(kind: type[Any], secrets: set[str]) -> None:
    assert is_dataclass(kind)
    value = object.__new__(kind)
    for field in fields(kind):
        object.__setattr__(value, field.name, f"<{field.name}>")
    shown = repr(value)
    assert {field.name for field in fields(kind) if f"<{field.name}>" not in shown} == secrets
