"""The gateway's issuer over a real SQLite store, with a provider, clocks to move, and a record that can fail.

async with Issuing(tmp_path) as world:
    grant = await world.begin()
    answer = await world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from audit.store import AuditUnavailableError
from identity.directory_file import load_directory
from identity.issuer.access_tokens import AccessTokens
from identity.issuer.authorization import Authorization
from identity.issuer.clients import COMMAND_LINE
from identity.issuer.device import DeviceFlow
from identity.issuer.exchange import DelegationAnswer, TokenExchange
from identity.issuer.parameters import Parameters
from identity.issuer.sessions import Lifetimes, Sessions
from identity.issuer.signing_keys import SigningKeys
from identity.principal import Principal
from identity.sealing import Sealer
from identity.state import Grant
from tests.identity.issuer import NOW, Issuer, World

PUBLIC_URL = "https://gateway.example.com"
LIFETIMES = Lifetimes(access_token_s=600, session_idle_s=3600, session_max_s=86_400)
SIGNING_KEY_S = 7 * 86_400
BACKENDS = ("aws-prod", "logs-prod", "-")
VERIFIER = "v" * 43
WORKLOADS = "workloads:\n  agent: {provider: k8s, claims: {sub: agent}}\n"
REDIRECT_URI = "http://127.0.0.1:51234/callback"


def form(**parameters: Any) -> Parameters:
    """Return parameters as a request would bring them; a list stands for a repeated one."""
    return Parameters.parse(urlencode(parameters, doseq=True).encode("ascii"))


def challenge(verifier: str = VERIFIER) -> str:
    """Return the S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def alice(**changes: Any) -> Principal:
    """Return alice, just logged in at corp; a change replaces a field."""
    return replace(
        Principal(
            subject="user:corp:alice",
            provider="corp",
            issuer="https://corp.example.com",
            token_subject="alice",
            username="alice",
            groups=("group:corp:dev",),
            expires_at=NOW + 600,
            issued_at=NOW,
            authenticated_at=NOW - 5,
            acr="urn:example:mfa",
            amr=("pwd", "otp"),
            token_sha256="0" * 64,
            provider_session="s-1",
        ),
        **changes,
    )


@dataclass
class Provider:
    """Answers renewals as each test says: with a principal, or with an error; `asked` are the tokens it was shown."""

    principal: Principal = field(default_factory=alice)
    next_token: str | None = None
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def renew(self, grant: Grant, provider_refresh_token: str) -> tuple[Principal, str | None]:
        self.asked.append(provider_refresh_token)
        if self.error is not None:
            raise self.error
        return self.principal, self.next_token


class Issuing:
    """One gateway; `database` is shared with another one where it is given.

    `corp` and `ci` are providers of people; `k8s` is one of workloads, whose `sub` `agent` is `workload:k8s:agent`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        database: StateDatabase | None = None,
        public_url: str = PUBLIC_URL,
        secret: bytes = bytes(32),
    ) -> None:
        self.corp = Issuer("corp")
        self.ci = Issuer("ci")
        self.k8s = Issuer("k8s", algorithm="ES256")
        (directory / "workloads.yaml").write_text(WORKLOADS)
        self.world = World(
            self.corp,
            self.ci,
            self.k8s,
            settings=[
                self.corp.settings(),
                self.ci.settings(),
                self.k8s.settings(tokens="workloads", groups_claim=None),
            ],
            directory=load_directory(directory / "workloads.yaml"),
        )
        self.clock, self.monotonic = self.world.clock, self.world.monotonic
        if database is None:
            url = f"sqlite:///{directory / 'identity.db'}"
            create_state(url)
            database = StateDatabase(url)
        self.database = database
        self.state = SqlState(self.database)
        self.provider = Provider()
        self.records: list[tuple[Principal, str]] = []
        self.record_fails = False
        self.sealer = Sealer(secret)
        self.keys = SigningKeys(
            self.state, self.sealer, issuer=public_url, signing_key_s=SIGNING_KEY_S, clock=self.clock
        )
        self.federation = self.world.federation
        self.federation.trust(self.keys)
        self.tokens = AccessTokens(self.keys, clock=self.clock)
        self.sessions = Sessions(
            self.state,
            self.state,
            self.sealer,
            self.tokens,
            LIFETIMES,
            renewal=self.provider,
            recheck=self.federation.recheck,
            in_force=self.catch_up,
            clock=self.clock,
        )
        self.authorization = Authorization(self.state, self.sessions, issuer=public_url, clock=self.clock)
        self.devices = DeviceFlow(self.state, issuer=public_url, clock=self.clock, monotonic=self.monotonic)
        self.exchange = TokenExchange(
            self.federation, self.tokens, backends=BACKENDS, access_token_s=LIFETIMES.access_token_s, clock=self.clock
        )

    async def __aenter__(self) -> Self:
        await self.world.__aenter__()
        self.database.open()
        await self.keys.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.world.__aexit__(kind, error, trace)
        self.database.close()

    async def catch_up(self) -> None:
        self.federation.revoke(self.state.revocations(int(self.clock.now)))

    async def record(self, principal: Principal, detail: str) -> None:
        if self.record_fails:
            raise AuditUnavailableError("the log is full")
        self.records.append((principal, detail))

    async def begin(self, **changes: Any) -> Grant:
        """Begin a session of alice's for the command line."""
        settings = {"client": COMMAND_LINE.id, "source": "192.0.2.1"} | changes
        return await self.sessions.begin(settings.pop("principal", alice()), **settings)

    async def tokens_of_a_login(self, **changes: Any) -> tuple[str, str]:
        """Log alice in and return her access token and refresh token."""
        grant = await self.begin(**changes)
        answer = await self.sessions.answer(grant.id, COMMAND_LINE, grant.confirmation, self.record)
        assert answer.refresh_token is not None
        return answer.access_token, answer.refresh_token

    async def ended_as(self, grant_id: str) -> str | None:
        """Return how a session ended, None where it lives."""
        grant = self.state.grant(grant_id)
        assert grant is not None
        return grant.end_reason


def allowed(_: Principal, __: Principal) -> DelegationAnswer:
    """Let every actor act for everybody."""
    return DelegationAnswer(True, "the rule at rules/access.csv:1")


def forbidden(_: Principal, subject: Principal) -> DelegationAnswer:
    """Let nobody act for anybody."""
    return DelegationAnswer(False, f"no rule for act on -/delegations/{subject.subject}")


Story = Callable[[Issuing], Awaitable[None]]
