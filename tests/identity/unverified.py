"""What a JWT says, unverified: for tests that look at what a real provider has put into one."""

import base64
import json
from typing import Any


def unverified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a compact JWT."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
