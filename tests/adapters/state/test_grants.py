"""Every store of grants keeps each fact, ends grants once and for all, and says so to the other replicas."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.state.grants import KEPT_S, SESSION_REVOKED_FOR_S
from adapters.state.state import SqlState
from identity.principal import Confirmation, Limits
from identity.revocation import Revocation
from identity.state import Grant, UsedLogin
from tests.adapters.state.conftest import together
from tests.adapters.state.samples import NOW, grant

MERCIFUL = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": "workload", "subject": "workload:github:deploy", "client": "portcullis-cli"},
        {"groups": (), "amr": (), "email": None, "provisioned_as": None, "provider_session": None},
        {"authenticated_at": None, "acr": None, "sealed_refresh_token": None},
        {"login_used_at": NOW + 5},
        {"limits": Limits(backends=("logs-prod",), actions=("s3:Get*", "read"))},
        {"limits": Limits(backends=(), actions=None)},
        {"confirmation": Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")},
        {"confirmation": Confirmation("x5t#S256", "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")},
        {"created_at": 2**40, "expires_at": 2**40 + 1},
    ],
)
def test_a_grant_comes_back_as_it_was_given(state: SqlState, replica: SqlState, changes: dict[str, Any]) -> None:
    given = grant(**changes)
    state.add_grant(given)
    assert replica.grant(given.id) == given


@MERCIFUL
@given(st.text(min_size=1), st.text(), st.text(max_size=3000))
def test_any_text_that_a_provider_may_send_is_kept_and_found(
    state: SqlState, number: str, subject: str, session: str
) -> None:
    """NUL, lone surrogates, backslashes: whatever is in a claim, it neither breaks the store nor fits another's."""
    name = f"{number}-{state.newest_change()}"
    state.add_grant(grant(id=name, token_subject=subject, provider_session=session, groups=(subject, session)))
    kept = state.grant(name)
    assert kept is not None
    assert (kept.token_subject, kept.provider_session, kept.groups) == (subject, session, (subject, session))
    assert name in state.end_grants(
        now=NOW, reason="provider_logout", account=("corp", subject), provider_session=("corp", session)
    )


@pytest.mark.parametrize("unknown", ["", "grant-2", "GRANT-1", "grant-1\0", "\udcff", "grant-1 "])
def test_an_unknown_grant_is_none(state: SqlState, unknown: str) -> None:
    state.add_grant(grant())
    assert state.grant(unknown) is None


def test_a_renewal_replaces_the_facts(state: SqlState, replica: SqlState) -> None:
    state.add_grant(grant())
    renewed = grant(groups=("group:corp:ops",), renewed_at=NOW + 60, expires_at=NOW + 9000, sealed_refresh_token=b"2")
    assert state.update_grant(renewed)
    assert replica.grant("grant-1") == renewed


def test_an_ended_grant_is_never_revived(state: SqlState, replica: SqlState) -> None:
    """A renewal under way when the person is revoked must not bring the session back."""
    state.add_grant(grant())
    replica.end_grants(now=NOW, reason="revoked", grant_id="grant-1")
    assert not state.update_grant(grant(renewed_at=NOW + 60))
    ended = state.grant("grant-1")
    assert ended is not None
    assert (ended.ended_at, ended.end_reason, ended.renewed_at) == (NOW, "revoked", NOW)


def test_a_renewal_can_not_end_a_grant_behind_the_feeds_back(state: SqlState) -> None:
    state.add_grant(grant())
    assert state.update_grant(grant(ended_at=NOW, end_reason="revoked"))
    assert state.grant("grant-1") == grant()
    assert not state.update_grant(grant(2))


def test_an_ended_grant_keeps_no_secret_of_the_provider(state: SqlState) -> None:
    state.add_grant(grant())
    state.end_grants(now=NOW, reason="logged_out", grant_id="grant-1")
    ended = state.grant("grant-1")
    assert ended == replace(grant(), ended_at=NOW, end_reason="logged_out", sealed_refresh_token=None)


@pytest.mark.parametrize("sealed", [b"\x01sealed\x00\xff", b"", None])
def test_a_login_is_used_once_and_the_providers_token_leaves_the_grant_with_it(
    state: SqlState, replica: SqlState, sealed: bytes | None
) -> None:
    """Also where the provider gave no token: what is used up is the login."""
    given = grant(sealed_refresh_token=sealed)
    state.add_grant(given)
    state.add_grant(grant(2))
    assert replica.use_login("grant-1", NOW + 5) == UsedLogin(sealed)
    assert state.use_login("grant-1", NOW + 5) is None
    assert state.grant("grant-1") == replace(given, sealed_refresh_token=None, login_used_at=NOW + 5)
    assert state.grant("grant-2") == grant(2)


def test_of_two_that_use_a_login_at_the_same_time_one_gets_it(state: SqlState, replica: SqlState) -> None:
    """Two replicas may be sent the same form at once."""
    for number in range(20):
        state.add_grant(grant(number))
        name = f"grant-{number}"
        found = together(
            lambda name=name: state.use_login(name, NOW),  # type: ignore[misc]
            lambda name=name: replica.use_login(name, NOW),  # type: ignore[misc]
        )
        assert sorted(found, key=lambda used: used is None) == [UsedLogin(b"\x01sealed\x00\xff"), None]


@pytest.mark.parametrize("over", ["unknown", "ended", "expired"])
def test_the_login_of_a_session_that_is_over_is_of_no_use(state: SqlState, over: str) -> None:
    state.add_grant(grant(expires_at=NOW + 60))
    if over == "ended":
        state.end_grants(now=NOW, reason="logged_out", grant_id="grant-1")
    name, now = "grant-2" if over == "unknown" else "grant-1", NOW + (60 if over == "expired" else 0)
    assert state.use_login(name, now) is None


def test_whoever_read_a_grant_before_its_login_was_used_does_not_make_it_new_again(state: SqlState) -> None:
    state.add_grant(grant(sealed_refresh_token=None))
    state.use_login("grant-1", NOW + 5)
    assert state.update_grant(grant(sealed_refresh_token=None))
    assert state.use_login("grant-1", NOW + 6) is None


OTHERS = [
    grant(2, provider_session="session-2"),
    grant(3, token_subject="00u2", subject="user:bob"),
    # The same account name and session at another provider are somebody else's.
    grant(4, provider="github", subject="user:mallory"),
    grant(5, created_at=NOW + 10),
    grant(6, subject="user:carol", token_subject="00u6", provisioned_as=None, provider_session=None),
]


@pytest.mark.parametrize(
    ("terms", "ended"),
    [
        ({"grant_id": "grant-1"}, {1}),
        ({"subject": "user:alice"}, {1, 2, 5}),
        ({"account": ("corp", "00u1")}, {1, 2, 5}),
        ({"account": ("github", "00u1")}, {4}),
        ({"provider_session": ("corp", "session-2")}, {2}),
        ({"provider_session": ("corp", "session-1")}, {1, 3, 5}),
        ({"provisioned": ("corp", "00u1")}, {1, 2, 3, 5}),
        ({"provisioned": ("github", "00u1")}, {4}),
        ({"subject": "user:alice", "created_until": NOW}, {1, 2}),
        ({"subject": "user:alice", "provider_session": ("corp", "session-1")}, {1, 5}),
        ({"unnamed_session": ("corp", "00u6")}, {6}),
        ({"unnamed_session": ("corp", "00u1")}, set()),
        ({"unnamed_session": ("github", "00u6")}, set()),
        ({"grant_id": "grant-1", "subject": "user:bob"}, set()),
        ({"subject": "user:Alice"}, set()),
        ({"account": ("corp", "")}, set()),
    ],
)
def test_exactly_the_named_grants_end(
    state: SqlState, replica: SqlState, terms: dict[str, Any], ended: set[int]
) -> None:
    every: list[Grant] = [grant(), *OTHERS]
    for each in every:
        state.add_grant(each)
    ids = {f"grant-{number}" for number in ended}
    assert set(state.end_grants(now=NOW + 20, reason="revoked", **terms)) == ids
    found = {each.id for each in every if (kept := replica.grant(each.id)) is not None and kept.ended_at is not None}
    assert found == ids
    assert state.end_grants(now=NOW + 30, reason="logged_out", **terms) == ()


def test_all_grants_are_never_ended_by_a_call_that_names_none(state: SqlState) -> None:
    state.add_grant(grant())
    with pytest.raises(ValueError, match="name the grants"):
        state.end_grants(now=NOW, reason="revoked", created_until=NOW)
    assert state.grant("grant-1") == grant()


def test_an_end_is_a_revocation_that_replicas_learn_of(state: SqlState, replica: SqlState) -> None:
    """Access tokens live at most an hour, so the session's revocation may be forgotten after it."""
    state.add_grant(grant())
    state.add_grant(grant(2))
    newest = replica.newest_change()
    assert set(state.end_grants(now=NOW, reason="revoked", subject="user:alice")) == {"grant-1", "grant-2"}
    changes = replica.changes(newest)
    assert changes is not None
    assert [change.number for change in changes] == [newest + 1, newest + 2]
    assert {(change.topic, change.key) for change in changes} == {
        ("revocation", "session:grant-1"),
        ("revocation", "session:grant-2"),
    }
    assert set(replica.revocations(NOW)) == {
        Revocation("session", "grant-1", NOW, NOW + SESSION_REVOKED_FOR_S),
        Revocation("session", "grant-2", NOW, NOW + SESSION_REVOKED_FOR_S),
    }


def test_living_grants_are_the_subjects_own_newest_first(state: SqlState) -> None:
    for each in (
        grant(1, created_at=NOW - 30),
        grant(2, created_at=NOW - 10),
        grant(3, created_at=NOW - 20),
        grant(4, expires_at=NOW),
        grant(5, subject="user:bob"),
        grant(6),
    ):
        state.add_grant(each)
    state.end_grants(now=NOW, reason="logged_out", grant_id="grant-6")
    assert [each.id for each in state.living_grants("user:alice", NOW)] == ["grant-2", "grant-3", "grant-1"]
    assert state.living_grants("user:nobody", NOW) == []


def test_of_two_that_end_the_same_grants_each_is_told_its_own(state: SqlState, replica: SqlState) -> None:
    """No grant is ended twice, and two that end several in any order never wait for each other for ever."""
    for number in range(20):
        state.add_grant(grant(number, provider_session=f"session-{number % 2}"))
    first, second, third = together(
        lambda: state.end_grants(now=NOW, reason="revoked", subject="user:alice"),
        lambda: replica.end_grants(now=NOW, reason="provider_logout", account=("corp", "00u1")),
        lambda: replica.end_grants(now=NOW, reason="provider_logout", provider_session=("corp", "session-1")),
    )
    assert sorted([*first, *second, *third]) == sorted(f"grant-{number}" for number in range(20))


def test_grants_that_are_long_over_are_forgotten_in_small_steps(state: SqlState) -> None:
    """Thirty days after the end nobody asks for them; no single write has to delete them all."""
    later = NOW + 3600 + KEPT_S
    for number in range(50):
        state.add_grant(grant(number))
    state.add_refresh_token(b"of an old grant", "grant-1", later * 2)
    state.add_grant(grant(100, expires_at=later))
    state.add_grant(grant(101, created_at=later, expires_at=later + 1))
    assert sum(state.grant(f"grant-{number}") is not None for number in range(50)) == 50
    counts = []
    for number in range(102, 106):
        state.add_grant(grant(number, created_at=later + 1, expires_at=later + 9))
        counts.append(sum(state.grant(f"grant-{old}") is not None for old in range(50)))
    assert counts == [30, 10, 0, 0]
    assert state.grant("grant-100") is not None
    assert state.claim_refresh_token(b"of an old grant", NOW) is None
