"""How strong and fresh a login must be: as options say it, as a gateway demands it (RFC 9470), as tokens show it."""

import base64
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PARAMETER = re.compile(r'([A-Za-z_]+)="([^"\\]*)"')


@dataclass(frozen=True, slots=True)
class Assurance:
    """What is asked of a login; by default nothing.

    `acr_values`: authentication context classes, the preferred one first; any of them is enough. `max_age_s`: how many
    seconds ago the person may have authenticated at most.
    """

    acr_values: tuple[str, ...] = ()
    max_age_s: int | None = None

    def parameters(self) -> dict[str, str]:
        """Return the authorization request's parameters (OpenID Connect Core section 3.1.2.1)."""
        parameters: dict[str, str] = {}
        if self.acr_values:
            parameters["acr_values"] = " ".join(self.acr_values)
        if self.max_age_s is not None:
            parameters["max_age"] = str(self.max_age_s)
        return parameters

    def options(self) -> str:
        """Return the same as options of `portcullis login`, each after a space."""
        options = [f" --acr {shlex.quote(value)}" for value in self.acr_values]
        if self.max_age_s is not None:
            options.append(f" --max-age {self.max_age_s}")
        return "".join(options)

    def lacking(self, claims: Mapping[str, Any], now_s: float) -> str | None:
        """Return in words what a token with these claims lacks, None where nothing."""
        acr, authenticated_at = claims.get("acr"), claims.get("auth_time")
        if self.acr_values and acr not in self.acr_values:
            return f"its authentication context is {acr or 'unknown'}, not {' or '.join(self.acr_values)}"
        if self.max_age_s is None:
            return None
        if not isinstance(authenticated_at, int):
            return "it does not say when its person authenticated"
        age_s = int(now_s - authenticated_at)
        return None if age_s <= self.max_age_s else f"its person authenticated {age_s} s ago, not {self.max_age_s}"


def demanded(challenge: str) -> Assurance:
    """Return what a `WWW-Authenticate` header with `insufficient_user_authentication` demands (RFC 9470 section 3)."""
    parameters = dict(_PARAMETER.findall(challenge))
    max_age = parameters.get("max_age", "")
    return Assurance(
        acr_values=tuple(parameters.get("acr_values", "").split()),
        max_age_s=int(max_age) if max_age.isascii() and max_age.isdigit() else None,
    )


def unverified_claims(token: str) -> Mapping[str, Any]:
    """Return what a token says of itself, nothing where it is opaque.

    Good for words on a screen and for when to log in again. The gateway alone decides what a token is worth.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
