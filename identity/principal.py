"""The caller, once a credential has been checked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """One authenticated caller, the same person whichever provider vouched.

    `subject` and `groups` are policy subjects (`user:alice`, `group:corp:dev`); the rest is evidence for
    conditions and for the audit record. Times are whole seconds since the Unix epoch.
    """

    subject: str
    provider: str
    issuer: str
    token_subject: str
    username: str
    groups: tuple[str, ...]
    expires_at: int
    issued_at: int
    authenticated_at: int | None
    acr: str | None
    amr: tuple[str, ...]
    token_sha256: str
