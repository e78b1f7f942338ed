"""Grants and device requests to put in a store."""

from typing import Any

from identity.principal import UNLIMITED
from identity.state import DeviceRequest, Grant

NOW = 1_800_000_000


def grant(number: int = 1, **changes: Any) -> Grant:
    facts: dict[str, Any] = {
        "id": f"grant-{number}",
        "client": "console",
        "subject": "user:alice",
        "kind": "user",
        "provider": "corp",
        "issuer": "https://sso.example.com",
        "token_subject": "00u1",
        "username": "alice",
        "groups": ("group:corp:dev", "group:corp:on-call"),
        "email": "alice@example.com",
        "provisioned_as": "00u1",
        "provider_session": "session-1",
        "authenticated_at": NOW - 5,
        "acr": "urn:example:mfa",
        "amr": ("pwd", "otp"),
        "limits": UNLIMITED,
        "confirmation": None,
        "source": "192.0.2.7",
        "created_at": NOW,
        "renewed_at": NOW,
        "expires_at": NOW + 3600,
        "sealed_refresh_token": b"\x01sealed\x00\xff",
    }
    return Grant(**(facts | changes))


def device(number: int = 1, **changes: Any) -> DeviceRequest:
    facts: dict[str, Any] = {
        "device_digest": f"device-{number}".encode(),
        "user_code": f"BCDFGHJ{number}",
        "client": "portcullis-cli",
        "source": "192.0.2.7",
        "payload": {"scope": "openid", "limits": None},
        "created_at": NOW,
        "expires_at": NOW + 600,
        "interval_s": 5,
    }
    return DeviceRequest(**(facts | changes))
