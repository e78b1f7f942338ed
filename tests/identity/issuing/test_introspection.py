"""Who asks is known first; what is not a good token of the gateway's is inactive and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import SecretStr

from identity.issuer.clients import COMMAND_LINE
from identity.issuer.introspection import INACTIVE, IntrospectionClients, introspect, own_token, token_revocation
from identity.principal import Confirmation, Limits
from tests.identity.issuer import NOW
from tests.parts.issuing import PUBLIC_URL, Issuing

KEY = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")


def in_issuing(tmp_path: Path, story: Callable[[Issuing], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Issuing(tmp_path) as world:
            await story(world)

    asyncio.run(run())


def test_a_client_is_known_by_its_id_and_its_secret() -> None:
    clients = IntrospectionClients({"grafana": SecretStr("s3cret"), "loki": SecretStr("other")})
    assert clients.knows("grafana", "s3cret")
    for client_id, secret in (
        ("grafana", "other"),
        ("loki", "s3cret"),
        ("nobody", "s3cret"),
        ("", ""),
        ("grafana", ""),
    ):
        assert not clients.knows(client_id, secret)
    assert not IntrospectionClients({}).knows("", "")
    assert "s3cret" not in repr(vars(clients))


def test_a_good_token_is_told_as_it_stands_now(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        access, _ = await world.tokens_of_a_login(limits=Limits(("aws-prod",), ("s3:Get*",)))
        told = await introspect(access, world.federation, PUBLIC_URL)
        assert told["active"] is True
        assert (told["iss"], told["sub"], told["aud"]) == (PUBLIC_URL, "user:corp:alice", [f"{PUBLIC_URL}/aws-prod"])
        assert (told["scope"], told["token_type"]) == ("action:s3:Get*", "Bearer")
        assert (told["client_id"], told["groups"]) == ("portcullis-cli", ["group:corp:dev"])
        assert told["exp"] == NOW + 600

    in_issuing(tmp_path, story)


def test_a_bound_token_is_told_with_its_key(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant = await world.begin()
        answer = await world.sessions.answer(grant.id, COMMAND_LINE, KEY, world.record)
        told = await introspect(answer.access_token, world.federation, PUBLIC_URL)
        assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": KEY.thumbprint})

    in_issuing(tmp_path, story)


def test_everything_else_is_inactive_and_says_no_more(tmp_path: Path) -> None:
    """RFC 7662, section 2.2: nothing tells an expired token from one that never was."""

    async def story(world: Issuing) -> None:
        access, refresh = await world.tokens_of_a_login()
        provider = world.corp.token().decode()
        await world.federation.authenticate(provider.encode())
        for token in (provider, refresh, "anything", "a.b.c", access[:-4] + "AAAA"):
            assert await introspect(token, world.federation, PUBLIC_URL) == INACTIVE
        await world.sessions.end(world.records[0][0].session or "", "logged_out")
        assert await introspect(access, world.federation, PUBLIC_URL) == INACTIVE

    in_issuing(tmp_path, story)


def test_a_revoked_token_is_no_good_and_others_of_its_session_are(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        access, refresh = await world.tokens_of_a_login()
        principal = await own_token(access, world.federation, PUBLIC_URL)
        assert principal is not None
        world.federation.revoke([token_revocation(principal, NOW)])
        assert await own_token(access, world.federation, PUBLIC_URL) is None
        answer = await world.sessions.renew(refresh, COMMAND_LINE, Limits(), None, world.record)
        assert await own_token(answer.access_token, world.federation, PUBLIC_URL) is not None

    in_issuing(tmp_path, story)
