"""Who is who now: decision tables for groups, accounts and workloads, and for callers that are known already."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError
from identity.claim_pattern import ClaimPattern
from identity.directory import EMPTY_DIRECTORY, Directory, Person
from identity.principal import Delegate, Principal
from identity.provider_settings import ProviderSettings
from identity.provisioning import NO_PROVISIONING, Account, AccountChanges, ProvisioningView
from identity.resolution import Resolver
from identity.scim_settings import ScimSettings
from identity.state import StateUnavailableError
from identity.workloads import ClaimCondition, Workload
from tests.identity.issuer import NOW, Issuer, World, code_of, in_world, until

SETTINGS = ProviderSettings(
    name="corp", issuer="https://corp.example.com", audiences=("portcullis",), email_domains=("example.com",)
)
TOLD = ("group:corp:told",)
PUSHED = ("group:corp:pushed",)
ALICE = Principal(
    subject="user:alice",
    provider="corp",
    issuer="https://corp.example.com",
    token_subject="a-1",
    username="alice",
    groups=TOLD,
    expires_at=NOW + 600,
    issued_at=NOW,
    authenticated_at=None,
    acr=None,
    amr=(),
    token_sha256="aa",
    provisioned_as="a-1",
)


def workload(name: str, provider: str = "ci") -> Workload:
    return Workload(name, provider, (ClaimCondition("repository", (ClaimPattern("example/*"),)),))


def pushed(*, required: bool = False, **accounts: Account) -> ProvisioningView:
    """Return a view in which corp pushes these accounts, by their names with `_` for `-`."""
    view = ProvisioningView({"corp": ScimSettings(token_env="TOKEN", required=required)})
    named = {name.replace("_", "-"): account for name, account in accounts.items()}
    view.apply("corp", AccountChanges(named, 1))
    return view


def verdict(check: Callable[[], Any]) -> Any:
    try:
        return check()
    except InvalidCredentialError as error:
        return error.code


@pytest.mark.parametrize(
    ("view", "provider", "pushed_as", "outcome"),
    [
        (NO_PROVISIONING, "corp", None, TOLD),
        (NO_PROVISIONING, "corp", "a-1", TOLD),
        (pushed(), "corp", "a-1", TOLD),
        (pushed(), "corp", None, TOLD),
        (pushed(a_1=Account(True, PUSHED)), "corp", "a-1", PUSHED),
        (pushed(a_1=Account(True, ())), "corp", "a-1", ()),
        (pushed(a_1=Account(True, PUSHED)), "corp", "a-2", TOLD),
        (pushed(a_1=Account(True, PUSHED)), "corp", None, TOLD),
        (pushed(a_1=Account(True, PUSHED)), "partner", "a-1", TOLD),
        (pushed(a_1=Account(False, PUSHED)), "corp", "a-1", "account_deprovisioned"),
        (pushed(a_1=Account(False, PUSHED)), "partner", "a-1", TOLD),
        (pushed(required=True), "corp", "a-1", "not_provisioned"),
        (pushed(required=True), "corp", None, "not_provisioned"),
        (pushed(required=True), "partner", "a-1", TOLD),
        (pushed(required=True, a_1=Account(True, PUSHED)), "corp", "a-1", PUSHED),
        (pushed(required=True, a_1=Account(False, PUSHED)), "corp", "a-1", "account_deprovisioned"),
    ],
)
def test_whose_groups_count(view: ProvisioningView, provider: str, pushed_as: str | None, outcome: object) -> None:
    """What the provider has pushed counts over what its token says, even where that is no group at all."""
    resolver = Resolver(EMPTY_DIRECTORY, [SETTINGS])
    resolver.provisioning = view
    assert verdict(lambda: resolver.groups(provider, pushed_as, TOLD)) == outcome


ALICE_BY_SUBJECT = Directory({("corp", "a-1"): Person("alice")}, {})
BOB_BY_EMAIL = Directory({}, {("corp", "alice@example.com"): Person("bob")})
DEACTIVATED = Directory({("corp", "a-1"): Person("alice", deactivated=True)}, {})


@pytest.mark.parametrize(
    ("directory", "email", "subject"),
    [
        (EMPTY_DIRECTORY, None, "user:corp:alice"),
        (ALICE_BY_SUBJECT, None, "user:alice"),
        (ALICE_BY_SUBJECT, "alice@example.com", "user:alice"),
        (BOB_BY_EMAIL, "alice@example.com", "user:bob"),
        (BOB_BY_EMAIL, None, "user:corp:alice"),
        (Directory(ALICE_BY_SUBJECT.by_subject, BOB_BY_EMAIL.by_email), "alice@example.com", "ambiguous_person"),
        (DEACTIVATED, None, "person_deactivated"),
        (Directory({("partner", "a-1"): Person("alice")}, {}), None, "user:corp:alice"),
    ],
)
def test_whom_an_account_belongs_to(directory: Directory, email: str | None, subject: str) -> None:
    resolver = Resolver(directory, [SETTINGS])
    assert verdict(lambda: resolver.person_subject("corp", "a-1", "alice", email)) == subject


AGENT = Delegate("workload:ci:agent", "ci", "repo:x", ())
HELPER = Delegate("user:bob", "partner", "b-1", ())
CI = replace(ALICE, subject="workload:ci:agent", provider="ci", kind="workload", provisioned_as=None)
WITH_AGENT = Directory(ALICE_BY_SUBJECT.by_subject, {}, (workload("agent"),))
STRANGER = replace(HELPER, subject="user:partner:b")
HELPER_LISTED = Directory({**ALICE_BY_SUBJECT.by_subject, ("partner", "b-1"): Person("bob")}, {})
BOTH_LISTED = Directory(HELPER_LISTED.by_subject, {}, (workload("agent"),))
HELPER_GONE = Directory({**ALICE_BY_SUBJECT.by_subject, ("partner", "b-1"): Person("bob", deactivated=True)}, {})
BOB_ELSEWHERE = Directory({}, {("corp", "alice@example.org"): Person("bob")})
BOB_GONE = Directory({**ALICE_BY_SUBJECT.by_subject, ("corp", "b"): Person("bob", deactivated=True)}, {})


@pytest.mark.parametrize(
    ("directory", "principal", "code"),
    [
        (ALICE_BY_SUBJECT, ALICE, None),
        (EMPTY_DIRECTORY, ALICE, "identity_changed"),
        (Directory({("corp", "a-1"): Person("eve")}, {}), ALICE, "identity_changed"),
        (ALICE_BY_SUBJECT, replace(ALICE, subject="user:corp:alice"), "identity_changed"),
        (EMPTY_DIRECTORY, replace(ALICE, subject="user:corp:alice"), None),
        (EMPTY_DIRECTORY, replace(ALICE, subject="user:corp:alice", username="al"), "identity_changed"),
        (BOB_BY_EMAIL, replace(ALICE, subject="user:bob", email="alice@example.com"), None),
        (BOB_BY_EMAIL, replace(ALICE, subject="user:bob", email=None), "identity_changed"),
        (BOB_ELSEWHERE, replace(ALICE, subject="user:bob", email="alice@example.org"), "identity_changed"),
        (DEACTIVATED, ALICE, "person_deactivated"),
        (Directory(ALICE_BY_SUBJECT.by_subject, BOB_BY_EMAIL.by_email), ALICE, None),
        (WITH_AGENT, CI, None),
        (EMPTY_DIRECTORY, CI, "unknown_workload"),
        (Directory({}, {}, (workload("agent2"),)), CI, "unknown_workload"),
        (Directory({}, {}, (workload("agent", "other"),)), CI, "unknown_workload"),
        (WITH_AGENT, replace(ALICE, delegates=(AGENT,)), None),
        (ALICE_BY_SUBJECT, replace(ALICE, delegates=(AGENT,)), "unknown_workload"),
        (BOTH_LISTED, replace(ALICE, delegates=(HELPER, AGENT)), None),
        (HELPER_LISTED, replace(ALICE, delegates=(HELPER, AGENT)), "unknown_workload"),
        (WITH_AGENT, replace(ALICE, delegates=(HELPER, AGENT)), "identity_changed"),
        (ALICE_BY_SUBJECT, replace(ALICE, delegates=(HELPER,)), "identity_changed"),
        (BOB_GONE, replace(ALICE, delegates=(HELPER,)), "person_deactivated"),
        (HELPER_GONE, replace(ALICE, delegates=(STRANGER,)), "person_deactivated"),
        (HELPER_LISTED, replace(ALICE, delegates=(STRANGER,)), "identity_changed"),
        (HELPER_LISTED, replace(ALICE, delegates=(HELPER,)), None),
        (ALICE_BY_SUBJECT, replace(ALICE, delegates=(STRANGER,)), None),
        (BOB_GONE, ALICE, None),
    ],
)
def test_whether_a_known_caller_is_still_the_same(directory: Directory, principal: Principal, code: str | None) -> None:
    """A person, a workload, and whoever acts for them: each is looked at."""
    resolver = Resolver(directory, [SETTINGS])
    outcome = verdict(lambda: resolver.recheck(principal))
    assert outcome == (principal if code is None else code)


def test_a_known_callers_groups_are_those_of_now_and_nothing_else_changes() -> None:
    resolver = Resolver(ALICE_BY_SUBJECT, [SETTINGS])
    assert resolver.recheck(ALICE) is ALICE
    resolver.provisioning = pushed(a_1=Account(True, PUSHED))
    assert resolver.recheck(ALICE) == replace(ALICE, groups=PUSHED)
    resolver.provisioning = pushed(a_1=Account(False, PUSHED))
    assert verdict(lambda: resolver.recheck(ALICE)) == "account_deprovisioned"


def test_a_session_from_before_its_provider_pushed_accounts_is_logged_in_anew() -> None:
    resolver = Resolver(ALICE_BY_SUBJECT, [SETTINGS])
    resolver.provisioning = pushed(a_1=Account(True, PUSHED))
    assert verdict(lambda: resolver.recheck(replace(ALICE, provisioned_as=None))) == "identity_changed"


def test_who_acts_for_somebody_is_held_to_what_was_pushed_about_themselves() -> None:
    helper = Delegate("user:corp:bob", "corp", "b-1", TOLD, provisioned_as="b-1")
    acted_for = replace(ALICE, delegates=(helper,))
    resolver = Resolver(ALICE_BY_SUBJECT, [SETTINGS])
    assert resolver.recheck(acted_for) is acted_for
    resolver.provisioning = pushed(b_1=Account(True, PUSHED))
    assert resolver.recheck(acted_for) == replace(acted_for, delegates=(replace(helper, groups=PUSHED),))
    resolver.provisioning = pushed(b_1=Account(False, PUSHED))
    assert verdict(lambda: resolver.recheck(acted_for)) == "account_deprovisioned"
    resolver.provisioning = pushed(required=True, a_1=Account(True, ()))
    person = replace(ALICE, delegates=(helper,))
    assert verdict(lambda: resolver.recheck(person)) == "not_provisioned"


def test_workload_entries_are_the_first_as_subject_and_the_rest_as_groups() -> None:
    resolver = Resolver(Directory({}, {}, (workload("b"), workload("a"), workload("c", "other"))))
    claims = {"repository": "example/x"}
    assert resolver.workload_subjects("ci", claims) == ("workload:ci:b", "workload:ci:a")
    assert verdict(lambda: resolver.workload_subjects("ci", {"repository": "evil/x"})) == "unknown_workload"
    assert verdict(lambda: resolver.workload_subjects("corp", claims)) == "unknown_workload"


CORP = Issuer("corp")
SCIM = {"token_env": "TOKEN"}


async def groups_of(world: World, token: bytes) -> tuple[str, ...] | str:
    try:
        return (await world.federation.authenticate(token)).groups
    except InvalidCredentialError as error:
        return error.code


def test_a_push_reaches_tokens_that_are_known_already() -> None:
    """SECURITY-CASES 28: a group taken away, an account deactivated, deleted, and pushed again."""
    token = CORP.token(groups=["told"])

    async def story(world: World) -> None:
        view = ProvisioningView({"corp": ScimSettings(token_env="TOKEN")})
        world.federation.use_provisioning(view)
        assert await groups_of(world, token) == TOLD
        for position, account, expected in (
            (1, Account(True, PUSHED), PUSHED),
            (2, Account(True, ()), ()),
            (3, Account(False, PUSHED), "account_deprovisioned"),
            (4, Account(True, PUSHED), PUSHED),
        ):
            view.apply("corp", AccountChanges({"alice": account}, position))
            world.federation.identity_changed()
            assert await groups_of(world, token) == expected
            assert await groups_of(world, CORP.token(groups=["told"], jti=f"fresh {position}")) == expected
            assert await groups_of(world, CORP.token(sub="bob", groups=["told"])) == TOLD

    in_world(story, CORP, settings=[CORP.settings(scim=SCIM)])


def test_a_push_counts_from_the_next_change_on_and_not_before_it_is_told() -> None:
    token = CORP.token(groups=["told"])

    async def story(world: World) -> None:
        view = ProvisioningView({"corp": ScimSettings(token_env="TOKEN")})
        world.federation.use_provisioning(view)
        first = await world.federation.authenticate(token)
        view.apply("corp", AccountChanges({"alice": Account(True, PUSHED)}, 1))
        assert await world.federation.authenticate(token) is first
        world.federation.identity_changed()
        second = await world.federation.authenticate(token)
        assert second.groups == PUSHED
        assert await world.federation.authenticate(token) is second, "kept as it is now"

    in_world(story, CORP, settings=[CORP.settings(scim=SCIM)])


def test_a_workload_whose_entry_is_removed_is_out_at_once() -> None:
    ci = Issuer("ci")
    token = ci.token({"typ": "JWT"}, sub="repo:x", repository="example/x", scope=None)
    with_entry = Directory({}, {}, (workload("agent"),))

    async def story(world: World) -> None:
        assert (await world.federation.authenticate(token)).subject == "workload:ci:agent"
        world.federation.use_directory(Directory({}, {}, (workload("other", "corp"),)))
        assert await code_of(world, token) == "unknown_workload"
        world.federation.use_directory(Directory({}, {}, (workload("renamed"),)))
        assert (await world.federation.authenticate(token)).subject == "workload:ci:renamed"
        world.federation.use_directory(with_entry)
        assert (await world.federation.authenticate(token)).subject == "workload:ci:agent"

    settings = [ci.settings(tokens="workloads", groups_claim=None), CORP.settings()]
    in_world(story, ci, CORP, settings=settings, directory=with_entry)


def test_a_suspended_federation_lets_nobody_in_known_or_not_and_goes_on_afterwards() -> None:
    """Who was revoked is not known then."""
    known, fresh = CORP.token(), CORP.token(jti="fresh")

    async def story(world: World) -> None:
        federation = world.federation
        first = await federation.authenticate(known)
        federation.suspend("the state can't be read")
        assert federation.suspended == "the state can't be read"
        for token in (known, fresh, b"", b"not a token"):
            with pytest.raises(StateUnavailableError, match="the state can't be read"):
                await federation.authenticate(token)
        federation.suspend(None)
        assert federation.suspended is None
        assert await federation.authenticate(known) is first
        assert await code_of(world, fresh) is None

    in_world(story, CORP)


def test_a_token_that_was_being_verified_when_all_were_suspended_is_not_let_in() -> None:
    corp = Issuer("corp")

    async def story(world: World) -> None:
        corp.gate = asyncio.Event()
        corp.rotate("corp", "next")
        token = corp.token()
        world.monotonic.now += 60
        fetches = corp.key_fetches
        verifying = asyncio.create_task(world.federation.authenticate(token))
        await until(lambda: corp.key_fetches > fetches)
        world.federation.suspend("the state can't be read")
        corp.gate.set()
        with pytest.raises(StateUnavailableError):
            await verifying
        world.federation.suspend(None)
        assert await code_of(world, token) is None

    in_world(story, corp)
