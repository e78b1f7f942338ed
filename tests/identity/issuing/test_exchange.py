"""An exchange never gives more than it was shown: not in reach, not in time, not in youth."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.compact_jws import parse_compact_jws
from identity.issuer.access_tokens import ACCESS_TOKEN_TYPE
from identity.issuer.exchange import ID_TOKEN_TYPE, JWT_TYPE, NO_CLIENT, ExchangeRequest, MayAct, TokenExchange
from identity.issuer.oauth_error import OAuthError
from identity.issuer.own_claims import MAX_DELEGATES, MAX_MADE_FROM
from identity.principal import UNLIMITED, Confirmation, Limits, Principal
from identity.revocation import Revocation
from tests.identity.issuer import NOW, Issuer
from tests.identity.test_revocation_rules import other_spelling
from tests.parts.issuing import BACKENDS, LIFETIMES, PUBLIC_URL, Issuing, alice, allowed, forbidden, form

KEY = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
OTHER_KEY = Confirmation("jkt", "A" * 43)
CERTIFICATE = Confirmation("x5t#S256", "A" * 43)
CNF = {"jkt": KEY.thumbprint}


def in_issuing(tmp_path: Path, story: Callable[[Issuing], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Issuing(tmp_path) as world:
            await story(world)

    asyncio.run(run())


def asked(subject: str | bytes, **parameters: Any) -> ExchangeRequest:
    """Return a request to exchange a token; `actor` is an actor token."""
    fields: dict[str, Any] = {"subject_token": subject, "subject_token_type": JWT_TYPE}
    actor = parameters.pop("actor", None)
    if actor is not None:
        fields |= {"actor_token": actor, "actor_token_type": JWT_TYPE}
    return ExchangeRequest.read(form(**fields | parameters), issuer=PUBLIC_URL, client_id=None)


async def exchanged(
    world: Issuing,
    subject: str | bytes,
    *,
    confirmation: Confirmation | None = None,
    may_act: MayAct = allowed,
    **parameters: Any,
) -> str:
    """Return the token that another one was exchanged for."""
    answer = await world.exchange.exchange(
        asked(subject, **parameters), may_act=may_act, confirmation=confirmation, record=world.record
    )
    assert (answer.refresh_token, answer.issued_token_type) == (None, ACCESS_TOKEN_TYPE)
    return answer.access_token


async def principal_of(world: Issuing, token: str) -> Principal:
    return await world.federation.authenticate(token.encode())


async def refused(world: Issuing, subject: str | bytes, **options: Any) -> OAuthError:
    recorded = len(world.records)
    with pytest.raises(OAuthError) as raised:
        await exchanged(world, subject, **options)
    assert len(world.records) == recorded
    return raised.value


def test_a_providers_token_becomes_one_of_the_gateways(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        token = await exchanged(world, world.corp.token(groups=["dev"]))
        principal = await principal_of(world, token)
        assert (principal.subject, principal.groups) == ("user:corp:alice", ("group:corp:dev",))
        assert (principal.provider, principal.issuer) == ("corp", world.corp.url)
        assert (principal.session, principal.delegates, principal.limits) == (None, (), UNLIMITED)
        assert world.records == [(principal, "for themselves")]
        claims = parse_compact_jws(token.encode()).unverified_claims
        assert (claims["iss"], claims["client_id"]) == (PUBLIC_URL, NO_CLIENT)

    in_issuing(tmp_path, story)


def test_a_token_is_narrowed_to_backends_and_actions(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        token = await exchanged(
            world, world.corp.token(), resource=f"{PUBLIC_URL}/aws-prod", audience="logs-prod", scope="action:s3:Get*"
        )
        assert (await principal_of(world, token)).limits == Limits(("aws-prod", "logs-prod"), ("s3:Get*",))

    in_issuing(tmp_path, story)


def test_a_narrowed_token_can_t_be_exchanged_for_more(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        narrow = await exchanged(world, world.corp.token(), audience="aws-prod", scope="action:s3:Get*")
        assert (await principal_of(world, await exchanged(world, narrow))).limits == Limits(("aws-prod",), ("s3:Get*",))
        again = await exchanged(world, narrow, resource=PUBLIC_URL, scope="action:*")
        assert (await principal_of(world, again)).limits == Limits(("aws-prod",), ("s3:Get*",))
        assert (await refused(world, narrow, audience="logs-prod")).error == "invalid_target"
        assert (await refused(world, narrow, scope="action:s3:Put*")).error == "invalid_scope"

    in_issuing(tmp_path, story)


limits = st.builds(
    Limits,
    st.none() | st.lists(st.sampled_from(BACKENDS), min_size=1, unique=True).map(tuple),
    st.none() | st.lists(st.sampled_from(["a*", "ab", "ab*", "b", "*"]), min_size=1, unique=True).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(limits, min_size=1, max_size=4), st.sampled_from(BACKENDS), st.sampled_from(["a", "ab", "abc", "b"]))
def test_whatever_is_exchanged_however_often_allows_a_subset(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Limits], backend: str, action: str
) -> None:
    async def story(world: Issuing) -> None:
        token: str | bytes = world.corp.token()
        expected, ends_at = True, NOW + 600
        for step in steps:
            wish: dict[str, Any] = {}
            if step.backends is not None:
                wish["audience"] = step.backends
            if step.actions is not None:
                wish["scope"] = " ".join(f"action:{pattern}" for pattern in step.actions)
            expected = expected and step.allow(backend, action)
            world.clock.now += 30
            try:
                token = await exchanged(world, token, **wish)
            except OAuthError as error:
                assert error.error in ("invalid_target", "invalid_scope")
                assert not expected
                return
            principal = await principal_of(world, token)
            assert principal.limits.allow(backend, action) == expected
            assert principal.expires_at <= ends_at
            assert principal.issued_at == NOW - 10
            ends_at = principal.expires_at

    in_issuing(tmp_path_factory.mktemp("state"), story)


def test_the_result_ends_with_the_first_of_the_tokens_that_it_was_made_from(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        long = await exchanged(world, world.corp.token(exp=NOW + 86_400))
        assert (await principal_of(world, long)).expires_at == NOW + LIFETIMES.access_token_s
        short = await exchanged(world, world.corp.token(exp=NOW + 30))
        assert (await principal_of(world, short)).expires_at == NOW + 30
        agent = world.ci.token(sub="agent", exp=NOW + 20)
        delegated = await exchanged(world, world.corp.token(), actor=agent)
        assert (await principal_of(world, delegated)).expires_at == NOW + 20

    in_issuing(tmp_path, story)


def test_a_token_that_only_the_leeway_lets_pass_is_not_prolonged(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        late = world.corp.token(exp=NOW - 30)
        await world.federation.authenticate(late)
        assert (await refused(world, late)).error == "invalid_request"

    in_issuing(tmp_path, story)


def test_an_exchange_makes_nothing_younger_so_no_revocation_is_escaped(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        first = world.corp.token(iat=NOW - 100)
        world.clock.now += 50
        token = await exchanged(world, first)
        # Revoked before the exchange, by another replica; it is known here only afterwards.
        world.federation.revoke([Revocation("person", "user:corp:alice", NOW + 20)])
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, token)

    in_issuing(tmp_path, story)


def test_an_exchanged_token_belongs_to_the_session_it_came_from(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        access, _ = await world.tokens_of_a_login()
        token = await exchanged(world, access, audience="aws-prod")
        session = (await principal_of(world, token)).session or ""
        assert session == (await principal_of(world, access)).session
        await world.sessions.end(session, "logged_out")
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, token)

    in_issuing(tmp_path, story)


def test_an_agent_acts_for_a_person_and_both_are_named(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        seen: list[tuple[str, str]] = []

        def may_act(actor: Principal, subject: Principal) -> Any:
            seen.append((actor.subject, subject.subject))
            return allowed(actor, subject)

        agent = world.ci.token(sub="agent", groups=["bots"])
        token = await exchanged(world, world.corp.token(), actor=agent, may_act=may_act)
        principal = await principal_of(world, token)
        (delegate,) = principal.delegates
        assert principal.subject == "user:corp:alice"
        assert (delegate.subject, delegate.provider, delegate.token_subject) == ("user:ci:agent", "ci", "agent")
        assert delegate.groups == ("group:ci:bots",)
        assert seen == [("user:ci:agent", "user:corp:alice")]
        assert world.records == [(principal, "user:ci:agent for user:corp:alice, by the rule at rules/access.csv:1")]

    in_issuing(tmp_path, story)


def test_the_policy_says_who_may_act_for_whom(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        agent = world.ci.token(sub="agent")
        error = await refused(world, world.corp.token(), actor=agent, may_act=forbidden)
        assert error.error == "invalid_request"
        assert "user:ci:agent may not act for user:corp:alice" in error.description

    in_issuing(tmp_path, story)


def test_a_chain_grows_at_the_holders_end_and_not_without_end(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        token: str | bytes = world.corp.token()
        names = [f"agent{number}" for number in range(MAX_DELEGATES + 1)]
        for name in names[:-1]:
            token = await exchanged(world, token, actor=world.ci.token(sub=name))
        assert isinstance(token, str)
        principal = await principal_of(world, token)
        assert [each.token_subject for each in principal.delegates] == names[MAX_DELEGATES - 1 :: -1]
        error = await refused(world, token, actor=world.ci.token(sub=names[-1]))
        assert error.error == "invalid_request"
        # Without an actor it stays delegated: the chain is not lost on the way.
        again = await principal_of(world, await exchanged(world, token))
        assert again.delegates == principal.delegates

    in_issuing(tmp_path, story)


def test_an_actor_speaks_for_itself_and_for_somebody_else(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        agent = world.ci.token(sub="agent")
        delegated = await exchanged(world, world.corp.token(), actor=agent)
        bob = world.corp.token(sub="bob")
        assert (await refused(world, bob, actor=delegated)).error == "invalid_request"
        assert (await refused(world, bob, actor=world.corp.token(sub="bob", exp=NOW + 60))).error == "invalid_request"

    in_issuing(tmp_path, story)


def test_an_actors_own_limits_hold_too(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        agent = await exchanged(world, world.ci.token(sub="agent"), audience="logs-prod")
        token = await exchanged(world, world.corp.token(), actor=agent)
        assert (await principal_of(world, token)).limits == Limits(("logs-prod",))
        error = await refused(world, world.corp.token(), actor=agent, audience="aws-prod")
        assert error.error == "invalid_target"

    in_issuing(tmp_path, story)


def test_a_revoked_agent_can_t_go_on_with_what_it_was_given(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        token = await exchanged(world, world.corp.token(), actor=world.ci.token(sub="agent"))
        await principal_of(world, token)
        world.federation.revoke([Revocation("person", "user:ci:agent", NOW)])
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, token)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("revoked", ["the person's", "the agent's", "the narrowed", "the delegated"])
def test_a_revoked_token_takes_along_all_that_was_made_from_it(tmp_path: Path, revoked: str) -> None:
    """However many exchanges lie between: a thief must not keep what they made before the theft was noticed."""

    async def story(world: Issuing) -> None:
        person, agent = world.corp.token(), world.k8s.token(sub="agent")
        narrowed = await exchanged(world, person, audience="logs-prod")
        delegated = await exchanged(world, narrowed, actor=agent)
        last = await exchanged(world, delegated, scope="action:read")
        other_agent = world.k8s.token(sub="agent", jti="another")
        other = await exchanged(world, world.corp.token(jti="another"), actor=other_agent)
        shown = {
            "the person's": person,
            "the agent's": agent,
            "the narrowed": narrowed.encode(),
            "the delegated": delegated.encode(),
        }
        digest = hashlib.sha256(shown[revoked]).hexdigest()
        world.federation.revoke([Revocation("token", digest, NOW)])
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, last)
        await principal_of(world, other)

    in_issuing(tmp_path, story)


def test_a_token_that_is_revoked_in_one_spelling_was_not_exchanged_in_the_other(tmp_path: Path) -> None:
    """An audit record names the spelling that its owner used; a thief exchanges it in the other one (ECDSA)."""

    async def story(world: Issuing) -> None:
        owners = world.k8s.token(sub="agent")
        digest = hashlib.sha256(owners).hexdigest()
        stolen = await exchanged(world, other_spelling("ES256", owners))
        delegated = await exchanged(world, world.corp.token(), actor=other_spelling("ES256", stolen.encode()))
        world.federation.revoke([Revocation("token", digest, NOW)])
        for token in (stolen, delegated):
            with pytest.raises(InvalidCredentialError, match="token_revoked"):
                await principal_of(world, token)

    in_issuing(tmp_path, story)


def test_what_was_made_from_a_token_can_be_given_up_without_it(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        person = world.corp.token()
        narrowed = await exchanged(world, person)
        world.federation.revoke([Revocation("token", hashlib.sha256(narrowed.encode()).hexdigest(), NOW)])
        await world.federation.authenticate(person)

    in_issuing(tmp_path, story)


def test_an_actors_session_is_that_of_what_it_acts_with(tmp_path: Path) -> None:
    """The gateway's own, and the provider's: a logout there ends what the actor's token was made into."""

    async def story(world: Issuing) -> None:
        access, _ = await world.tokens_of_a_login()
        bobs = world.corp.token(sub="bob")
        delegated = await exchanged(world, bobs, actor=access)
        (delegate,) = (await principal_of(world, delegated)).delegates
        assert delegate.provider_session == "s-1"
        await world.sessions.end(delegate.session or "", "logged_out")
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, delegated)

        by_provider = await exchanged(world, bobs, actor=world.ci.token(sub="agent", sid="p-1"))
        world.federation.revoke([Revocation("provider_session", "ci:p-1", NOW)])
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, by_provider)

    in_issuing(tmp_path, story)


def test_exchanges_of_exchanges_come_to_an_end(tmp_path: Path) -> None:
    """What a token was made from stands in it, so its number is bounded; a full chain of delegates fits, narrowed."""

    async def story(world: Issuing) -> None:
        token: str = await exchanged(world, world.corp.token())
        for number in range(MAX_DELEGATES):
            agents = await exchanged(world, world.ci.token(sub=f"agent{number}"))
            token = await exchanged(world, token, actor=agents)
        token = await exchanged(world, token, audience="logs-prod")
        with pytest.raises(OAuthError, match="too many exchanges") as raised:
            for _ in range(MAX_MADE_FROM):
                token = await exchanged(world, token)
        assert raised.value.error == "invalid_request"
        await principal_of(world, token)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(("alice_at", "agent_at"), [(NOW - 100, NOW - 10), (NOW - 10, NOW - 100)])
@pytest.mark.parametrize("revoked", ["user:corp:alice", "user:ci:agent"])
def test_a_delegated_token_is_as_old_as_the_older_of_the_two(
    tmp_path: Path, alice_at: int, agent_at: int, revoked: str
) -> None:
    """A revocation of either that came before the exchange, but was not known here yet, reaches what was made."""

    async def story(world: Issuing) -> None:
        agent = world.ci.token(sub="agent", iat=agent_at)
        token = await exchanged(world, world.corp.token(iat=alice_at), actor=agent)
        assert (await principal_of(world, token)).issued_at == NOW - 100
        world.federation.revoke([Revocation("person", revoked, NOW - 50)])
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await principal_of(world, token)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("confirmation", [None, OTHER_KEY, CERTIFICATE])
def test_a_bound_token_is_exchanged_by_nobody_but_its_keys_holder(
    tmp_path: Path, confirmation: Confirmation | None
) -> None:
    """RFC 9449: stolen, a bound token is worth nothing, at the token endpoint neither."""

    async def story(world: Issuing) -> None:
        bound = world.corp.token(cnf=CNF)
        assert (await refused(world, bound, confirmation=confirmation)).error == "invalid_request"
        agent = world.ci.token(sub="agent", cnf=CNF)
        error = await refused(world, world.corp.token(), actor=agent, confirmation=confirmation)
        assert error.error == "invalid_request"

    in_issuing(tmp_path, story)


def test_what_is_made_from_a_bound_token_is_bound_to_the_same_key(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        token = await exchanged(world, world.corp.token(cnf=CNF), confirmation=KEY)
        assert (await principal_of(world, token)).confirmation == KEY
        assert (await refused(world, token)).error == "invalid_request"
        agent = world.ci.token(sub="agent", cnf=CNF)
        delegated = await exchanged(world, world.corp.token(), actor=agent, confirmation=KEY)
        assert (await principal_of(world, delegated)).confirmation == KEY

    in_issuing(tmp_path, story)


UNBOUND = ["a person's at a provider", "a person's own", "a workload's own", "a delegated one"]


async def unbound(world: Issuing, which: str) -> str:
    """Return a token that is bound to no key."""
    match which:
        case "a person's at a provider":
            return world.corp.token().decode()
        case "a person's own":
            return (await world.tokens_of_a_login())[0]
        case "a workload's own":
            return await exchanged(world, world.k8s.token(sub="agent"))
        case _:
            return await exchanged(world, world.corp.token(), actor=world.k8s.token(sub="agent"))


@pytest.mark.parametrize("which", UNBOUND)
def test_a_stolen_token_is_not_made_into_a_bound_one(tmp_path: Path, which: str) -> None:
    """Else a backend that demands binding would let a thief in, with the thief's own key."""

    async def story(world: Issuing) -> None:
        token = await unbound(world, which)
        error = await refused(world, token, confirmation=KEY)
        assert error.error == "invalid_request"
        assert "log in with the key" in error.description
        # A client certificate is there on every request of a connection that has one.
        again = await exchanged(world, token, confirmation=CERTIFICATE)
        assert (await principal_of(world, again)).confirmation is None

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("which", ["a person's at a provider", "a workload's own"])
def test_acting_for_somebody_binds_no_token_of_a_persons_or_of_the_gateways(tmp_path: Path, which: str) -> None:
    async def story(world: Issuing) -> None:
        actor, bob = await unbound(world, which), world.corp.token(sub="bob")
        assert (await refused(world, bob, actor=actor, confirmation=KEY)).error == "invalid_request"
        token = await exchanged(world, bob, actor=actor, confirmation=CERTIFICATE)
        assert (await principal_of(world, token)).confirmation is None

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("confirmation", [KEY, CERTIFICATE])
def test_a_workload_binds_what_its_provider_gave_it_at_the_exchange(tmp_path: Path, confirmation: Confirmation) -> None:
    """It has no login: the short-lived token of its provider stands for one, also where it is to act for a person."""

    async def story(world: Issuing) -> None:
        workload = world.k8s.token(sub="agent")
        answer = await world.exchange.exchange(
            asked(workload), may_act=forbidden, confirmation=confirmation, record=world.record
        )
        assert answer.token_type == ("DPoP" if confirmation == KEY else "Bearer")
        assert (await principal_of(world, answer.access_token)).confirmation == confirmation
        delegated = await exchanged(world, world.corp.token(), actor=workload, confirmation=confirmation)
        assert (await principal_of(world, delegated)).confirmation == confirmation

    in_issuing(tmp_path, story)


def test_a_bound_subject_stays_bound_to_its_own_key_whoever_acts(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        bound, workload = world.corp.token(cnf=CNF), world.k8s.token(sub="agent")
        assert (await refused(world, bound, actor=workload, confirmation=OTHER_KEY)).error == "invalid_request"
        token = await exchanged(world, bound, actor=workload, confirmation=KEY)
        assert (await principal_of(world, token)).confirmation == KEY

    in_issuing(tmp_path, story)


def test_a_token_that_is_no_good_is_told_why_and_never_shown(tmp_path: Path) -> None:
    """RFC 8693, section 2.2.2; SECURITY-CASES 24."""

    async def story(world: Issuing) -> None:
        stranger = Issuer("stranger").token().decode()
        for token in (stranger, world.corp.token(exp=NOW - 3600).decode(), "not-a-token", "a.b.c"):
            error = await refused(world, token)
            assert error.error == "invalid_request"
            assert token not in str(error)
            assert not any(part in str(error) for part in token.split(".") if len(part) > 10 and part != token)
        error = await refused(world, world.corp.token(), actor=stranger)
        assert "the actor token is not good" in error.description

    in_issuing(tmp_path, story)


def test_a_provider_that_can_t_be_reached_is_no_reason_to_throw_the_token_away(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        class Away:
            async def authenticate(self, token: bytes) -> Principal:
                raise ProviderUnavailableError("corp", "connection refused")

        exchange = TokenExchange(Away(), world.tokens, backends=BACKENDS, access_token_s=600)
        with pytest.raises(OAuthError, match="temporarily_unavailable") as raised:
            await exchange.exchange(asked("x"), may_act=allowed, confirmation=None, record=world.record)
        assert raised.value.status == 503

    in_issuing(tmp_path, story)


def test_strangers_learn_no_backends_name(tmp_path: Path) -> None:
    """The token is looked at before the targets are."""

    async def story(world: Issuing) -> None:
        there, missing = [
            str(await refused(world, "not-a-token", audience=name)) for name in ("aws-prod", "no-such-backend")
        ]
        assert there == missing
        assert (await refused(world, world.corp.token(), audience="no-such-backend")).error == "invalid_target"

    in_issuing(tmp_path, story)


def test_an_id_token_is_exchanged_only_where_its_provider_lets_it_be_a_token(tmp_path: Path) -> None:
    """SECURITY-CASES 19"""

    async def story(world: Issuing) -> None:
        id_token = world.corp.token({"typ": "JWT"}, nonce="n", scope=None)
        error = await refused(world, id_token, subject_token_type=ID_TOKEN_TYPE)
        assert "id_token_not_accepted" in error.description

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token": "x" * 20_001}, "invalid_request"),
        ({"subject_token_type": ""}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"actor_token": "y"}, "invalid_request"),
        ({"actor_token_type": JWT_TYPE}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"requested_token_type": ID_TOKEN_TYPE}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"resource": "https://other.example.com/x"}, "invalid_target"),
    ],
)
def test_a_request_of_another_kind_is_refused(parameters: dict[str, str], error: str) -> None:
    with pytest.raises(OAuthError) as raised:
        asked("x", **parameters)
    assert raised.value.error == error
    assert "x" * 100 not in str(raised.value)


def test_no_token_is_shown_where_a_request_is_printed() -> None:
    """SECURITY-CASES 24"""
    printed = repr(asked("subject-secret", actor="actor-secret"))
    assert "secret" not in printed


def test_a_token_too_large_to_be_sent_is_not_made(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        groups = tuple(f"group:corp:{number:040}" for number in range(400))
        with pytest.raises(OAuthError, match="fewer groups"):
            world.tokens.mint(alice(groups=groups), "portcullis-cli")
        world.keys._keys = {}
        with pytest.raises(OAuthError, match="temporarily_unavailable"):
            world.tokens.mint(replace(alice(), groups=()), "portcullis-cli")

    in_issuing(tmp_path, story)
