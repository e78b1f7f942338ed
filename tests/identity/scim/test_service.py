"""What SCIM requests do beyond the resource itself: sessions end, and others' changes are never overwritten."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.state.database import StateDatabase, create_state
from adapters.state.provisioning import SqlProvisioning
from adapters.state.state import SqlState
from identity.provisioning import KeyAttribute
from identity.scim.errors import ScimError
from identity.scim.schema import CORE_GROUP, CORE_USER, GROUP, USER
from identity.scim.service import Conditions, ScimService
from identity.scim.store import Resource, StoreFullError, Write
from tests.adapters.state.samples import NOW, grant
from tests.identity.scim.samples import patch_of

OFF = patch_of({"op": "replace", "value": {"active": False}})


class BusyStore(SqlProvisioning):
    """A store in which somebody else is faster than the next `faster` writes."""

    faster = 0

    def write(self, provider: str, write: Write) -> Resource | None:
        if self.faster and write.expected_version is not None:
            self.faster -= 1
            (known,) = [each for each in self.scan(provider, write.kind) if each.id == write.id]
            others = {**known.document, "title": f"by another, {self.faster} left"}
            super().write(provider, Write(write.kind, write.id, others, known.version, NOW))
        return super().write(provider, write)


class Feed:
    """One provider's service over a real store."""

    def __init__(self, database: StateDatabase, attribute: KeyAttribute = "externalId") -> None:
        self.store, self.state = BusyStore(database), SqlState(database)
        self.service = ScimService(
            self.store, self.state, provider="corp", attribute=attribute, base_url="https://x", now=lambda: NOW
        )

    def user(self, name: str, **attributes: Any) -> str:
        body = {"schemas": [CORE_USER], "userName": name, "externalId": f"E-{name}"} | attributes
        document = self.service.create(USER, body, {}).document
        assert document is not None
        return str(document["id"])

    def patch(self, user_id: str, body: dict[str, Any], **conditions: str) -> str | None:
        return self.service.patch(USER, user_id, body, {}, Conditions(**conditions)).done

    def session(self, name: str, provisioned_as: str, provider: str = "corp") -> None:
        self.state.add_grant(grant(id=name, provisioned_as=provisioned_as, provider=provider))

    def ended(self) -> set[str]:
        """Return the sessions that have ended, each for the one reason, and each revoked."""
        names = {"alice", "bob", "partner's"}
        grants = [self.state.grant(name) for name in names]
        ended = {each.id for each in grants if each is not None and each.end_reason == "deprovisioned"}
        assert {each.key for each in self.state.revocations(NOW) if each.kind == "session"} == ended
        return ended


@pytest.fixture
def database(tmp_path: Path) -> Iterator[StateDatabase]:
    url = f"sqlite:///{tmp_path}/identity.db"
    create_state(url)
    opened = StateDatabase(url)
    yield opened
    opened.close()


@pytest.fixture
def feed(database: StateDatabase) -> Feed:
    found = Feed(database)
    for name, key in (("alice", "E-alice"), ("bob", "E-bob")):
        found.session(name, key)
    found.session("partner's", "E-alice", "partner")
    return found


def test_sessions_end_with_a_deactivation_for_good(feed: Feed) -> None:
    """SECURITY-CASES 28: to be activated again brings none of them back."""
    alice = feed.user("alice")
    feed.user("bob")
    assert feed.ended() == set()
    feed.patch(alice, OFF)
    assert feed.ended() == {"alice"}
    feed.patch(alice, patch_of({"op": "replace", "value": {"active": True}}))
    assert feed.ended() == {"alice"}


def test_sessions_end_with_a_deletion(feed: Feed) -> None:
    feed.service.delete(USER, feed.user("alice"), Conditions())
    assert feed.ended() == {"alice"}


def test_sessions_end_where_somebody_is_created_inactive_or_replaced_so(feed: Feed) -> None:
    feed.user("alice", active=False)
    assert feed.ended() == {"alice"}
    bob = feed.user("bob")
    body = {"schemas": [CORE_USER], "userName": "bob", "externalId": "E-bob", "active": "False"}
    feed.service.replace(USER, bob, body, {}, Conditions())
    assert feed.ended() == {"alice", "bob"}


def test_sessions_end_of_a_name_that_an_account_no_longer_has(feed: Feed) -> None:
    alice = feed.user("alice")
    feed.patch(alice, patch_of({"op": "replace", "path": "title", "value": "x"}))
    assert feed.ended() == set()
    feed.patch(alice, patch_of({"op": "replace", "path": "externalId", "value": "E-2"}))
    assert feed.ended() == {"alice"}


def test_a_repeated_request_ends_what_a_crash_left(feed: Feed) -> None:
    alice = feed.user("alice", active=False)
    feed.state.add_grant(replace(grant(), id="partner's-2", provisioned_as="E-alice"))
    feed.patch(alice, OFF)
    left = feed.state.grant("partner's-2")
    assert left is not None and left.end_reason == "deprovisioned"


def test_sessions_are_told_by_user_names_without_case(database: StateDatabase) -> None:
    feed = Feed(database, "userName")
    feed.session("alice", "alice@example.com")
    feed.patch(feed.user("Alice@Example.com"), OFF)
    assert feed.ended() == {"alice"}


def test_a_change_is_made_anew_from_what_another_has_written(feed: Feed) -> None:
    alice = feed.user("alice")
    feed.store.faster = 3
    assert feed.patch(alice, OFF) == "deactivated user alice"
    document = feed.service.get(USER, alice, {}, Conditions()).document
    assert document is not None
    assert (document["active"], document["title"]) == (False, "by another, 0 left")


def test_a_client_that_names_its_version_is_told_that_another_was_faster(feed: Feed) -> None:
    alice = feed.user("alice")
    tag = feed.service.get(USER, alice, {}, Conditions()).headers["etag"]
    feed.store.faster = 1
    changes: tuple[Callable[[], object], ...] = (
        lambda: feed.patch(alice, OFF, if_match=tag),
        lambda: feed.service.delete(USER, alice, Conditions(if_match=tag)),
    )
    for change in changes:
        with pytest.raises(ScimError) as raised:
            change()
        assert raised.value.status == 412
    assert feed.ended() == set()


def test_nobody_tries_for_ever(feed: Feed) -> None:
    alice = feed.user("alice")
    changes: tuple[Callable[[], object], ...] = (
        lambda: feed.patch(alice, OFF),
        lambda: feed.service.delete(USER, alice, Conditions()),
    )
    for change in changes:
        feed.store.faster = 100
        with pytest.raises(ScimError) as raised:
            change()
        assert raised.value.status == 503
    feed.store.faster = 0
    feed.service.delete(USER, alice, Conditions())


def test_a_full_store_says_so(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(provider: str, write: Write) -> Resource | None:
        raise StoreFullError("at most 3")

    monkeypatch.setattr(feed.store, "write", full)
    with pytest.raises(ScimError) as raised:
        feed.user("alice")
    assert (raised.value.status, raised.value.detail) == (507, "at most 3")


def test_a_page_of_huge_groups_ends_early(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity.scim.listing.MAX_PAGE_MEMBERS", 4)
    users = [{"value": feed.user(f"user-{number}")} for number in range(3)]
    for name in ("a", "b", "c"):
        feed.service.create(GROUP, {"schemas": [CORE_GROUP], "displayName": name, "members": users}, {})
    page = feed.service.list(GROUP, {}).document
    assert page is not None
    assert (page["totalResults"], page["itemsPerPage"]) == (3, 1)
    without = feed.service.list(GROUP, {"excludedAttributes": "members"}).document
    assert without is not None and without["itemsPerPage"] == 3
