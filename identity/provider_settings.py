"""The configuration of one OpenID provider, an entry of `identity.providers`."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from identity.group_claim import path_problem
from identity.introspection_settings import IntrospectionSettings, prefix_conflict
from identity.scim_settings import ScimSettings
from identity.secure_url import insecure_reason

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
ClientAuth = Literal["client_secret_basic", "client_secret_post", "none"]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Domain = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)]

SPIFFE = "spiffe://"
# What people copy with it from the address bar.
_METADATA_PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
# SPIFFE-ID, section 2.1.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")


def _secure(url: str) -> str:
    reason = insecure_reason(url)
    if reason is not None:
        raise ValueError(reason)
    return url


def _proxy(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name or password: secrets never stand in this file")
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query:
        raise ValueError("must be http:// or https:// and the proxy's host and port, such as http://proxy:3128")
    return url


def _group_path(path: str) -> str:
    problem = path_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


class ProviderSettings(BaseModel):
    """One provider whose tokens are accepted. Durations are seconds.

    - `issuer`: `spiffe://example.org` is a SPIFFE trust domain, whose JWT-SVIDs need no `iss`.
    - `tokens`: whose tokens they are. Those of workloads count only where an entry of the people file fits them.
    - `audiences`: a token must name at least one of them in `aud`, exactly.
    - `client_id`: the gateway's own client there, which logins go through; `client_auth` is how it proves who it is.
    - `username_claim`: what an account that no person is linked to is called. `email` demands a verified address.
    - `groups_claim`: where the groups are, absent where they don't count: see `identity.group_claim`.
    - `groups_overage`: what to do where a token says that its groups are too many to be listed in it.
    - `email_domains`: domains for which this provider's verified addresses are believed; without any, no
      person is found by e-mail.
    - `accept_id_tokens`: an ID token is as good as an access token, as in Kubernetes.
    - `jwks_uri`, `jwks_file`: where its keys are; nothing else is asked of the provider then.
    - `proxy_url`: the HTTP proxy that the provider is reached through.
    - `jwks_max_stale_s`: for how long the last known keys stay good while the provider can't be reached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    issuer: str
    tokens: Literal["people", "workloads"] = "people"
    audiences: tuple[Text, ...]
    client_id: Text | None = None
    client_secret_file: Path | None = None
    client_secret_env: str | None = None
    client_auth: ClientAuth | None = None
    scopes: tuple[Text, ...] = ("openid", "email", "profile")
    username_claim: Text = "sub"
    groups_claim: Annotated[Text, AfterValidator(_group_path)] | None = None
    groups_overage: Literal["userinfo", "refuse"] = "userinfo"
    email_domains: tuple[Domain, ...] = ()
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    accept_id_tokens: bool = False
    introspection: IntrospectionSettings | None = None
    scim: ScimSettings | None = None
    backchannel_logout: bool = True
    leeway_s: Annotated[int, Field(ge=0, le=300)] = 60
    jwks_uri: Annotated[str, AfterValidator(_secure)] | None = None
    jwks_file: Path | None = None
    ca_file: Path | None = None
    proxy_url: Annotated[str, AfterValidator(_proxy)] | None = None
    fetch_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    discovery_refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    jwks_refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    jwks_min_interval_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    jwks_max_stale_s: Annotated[float, Field(ge=60, le=604_800)] = 86_400.0

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        if issuer.startswith(SPIFFE):
            if not _TRUST_DOMAIN.fullmatch(issuer.removeprefix(SPIFFE)):
                raise ValueError("must be spiffe:// and a trust domain alone, such as spiffe://example.org")
            return issuer
        for path in _METADATA_PATHS:
            if issuer.rstrip("/").endswith(path):
                raise ValueError(f"must be the issuer alone: leave off {path}")
        if urlsplit(_secure(issuer)).query:
            raise ValueError("must have no query (OpenID Connect Discovery 1.0, section 3)")
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
        problems = [*_client_problems(self), *_source_problems(self), *_workload_problems(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def client_ids(self) -> frozenset[str]:
        """The clients that are ours."""
        return frozenset((self.client_id,) if self.client_id is not None else ())

    @property
    def trust_domain(self) -> str | None:
        """The SPIFFE trust domain whose JWT-SVIDs these are, None for any other issuer."""
        return self.issuer.removeprefix(SPIFFE) if self.issuer.startswith(SPIFFE) else None

    @property
    def has_discovery(self) -> bool:
        """Whether the provider is asked where its keys and endpoints are."""
        return self.jwks_uri is None and self.jwks_file is None

    @property
    def has_login(self) -> bool:
        """Whether people can log in through it."""
        return self.client_id is not None and self.tokens == "people" and self.has_discovery

    @property
    def needs_keys(self) -> bool:
        """Whether anything is verified with its keys: all but opaque access tokens."""
        return self.introspection is None or self.has_login

    @property
    def has_client_secret(self) -> bool:
        """Whether the gateway's client has a secret."""
        return self.client_secret_file is not None or self.client_secret_env is not None


def _client_problems(provider: ProviderSettings) -> Iterator[str]:
    """Yield what is wrong with how the gateway signs in at the provider."""
    has_secret, client_auth = provider.has_client_secret, provider.client_auth
    if provider.client_secret_file is not None and provider.client_secret_env is not None:
        yield "give one of client_secret_file and client_secret_env"
    if provider.client_id is None and (has_secret or client_auth is not None):
        yield "client_secret and client_auth need client_id: say which client they belong to"
    elif client_auth == "none" and has_secret:
        yield "client_auth: none sends no secret: remove client_secret, or choose client_secret_basic"
    elif client_auth not in (None, "none") and not has_secret:
        yield f"client_auth: {client_auth} needs client_secret_file or client_secret_env"
    introspection = provider.introspection
    if introspection is not None and introspection.client_id is None and not has_secret:
        yield "introspection needs a client that signs in: give it client_id and one of client_secret_file and _env"
    if provider.accept_id_tokens and not provider.client_ids.intersection(provider.audiences):
        yield (
            "accept_id_tokens needs client_id among the audiences: "
            "the audience of an ID token is the client it was issued to"
        )


def _source_problems(provider: ProviderSettings) -> Iterator[str]:
    """Yield what is wrong with where keys and endpoints come from."""
    if provider.jwks_uri is not None and provider.jwks_file is not None:
        yield "give one of jwks_uri and jwks_file"
    if provider.jwks_uri is not None and provider.jwks_uri.startswith("http:"):
        if provider.issuer.startswith("https:"):
            yield "jwks_uri must be https, as the issuer is"
        if provider.proxy_url is not None:
            yield "proxy_url needs a jwks_uri that is https: a proxy could replace the keys"
    if provider.proxy_url is not None and provider.jwks_uri is None and not provider.issuer.startswith("https:"):
        yield "proxy_url needs an issuer that is https: a proxy could replace the keys"
    if not provider.has_discovery:
        if provider.introspection is not None:
            yield "with jwks_uri or jwks_file the provider's endpoints are not looked for: remove it, or introspection"
        if provider.client_id is not None and not provider.accept_id_tokens:
            yield "with jwks_uri or jwks_file the provider's endpoints are not looked for: remove it, or client_id"
    if provider.trust_domain is not None:
        if provider.has_discovery:
            yield "a SPIFFE trust domain needs jwks_uri or jwks_file: its bundle"
        if provider.tokens != "workloads":
            yield "a SPIFFE trust domain issues no tokens to people: add tokens: workloads"
        if provider.accept_id_tokens:
            yield "a SPIFFE trust domain issues no ID tokens: remove accept_id_tokens"
        if any(algorithm.startswith("Ed") for algorithm in provider.algorithms):
            yield "a JWT-SVID has no EdDSA signature (SPIFFE JWT-SVID, section 2.1): remove it from algorithms"


def _workload_problems(provider: ProviderSettings) -> Iterator[str]:
    """Yield the settings that only people's tokens can have."""
    if provider.tokens == "people":
        return
    for key, is_set in (
        ("client_id", provider.client_id is not None and not provider.accept_id_tokens),
        ("email_domains", bool(provider.email_domains)),
        ("groups_claim", provider.groups_claim is not None),
        ("scim", provider.scim is not None),
    ):
        if is_set:
            yield f"{key} means nothing for workloads: remove it, or tokens: workloads"


def provider_conflicts(providers: Iterable[ProviderSettings]) -> tuple[tuple[int, str], ...]:
    """Return the index of each provider that can't stand beside an earlier one, and what to do about it.

    Two providers of one issuer would make it a matter of order which rules a token is held to.
    """
    names: dict[str, int] = {}
    issuers: dict[str, str] = {}
    prefixes: dict[str, str | None] = {}
    conflicts: list[tuple[int, str]] = []
    for index, provider in enumerate(providers):
        if provider.name in names:
            conflicts.append((index, f"the name {provider.name!r} is taken by an earlier provider: choose another"))
        elif provider.issuer in issuers:
            first = issuers[provider.issuer]
            conflicts.append((index, f"the issuer {provider.issuer} is already the provider {first!r}: merge the two"))
        elif provider.introspection is not None:
            conflict = prefix_conflict(provider.introspection.token_prefix, prefixes)
            if conflict is not None:
                conflicts.append((index, conflict))
            prefixes[provider.name] = provider.introspection.token_prefix
        names.setdefault(provider.name, index)
        issuers.setdefault(provider.issuer, provider.name)
    return tuple(conflicts)
