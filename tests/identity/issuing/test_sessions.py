"""Sessions: renewed with tokens that are good once, ended by whatever ends them, on every path that fails."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.store import AuditUnavailableError
from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.directory_file import load_directory
from identity.issuer.clients import COMMAND_LINE, CONSOLE
from identity.issuer.oauth_error import OAuthError
from identity.issuer.sessions import UNUSED_S, LoginOverError
from identity.principal import UNLIMITED, Confirmation, Limits, Principal
from identity.rejections import rejection
from identity.relying_party_messages import LoginError
from identity.revocation import Revocation
from identity.state import Grant, StateUnavailableError
from tests.identity.issuer import NOW
from tests.parts.issuing import LIFETIMES, Issuing, alice

KEY = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
OTHER_KEY = Confirmation("jkt", "A" * 42 + "A")
CERTIFICATE = Confirmation("x5t#S256", "A" * 43)


def in_issuing(tmp_path: Path, story: Callable[[Issuing], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with Issuing(tmp_path, **options) as world:
            await story(world)

    asyncio.run(run())


async def renew(
    world: Issuing, token: str, *, limits: Limits = UNLIMITED, confirmation: Confirmation | None = None
) -> tuple[str, str]:
    answer = await world.sessions.renew(token, COMMAND_LINE, limits, confirmation, world.record)
    assert answer.refresh_token is not None
    return answer.access_token, answer.refresh_token


async def refused(renewal: Awaitable[object]) -> str:
    with pytest.raises(OAuthError) as raised:
        await renewal
    return raised.value.error


async def code_of(world: Issuing, token: str) -> str | None:
    try:
        await world.federation.authenticate(token.encode())
    except InvalidCredentialError as error:
        return error.code
    return None


def test_a_session_gives_tokens_that_stand_for_its_person(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant = await world.begin(limits=Limits(("aws-prod",), ("s3:Get*",)))
        answer = await world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
        principal = await world.federation.authenticate(answer.access_token.encode())
        assert (principal.subject, principal.groups) == ("user:corp:alice", ("group:corp:dev",))
        assert (principal.session, principal.acr, principal.amr) == (grant.id, "urn:example:mfa", ("pwd", "otp"))
        assert principal.limits == Limits(("aws-prod",), ("s3:Get*",))
        assert (answer.token_type, answer.expires_in, answer.scope) == ("Bearer", 600, "action:s3:Get*")
        assert world.records == [(principal, f"the session {grant.id}")]

    in_issuing(tmp_path, story)


def test_a_renewal_replaces_both_tokens(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        access, refresh = await world.tokens_of_a_login()
        next_access, next_refresh = await renew(world, refresh)
        assert len({access, refresh, next_access, next_refresh}) == 4
        assert await code_of(world, next_access) is None
        await renew(world, next_refresh)

    in_issuing(tmp_path, story)


def test_a_used_refresh_token_ends_the_session_and_every_token_of_it_at_once(tmp_path: Path) -> None:
    """RFC 9700, section 4.14.2"""

    async def story(world: Issuing) -> None:
        access, refresh = await world.tokens_of_a_login()
        next_access, next_refresh = await renew(world, refresh)
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert await code_of(world, access) == "token_revoked"
        assert await code_of(world, next_access) == "token_revoked"
        assert await refused(renew(world, next_refresh)) == "invalid_grant"
        principal = world.records[0][0]
        assert await world.ended_as(principal.session or "") == "refresh_reused"

    in_issuing(tmp_path, story)


def test_of_two_renewals_at_once_one_wins_and_the_session_ends(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        results = await asyncio.gather(renew(world, refresh), renew(world, refresh), return_exceptions=True)
        won = [result for result in results if isinstance(result, tuple)]
        assert len(won) <= 1
        for access, next_token in won:
            assert await code_of(world, access) == "token_revoked"
            assert await refused(renew(world, next_token)) == "invalid_grant"
        assert await world.ended_as(world.records[0][0].session or "") == "refresh_reused"

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("token", ["", "prt_", "prt_" + "a" * 43, "a" * 43, "prt_" + "a" * 42 + "!"])
def test_an_unknown_refresh_token_is_refused(tmp_path: Path, token: str) -> None:
    async def story(world: Issuing) -> None:
        assert await refused(renew(world, token)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_a_session_that_rests_too_long_is_over(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        world.clock.now += LIFETIMES.session_idle_s - 1
        _, refresh = await renew(world, refresh)
        world.clock.now += LIFETIMES.session_idle_s
        assert await refused(renew(world, refresh)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_no_session_lives_longer_than_its_maximum_however_often_it_is_renewed(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        ends_at = NOW + LIFETIMES.session_max_s
        while world.clock.now < ends_at - 300:
            world.clock.now = min(world.clock.now + LIFETIMES.session_idle_s - 1, ends_at - 300)
            access, refresh = await renew(world, refresh)
        assert (await world.federation.authenticate(access.encode())).expires_at == ends_at
        world.clock.now = ends_at
        assert await refused(renew(world, refresh)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_a_session_that_never_fetched_its_tokens_is_forgotten_soon_but_the_consoles_lives(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant, console = await world.begin(), await world.begin(client=CONSOLE)
        assert (grant.expires_at, console.expires_at) == (NOW + UNUSED_S, NOW + LIFETIMES.session_max_s)
        world.clock.now += UNUSED_S
        answer = world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
        assert await refused(answer) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_no_client_gets_the_tokens_of_anothers_session(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        console = await world.begin(client=CONSOLE)
        assert await refused(world.sessions.answer(console.id, COMMAND_LINE, None, world.record)) == "invalid_grant"
        _, refresh = await world.tokens_of_a_login()
        other = replace(COMMAND_LINE, id="other")
        renewal = world.sessions.renew(refresh, other, UNLIMITED, None, world.record)
        assert await refused(renewal) == "invalid_grant"
        await renew(world, refresh)

    in_issuing(tmp_path, story)


def test_tokens_bound_to_a_key_are_renewed_with_that_key_only(tmp_path: Path) -> None:
    """RFC 9449, section 5: a public client's refresh token is bound to the key it was asked for with."""

    async def story(world: Issuing) -> None:
        grant = await world.begin()
        answer = await world.sessions.answer(grant.id, COMMAND_LINE, KEY, world.record)
        refresh = answer.refresh_token or ""
        assert answer.token_type == "DPoP"
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert await refused(renew(world, refresh, confirmation=OTHER_KEY)) == "invalid_grant"
        access, _ = await renew(world, refresh, confirmation=KEY)
        assert (await world.federation.authenticate(access.encode())).confirmation == KEY

    in_issuing(tmp_path, story)


def test_a_stolen_refresh_token_is_not_made_into_a_bound_access_token(tmp_path: Path) -> None:
    """Else a backend that demands binding would let a thief in, with the thief's own key."""

    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        assert await refused(renew(world, refresh, confirmation=KEY)) == "invalid_request"
        # The refusal costs its owner nothing, and a client certificate alone asks for nothing.
        access, refresh = await renew(world, refresh, confirmation=CERTIFICATE)
        assert (await world.federation.authenticate(access.encode())).confirmation is None
        access, _ = await renew(world, refresh)
        assert (await world.federation.authenticate(access.encode())).confirmation is None

    in_issuing(tmp_path, story)


def test_a_renewal_may_ask_for_less_but_never_for_more(tmp_path: Path) -> None:
    """RFC 6749, section 6"""

    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(limits=Limits(("aws-prod", "logs-prod"), ("read", "s3:*")))
        access, refresh = await renew(world, refresh, limits=Limits(("aws-prod",), ("s3:Get*",)))
        principal = await world.federation.authenticate(access.encode())
        assert principal.limits == Limits(("aws-prod",), ("s3:Get*",))
        assert await refused(renew(world, refresh, limits=Limits(None, ("delete",)))) == "invalid_scope"
        assert await refused(renew(world, refresh, limits=Limits(("other",)))) == "invalid_target"
        access, _ = await renew(world, refresh)
        principal = await world.federation.authenticate(access.encode())
        assert principal.limits == Limits(("aws-prod", "logs-prod"), ("read", "s3:*"))

    in_issuing(tmp_path, story)


def test_a_renewal_asks_the_provider_again_and_takes_what_it_says(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        world.provider.principal = alice(groups=("group:corp:ops",), acr=None, amr=(), authenticated_at=None)
        world.provider.next_token = "second"
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        access, refresh = await renew(world, refresh)
        principal = await world.federation.authenticate(access.encode())
        assert principal.groups == ("group:corp:ops",)
        assert (principal.acr, principal.authenticated_at) == ("urn:example:mfa", NOW - 5)
        world.provider.next_token = None
        _, refresh = await renew(world, refresh)
        await renew(world, refresh)
        assert world.provider.asked == ["first", "second", "second"]

    in_issuing(tmp_path, story)


def test_the_providers_token_is_stored_sealed_and_for_one_session_only(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant = await world.begin(provider_refresh_token="provider-secret")
        assert b"provider-secret" not in (tmp_path / "identity.db").read_bytes()
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="of-bob")
        other = world.state.grant(world.records[0][0].session or "")
        assert other is not None
        world.state.update_grant(replace(other, sealed_refresh_token=grant.sealed_refresh_token))
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert world.provider.asked == []

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("token", ["of-the-provider", None])
def test_one_login_is_good_for_one_session_of_a_client(tmp_path: Path, token: str | None) -> None:
    """However often the answer is sent, and also where the provider gave no token that could be taken only once."""

    async def story(world: Issuing) -> None:
        console = await world.begin(client=CONSOLE, provider_refresh_token=token)
        answers = [world.sessions.use_login(console) for _ in range(3)]
        found = await asyncio.gather(*answers, return_exceptions=True)
        assert found.count(token) == 1
        assert sum(isinstance(each, LoginOverError) for each in found) == 2
        with pytest.raises(LoginOverError):
            await world.sessions.use_login(console)

    in_issuing(tmp_path, story)


def test_a_login_whose_providers_token_is_anothers_is_of_no_use(tmp_path: Path) -> None:
    """The session it would lead to could not ask the provider again, and would look as if it need not."""

    async def story(world: Issuing) -> None:
        console = await world.begin(client=CONSOLE, provider_refresh_token="of-alice")
        other = await world.begin(client=CONSOLE, provider_refresh_token="of-bob")
        world.state.update_grant(replace(console, sealed_refresh_token=other.sealed_refresh_token))
        with pytest.raises(LoginOverError):
            await world.sessions.use_login(console)

    in_issuing(tmp_path, story)


def test_no_refresh_token_can_be_read_from_the_store(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        for path in tmp_path.iterdir():
            assert refresh.encode() not in path.read_bytes()

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LoginError("invalid_grant", "the provider ended it"), "provider_refused"),
        (rejection("bad_signature"), "provider_refused"),
        (rejection("person_deactivated"), "deprovisioned"),
        (rejection("account_deprovisioned", provider="corp"), "deprovisioned"),
        (rejection("token_revoked"), "revoked"),
    ],
)
def test_a_provider_that_says_no_ends_the_session(tmp_path: Path, error: Exception, reason: str) -> None:
    """SECURITY-CASES 28"""

    async def story(world: Issuing) -> None:
        access, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.provider.error = error
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert await world.ended_as(world.records[0][0].session or "") == reason
        assert await code_of(world, access) == "token_revoked"

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailableError("corp", "connection refused"),
        LoginError("client_refused", "the gateway's own client is not accepted"),
        LoginError("provider_error", "server_error"),
    ],
)
def test_a_provider_that_cant_be_asked_costs_nobody_their_session(tmp_path: Path, error: Exception) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.provider.error = error
        assert await refused(renew(world, refresh)) == "temporarily_unavailable"
        world.provider.error = None
        await renew(world, refresh)

    in_issuing(tmp_path, story)


def test_an_account_that_the_provider_gives_to_somebody_else_ends_the_session(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.provider.principal = alice(token_subject="bob")
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert await world.ended_as(world.records[0][0].session or "") == "revoked"

    in_issuing(tmp_path, story)


def test_a_person_revoked_since_the_login_can_t_renew_even_if_the_session_was_left_living(tmp_path: Path) -> None:
    """A revocation is written before the sessions are ended: between the two a renewal must fail already."""

    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.provider.principal = alice(issued_at=NOW + 120)
        world.clock.now += 60
        world.federation.revoke([Revocation("person", "user:corp:alice", int(world.clock.now))])
        world.clock.now += 60
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert await world.ended_as(world.records[0][0].session or "") == "revoked"

    in_issuing(tmp_path, story)


def test_a_revocation_between_login_and_code_leaves_no_token(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant = await world.begin()
        world.federation.revoke([Revocation("person", "user:corp:alice", NOW)])
        answer = world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
        assert await refused(answer) == "invalid_grant"
        assert world.records == []

    in_issuing(tmp_path, story)


def test_a_person_who_is_somebody_else_now_logs_in_again(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        (tmp_path / "identities.yaml").write_text(
            'people:\n  alice:\n    accounts:\n      - {provider: corp, subject: "alice"}\n'
        )
        world.federation.use_directory(load_directory(tmp_path / "identities.yaml"))
        assert await refused(renew(world, refresh)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_what_can_t_be_recorded_gives_no_token_and_costs_no_session(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.record_fails, world.provider.next_token = True, "second"
        with pytest.raises(AuditUnavailableError):
            await renew(world, refresh)
        assert len(world.records) == 1
        world.record_fails = False
        await renew(world, refresh)
        assert world.provider.asked == ["first", "second"], "the provider's own new token must not be lost"

    in_issuing(tmp_path, story)


def test_the_providers_next_token_is_kept_though_no_token_of_ours_can_be_made(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        world.provider.next_token = "second"
        keys, world.keys._keys = world.keys._keys, {}
        assert await refused(renew(world, refresh)) == "temporarily_unavailable"
        world.keys._keys = keys
        await renew(world, refresh)
        assert world.provider.asked == ["first", "second"]

    in_issuing(tmp_path, story)


def test_a_renewal_that_is_cancelled_costs_no_session(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        recording = asyncio.Event()

        async def hang(*_: object) -> None:
            recording.set()
            await asyncio.Event().wait()

        renewal = asyncio.create_task(world.sessions.renew(refresh, COMMAND_LINE, UNLIMITED, None, hang))
        await recording.wait()
        renewal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await renewal
        await renew(world, refresh)

    in_issuing(tmp_path, story)


def test_a_session_ended_during_its_renewal_gives_no_token(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login(provider_refresh_token="first")
        session = world.records[0][0].session or ""
        ask = world.provider.renew

        async def end_meanwhile(grant: Grant, provider_refresh_token: str) -> tuple[Principal, str | None]:
            await world.sessions.end(session, "logged_out")
            return await ask(grant, provider_refresh_token)

        world.provider.renew = end_meanwhile  # type: ignore[method-assign]
        assert await refused(renew(world, refresh)) == "invalid_grant"
        assert len(world.records) == 1

    in_issuing(tmp_path, story)


def test_an_end_that_can_t_be_read_back_is_an_end_all_the_same(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        grant = await world.begin()

        async def away() -> None:
            raise StateUnavailableError("the database is away")

        world.sessions._in_force = away
        await world.sessions.end(grant.id, "logged_out")
        assert await world.ended_as(grant.id) == "logged_out"

    in_issuing(tmp_path, story)


def test_a_refresh_token_names_its_session_to_whoever_revokes_it(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        _, refresh = await world.tokens_of_a_login()
        grant = await world.sessions.grant_of(refresh)
        assert grant is not None and grant.id == world.records[0][0].session
        assert await world.sessions.grant_of("prt_" + "a" * 43) is None
        assert await world.sessions.grant_of("anything") is None

    in_issuing(tmp_path, story)


def test_tokens_of_one_gateway_are_not_another_ones(tmp_path: Path) -> None:
    """SECURITY-CASES 18: the same store and secret, another public URL."""

    async def story() -> None:
        async with Issuing(tmp_path) as one:
            other = Issuing(tmp_path, database=one.database, public_url="https://other.example.com")
            await other.keys.load()
            access, _ = await one.tokens_of_a_login()
            assert await code_of(one, access) is None
            assert await code_of(other, access) == "unknown_issuer"
        (tmp_path / "elsewhere").mkdir()
        async with Issuing(tmp_path / "elsewhere", secret=b"\x01" * 32) as stranger:
            assert await code_of(stranger, access) == "unknown_key"

    asyncio.run(story())


def test_no_token_is_shown_where_an_answer_is_printed(tmp_path: Path) -> None:
    """SECURITY-CASES 24"""

    async def story(world: Issuing) -> None:
        grant = await world.begin()
        answer = await world.sessions.answer(grant.id, COMMAND_LINE, None, world.record)
        assert answer.access_token not in repr(answer)
        assert (answer.refresh_token or "x") not in repr(answer)
        digest = hashlib.sha256(answer.access_token.encode()).hexdigest()
        assert world.records[0][0].token_sha256 == digest

    in_issuing(tmp_path, story)
