"""`portcullis identity who` looks at what gateways remember, where it may, and changes nothing there."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.state.provisioning import SqlProvisioning
from adapters.state.state import SqlState
from gateway.app import create_identity_state, open_identity_state
from gateway.settings import StateSettings
from identity.issuer.own_claims import claims_of
from identity.issuer.signing_keys import SigningKeys
from identity.principal import UNLIMITED, Delegate, Limits, Principal
from identity.revocation import Revocation
from identity.scim.schema import USER
from identity.scim.service import ScimService
from identity.sealing import Sealer
from tests.gateway.cli.conftest import Result, Run
from tests.gateway.cli.test_identity import BACKEND, IDENTITIES, RULES
from tests.parts.gateway import Site, make_site
from tests.parts.issuer import Issuer

PUBLIC_URL = "https://gateway.example.com"
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class World:
    corp: Issuer
    site: Site
    sealer: Sealer
    state: StateSettings

    def opened(self) -> AbstractContextManager[tuple[SqlState, SqlProvisioning]]:
        """Return what gateways remember, as one of them would open it."""
        return open_identity_state(self.state)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Issuer("corp", "ES256") as corp:
        database, secret = f"sqlite:///{tmp_path / 'identity.db'}", tmp_path / "identity.secret"
        create_identity_state(database)
        Sealer.create(secret)
        (tmp_path / "scim.token").write_text("s3cret-of-the-feed\n")
        (tmp_path / "scim.token").chmod(0o600)
        provider = {**corp.settings, "username_claim": "sub", "scim": {"token_file": str(tmp_path / "scim.token")}}
        site = make_site(
            tmp_path / "site",
            providers=[provider],
            backends=[BACKEND],
            rules=RULES,
            identities=IDENTITIES,
            identity={"state": {"database": database, "secret_file": str(secret)}},
        )
        yield World(corp, site, Sealer.load(secret), StateSettings(database=database, secret_file=secret))


def _who(run: Run, world: World, token: str) -> Result:
    file = world.site.directory / "token"
    file.write_text(token)
    return run("identity", "who", f"@{file}", "--config", world.site.config)


def _own_token(world: World, store: SqlState, limits: Limits = UNLIMITED) -> str:
    now = int(time.time())
    principal = Principal(
        subject="user:alice",
        provider="corp",
        issuer=world.corp.url,
        token_subject="sub-alice",
        username="sub-alice",
        groups=("group:corp:dev",),
        expires_at=now + 300,
        issued_at=now,
        authenticated_at=now,
        acr=None,
        amr=(),
        token_sha256="",
        delegates=(Delegate("user:corp:agent", "corp", "sub-agent", ()),),
        limits=limits,
        provisioned_as="sub-alice",
    )
    keys = SigningKeys(store, world.sealer, issuer=PUBLIC_URL, signing_key_s=DAY_S)
    asyncio.run(keys.load())
    return keys.sign(
        claims_of(principal, issuer=PUBLIC_URL, client_id="portcullis-cli", token_id="a" * 22, issued_at=now)
    )


def test_a_token_of_the_gateways_own_resolves_without_a_gateway(run: Run, world: World) -> None:
    with world.opened() as (store, _):
        token = _own_token(world, store)
    done = _who(run, world, token)
    assert done.code == 0, done.out
    assert "issued by this gateway" in done.out
    assert "through user:corp:agent" in done.out
    assert "subject      user:alice" in done.out.splitlines()


def test_what_a_token_is_narrowed_to_is_shown(run: Run, world: World) -> None:
    with world.opened() as (store, _):
        narrowed = _own_token(world, store, Limits(backends=("logs",), actions=("s3:Get*", "query")))
        everything = _own_token(world, store)
    lines = _who(run, world, narrowed).out.splitlines()
    assert "only for     logs" in lines
    assert "only to      s3:Get*, query" in lines
    assert "only " not in _who(run, world, everything).out
    file = world.site.directory / "token"
    file.write_text(narrowed)
    document = run("identity", "who", f"@{file}", "--config", world.site.config, "--format", "json").json
    assert (document["backends"], document["actions"]) == (["logs"], ["s3:Get*", "query"])


def test_nothing_is_written(run: Run, world: World) -> None:
    """A gateway makes its first signing key when it starts; a look from beside it must not."""
    assert _who(run, world, world.corp.token("alice")).code == 0
    with world.opened() as (store, _):
        assert store.signing_keys(int(time.time())) == []
        assert store.newest_change() == 0


def test_what_was_revoked_is_refused(run: Run, world: World) -> None:
    token = world.corp.token("alice")
    assert _who(run, world, token).code == 0
    with world.opened() as (store, _):
        store.revoke([Revocation("person", "user:alice", int(time.time()) + 1)])
    done = _who(run, world, token)
    assert done.code == 1
    assert "refused      token_revoked" in done.out.splitlines()


def test_an_account_that_was_pushed_as_inactive_is_refused(run: Run, world: World) -> None:
    with world.opened() as (store, accounts):
        service = ScimService(
            accounts, store, provider="corp", attribute="externalId", base_url="https://x", now=lambda: 1
        )
        user = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "alice",
            "externalId": "sub-alice",
            "active": False,
        }
        service.create(USER, user, {})
    done = _who(run, world, world.corp.token("alice"))
    assert done.code == 1
    assert "refused      account_deprovisioned" in done.out.splitlines()


def test_state_that_can_not_be_read_is_told_and_the_rest_shown(run: Run, world: World, tmp_path: Path) -> None:
    with world.opened() as (store, _):
        own = _own_token(world, store)
    (tmp_path / "identity.secret").unlink()
    done = _who(run, world, world.corp.token("alice"))
    assert done.code == 0
    assert "what was revoked or pushed by SCIM is not looked at" in done.out
    done = _who(run, world, own)
    assert (done.code, "it says that it is the gateway's own" in done.out) == (1, True)


def test_bearer_in_front_of_a_token_is_told(run: Run, world: World) -> None:
    done = _who(run, world, "Bearer s3cret")
    assert (done.code, "which is the header's: leave that off" in done.err) == (2, True)
    assert "s3cret" not in done.out + done.err
