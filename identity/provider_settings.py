"""The configuration of one OpenID provider, an entry of `identity.providers`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from identity.secure_url import insecure_reason

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Domain = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)]


class ProviderSettings(BaseModel):
    """One provider whose tokens are accepted. Durations are seconds.

    - `audiences`: a token must name at least one of them in `aud`, exactly.
    - `client_id`: another client of ours, whose ID tokens may count; `cli_client_id`: the public client of
      `portcullis login`.
    - `username_claim`: what an account that no person is linked to is called. `email` demands a verified address.
    - `groups_claim`: the name of the claim that holds the groups, absent where they don't count.
    - `email_domains`: domains for which this provider's verified addresses are believed; without any, no
      person is found by e-mail.
    - `accept_id_tokens`: an ID token is as good as an access token, as in Kubernetes.
    - `jwks_max_stale_s`: for how long the last known keys stay good while the provider can't be reached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    issuer: str
    audiences: tuple[Text, ...]
    client_id: Text | None = None
    cli_client_id: Text | None = None
    scopes: tuple[Text, ...] = ("openid", "email", "profile")
    username_claim: Text = "sub"
    groups_claim: Text | None = None
    email_domains: tuple[Domain, ...] = ()
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    accept_id_tokens: bool = False
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 60
    ca_file: Path | None = None
    fetch_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    discovery_refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    jwks_refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    jwks_min_interval_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    jwks_max_stale_s: Annotated[float, Field(ge=60, le=604_800)] = 86_400.0

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        reason = insecure_reason(issuer)
        if reason is None and urlsplit(issuer).query:
            reason = "must have no query (OpenID Connect Discovery 1.0, section 3)"
        if reason is not None:
            raise ValueError(reason)
        return issuer

    @field_validator("audiences", "algorithms")
    @classmethod
    def _at_least_one(cls, items: tuple[str, ...]) -> tuple[str, ...]:
        # Not a length constraint: that would add a second, misleading error to each wrong item.
        if not items:
            raise ValueError("must hold at least one: an empty list would accept no token")
        return items

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must hold `openid`: without it a login gives no ID token")
        return scopes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.accept_id_tokens and not self.client_ids.intersection(self.audiences):
            raise ValueError(
                "accept_id_tokens needs client_id or cli_client_id among the audiences: "
                "the audience of an ID token is the client it was issued to"
            )
        return self

    @property
    def client_ids(self) -> frozenset[str]:
        """The clients that are ours."""
        return frozenset(client for client in (self.client_id, self.cli_client_id) if client is not None)


def provider_conflicts(providers: Iterable[ProviderSettings]) -> tuple[tuple[int, str], ...]:
    """Return the index of each provider that repeats an earlier one's name or issuer, and what to do about it.

    Two providers of one issuer would make it a matter of order which rules a token is held to.
    """
    names: dict[str, int] = {}
    issuers: dict[str, str] = {}
    conflicts: list[tuple[int, str]] = []
    for index, provider in enumerate(providers):
        if provider.name in names:
            conflicts.append((index, f"the name {provider.name!r} is taken by an earlier provider: choose another"))
        elif provider.issuer in issuers:
            first = issuers[provider.issuer]
            conflicts.append((index, f"the issuer {provider.issuer} is already the provider {first!r}: merge the two"))
        names.setdefault(provider.name, index)
        issuers.setdefault(provider.issuer, provider.name)
    return tuple(conflicts)
