"""Every store of pushed users and groups keeps each provider's apart, and tells replicas who is in and who is out."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from adapters.state import provisioning as sql
from adapters.state.database import StateDatabase
from adapters.state.provisioning import SqlProvisioning
from adapters.state.state import SqlState
from identity.provisioning import Account, AccountChanges, ProvisioningView
from identity.scim.store import (
    ChangedMeanwhileError,
    Lookup,
    NotUniqueError,
    Resource,
    StoreFullError,
    UnknownMemberError,
    Write,
)
from identity.scim_settings import ScimSettings
from tests.adapters.state.conftest import Place, together
from tests.adapters.state.samples import NOW


class Feed:
    """One provider's resources in a store, written in few words."""

    def __init__(self, store: SqlProvisioning, provider: str = "corp") -> None:
        self.store, self.provider = store, provider

    def user(self, name: str, **document: Any) -> Resource:
        return self._create("User", {"userName": name, "active": True, "externalId": f"E-{name}"} | document)

    def group(self, name: str, *members: Resource) -> Resource:
        return self._create("Group", {"displayName": name}, frozenset(member.id for member in members))

    def change(
        self, resource: Resource, *, join: set[str] | None = None, leave: set[str] | None = None, **changes: Any
    ) -> Resource:
        document = {name: value for name, value in (resource.document | changes).items() if value is not None}
        write = Write(
            resource.kind,
            resource.id,
            document,
            self.current(resource).version,
            NOW + 5,
            frozenset(join or ()),
            frozenset(leave or ()),
        )
        written = self.store.write(self.provider, write)
        assert written is not None
        return written

    def delete(self, resource: Resource) -> None:
        write = Write(resource.kind, resource.id, None, self.current(resource).version, NOW + 9)
        assert self.store.write(self.provider, write) is None

    def current(self, resource: Resource) -> Resource:
        (found,) = self.store.page(self.provider, resource.kind, Lookup("id", resource.id), skip=0, limit=2).resources
        return found

    def names(self, kind: Any = "User", lookup: Lookup | None = None, *, skip: int = 0, limit: int = 10) -> list[str]:
        page = self.store.page(self.provider, kind, lookup, skip=skip, limit=limit)
        return [each.document.get("userName") or each.document["displayName"] for each in page.resources]

    def accounts(self, attribute: Any = "externalId", after: int = 0) -> dict[str, Account]:
        return dict(self.store.accounts(self.provider, attribute, after).accounts)

    def _create(self, kind: Any, document: dict[str, Any], joining: frozenset[str] = frozenset()) -> Resource:
        written = self.store.write(self.provider, Write(kind, str(uuid4()), document, None, NOW, joining))
        assert written is not None
        return written


@pytest.fixture
def feed(database: StateDatabase) -> Feed:
    return Feed(SqlProvisioning(database))


@pytest.fixture
def other(place: Place, database: StateDatabase) -> Iterator[SqlProvisioning]:
    """Return the store as another replica has it; an SQLite file has one gateway, so there it is the same one."""
    if place.password is None:
        yield SqlProvisioning(database)
        return
    opened = place.open()
    yield SqlProvisioning(opened)
    opened.close()


ACTIVE, REFUSED = Account(True, ()), Account(False, ())


def test_resources_come_back_as_they_were_written(feed: Feed, other: SqlProvisioning) -> None:
    alice = feed.user("Alice", title="Frau \\ Ö \u2028", emails=[{"value": "a@example.com"}])
    assert other.page("corp", "User", None, skip=0, limit=5) == (1, [alice])
    assert (alice.created_at, alice.modified_at) == (NOW, NOW)
    changed = feed.change(alice, title=None)
    assert feed.current(alice) == changed
    assert (changed.created_at, changed.modified_at) == (NOW, NOW + 5)
    assert changed.version > alice.version


def test_resources_are_found_by_id_folded_name_and_external_id(feed: Feed) -> None:
    alice = feed.user("Alice")
    feed.user("bob")
    for lookup in (Lookup("id", alice.id), Lookup("name", "alice"), Lookup("externalId", "E-Alice")):
        assert feed.names(lookup=lookup) == ["Alice"]
    for missed in (Lookup("id", alice.id.upper()), Lookup("name", "Alice"), Lookup("externalId", "e-alice")):
        assert feed.names(lookup=missed) == []
    assert feed.names("Group", Lookup("id", alice.id)) == []


def test_pages_and_scans_give_each_resource_once_oldest_first(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_CHUNK", 3)
    names = {f"user-{number}" for number in range(8)}
    for name in names:
        feed.user(name)
    assert [each.document["userName"] for each in feed.store.scan("corp", "User")] == feed.names()
    pages = [feed.names(skip=skip, limit=3) for skip in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 2, 0]
    assert [name for page in pages for name in page] == feed.names()
    assert set(feed.names()) == names
    assert set(feed.accounts()) == {f"E-{name}" for name in names}


def test_providers_do_not_see_each_other(feed: Feed) -> None:
    """SECURITY-CASES 18: one provider's feed says nothing of another's accounts."""
    partner = Feed(feed.store, "partner")
    alice = feed.user("alice")
    assert partner.names() == []
    assert partner.accounts() == {}
    with pytest.raises(UnknownMemberError):
        partner.group("dev", alice)
    with pytest.raises(ChangedMeanwhileError):
        partner.store.write("partner", Write("User", alice.id, None, alice.version, NOW))
    partner.delete(partner.user("alice"))
    assert feed.accounts() == {"E-alice": ACTIVE}


def test_names_are_unique_without_case_and_external_ids_exactly(feed: Feed) -> None:
    alice, bob = feed.user("alice"), feed.user("bob")
    with pytest.raises(NotUniqueError) as raised:
        feed.user("ALICE", externalId="E-2")
    assert raised.value.what == "name"
    with pytest.raises(NotUniqueError) as raised:
        feed.user("carol", externalId="E-alice")
    assert raised.value.what == "externalId"
    with pytest.raises(NotUniqueError):
        feed.change(bob, userName="Alice")
    with pytest.raises(NotUniqueError):
        feed.change(bob, externalId="E-alice")
    feed.user("dave", externalId="e-alice")
    feed.change(alice, userName="ALICE")
    feed.group("alice")
    with pytest.raises(NotUniqueError):
        feed.group("Alice")
    assert sorted(feed.names()) == ["ALICE", "bob", "dave"]


def test_of_two_that_create_the_same_at_once_one_does(feed: Feed, other: SqlProvisioning) -> None:
    def create(store: SqlProvisioning) -> bool:
        try:
            Feed(store).user("alice")
        except NotUniqueError:
            return False
        return True

    found = together(*[lambda store=store: create(store) for store in (feed.store, other) * 4])
    assert sum(found) == 1


def test_a_change_of_another_version_is_refused_whole(feed: Feed) -> None:
    alice = feed.user("alice")
    feed.change(alice, title="one")
    for document in ({"userName": "alice", "title": "two"}, None):
        with pytest.raises(ChangedMeanwhileError):
            feed.store.write("corp", Write("User", alice.id, document, alice.version, NOW))
    assert feed.current(alice).document["title"] == "one"
    feed.delete(alice)
    with pytest.raises(ChangedMeanwhileError):
        feed.store.write("corp", Write("User", alice.id, alice.document, alice.version, NOW))


def test_a_group_has_its_members_until_they_leave_or_go(feed: Feed) -> None:
    alice, bob = feed.user("alice"), feed.user("bob")
    dev = feed.group("dev", alice, bob)
    ops = feed.group("ops", alice)
    assert feed.store.members("corp", dev.id) == sorted([alice.id, bob.id])
    assert feed.store.groups_of("corp", [alice.id, bob.id, "nobody"]) == {
        alice.id: [(dev.id, "dev"), (ops.id, "ops")],
        bob.id: [(dev.id, "dev")],
        "nobody": [],
    }
    feed.change(dev, leave={bob.id})
    assert feed.store.members("corp", dev.id) == [alice.id]
    version = feed.current(dev).version
    feed.delete(alice)
    assert feed.store.members("corp", dev.id) == []
    assert feed.current(dev).version > version


def test_nothing_of_a_group_with_an_unknown_member_is_written(feed: Feed) -> None:
    alice = feed.user("alice")
    dev = feed.group("dev")
    with pytest.raises(UnknownMemberError) as raised:
        feed.change(dev, displayName="renamed", join={alice.id, "nobody"})
    assert raised.value.user_id == "nobody"
    with pytest.raises(UnknownMemberError):
        feed.change(dev, join={dev.id})
    assert feed.names("Group") == ["dev"]
    assert feed.store.members("corp", dev.id) == []
    assert feed.current(dev).version == dev.version


def test_accounts_have_their_groups_and_lose_them(feed: Feed) -> None:
    """SECURITY-CASES 28"""
    alice, bob = feed.user("alice"), feed.user("bob")
    dev = feed.group("dev", alice, bob)
    feed.group("two words", alice)
    assert feed.accounts() == {
        "E-alice": Account(True, ("group:corp:dev",)),
        "E-bob": Account(True, ("group:corp:dev",)),
    }
    renamed = feed.change(dev, displayName="Ops", leave={bob.id})
    assert feed.accounts() == {"E-alice": Account(True, ("group:corp:Ops",)), "E-bob": ACTIVE}
    feed.delete(renamed)
    assert feed.accounts() == {"E-alice": ACTIVE, "E-bob": ACTIVE}


@pytest.mark.parametrize(("attribute", "key"), [("externalId", "E-Alice"), ("userName", "alice"), ("id", None)])
def test_accounts_are_called_what_the_setting_says(feed: Feed, attribute: str, key: str | None) -> None:
    alice = feed.user("Alice", active=False)
    assert feed.accounts(attribute) == {key or alice.id: REFUSED}


def test_a_user_without_the_name_that_tokens_have_is_nobodys_account(feed: Feed) -> None:
    feed.change(feed.user("alice", externalId=None), active=False)
    assert feed.accounts() == {}
    assert feed.accounts("userName") == {"alice": REFUSED}


def test_a_deleted_account_stays_refused_until_it_is_created_again(feed: Feed) -> None:
    """SECURITY-CASES 28"""
    alice = feed.user("alice")
    feed.group("dev", alice)
    feed.delete(alice)
    for attribute, key in (("externalId", "E-alice"), ("userName", "alice"), ("id", alice.id)):
        assert feed.accounts(attribute) == {key: REFUSED}
    assert feed.names() == []
    feed.user("alice")
    assert feed.accounts() == {"E-alice": ACTIVE}
    feed.delete(feed.current(next(feed.store.scan("corp", "User"))))
    assert feed.accounts() == {"E-alice": REFUSED}


def test_nothing_of_a_person_is_kept_once_deleted_but_what_refuses_them(feed: Feed, database: StateDatabase) -> None:
    feed.delete(feed.user("alice", title="Dr", emails=[{"value": "alice@example.com"}]))
    with database.transaction() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM identity_scim_resource").all()
    assert "example.com" not in repr(row) and "Dr" not in repr(row)


def test_a_name_that_an_account_no_longer_has_is_refused(feed: Feed) -> None:
    """Else an old token would be that of an account nobody knows, which follows its token."""
    alice = feed.user("alice")
    renamed = feed.change(alice, userName="alicia", externalId="E-2")
    assert feed.accounts() == {"E-alice": REFUSED, "E-2": ACTIVE}
    assert feed.accounts("userName") == {"alice": REFUSED, "alicia": ACTIVE}
    feed.change(renamed, externalId=None)
    assert feed.accounts() == {"E-alice": REFUSED, "E-2": REFUSED}
    feed.change(feed.current(alice), externalId="E-alice")
    assert feed.accounts() == {"E-alice": ACTIVE, "E-2": REFUSED}


def test_only_what_has_changed_is_read_again(feed: Feed) -> None:
    alice, bob = feed.user("alice"), feed.user("bob")
    dev = feed.group("dev", bob)
    before = feed.store.accounts("corp", "externalId", 0)
    assert before.accounts.keys() == {"E-alice", "E-bob"}
    assert feed.store.accounts("corp", "externalId", before.position) == AccountChanges({}, before.position)
    feed.change(dev, displayName="ops")
    after = feed.store.accounts("corp", "externalId", before.position)
    assert after.accounts == {"E-bob": Account(True, ("group:corp:ops",))}
    feed.change(alice, active=False)
    assert feed.store.accounts("corp", "externalId", after.position).accounts == {"E-alice": REFUSED}


def test_every_write_is_a_change_that_replicas_hear_of(feed: Feed, state: SqlState, replica: SqlState) -> None:
    alice = feed.user("alice")
    feed.change(alice, active=False)
    feed.delete(alice)
    changes = replica.changes(0)
    assert changes is not None
    assert [(change.topic, change.key) for change in changes] == [("provisioning", "corp")] * 3


def test_a_write_that_is_refused_is_no_change(feed: Feed, state: SqlState) -> None:
    feed.user("alice")
    before = state.newest_change()
    with pytest.raises(NotUniqueError):
        feed.user("alice")
    assert state.newest_change() == before


def test_a_provider_may_not_fill_the_database(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "MAX_RESOURCES", 3)
    feed.delete(feed.user("alice"))
    feed.user("bob")
    carol = feed.user("carol")
    with pytest.raises(StoreFullError):
        feed.user("dave")
    feed.change(carol, active=False)
    feed.group("dev")


def test_a_large_group_is_written_in_pieces(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_CHUNK", 4)
    users = [feed.user(f"user-{number}") for number in range(10)]
    dev = feed.group("dev", *users)
    assert len(feed.store.members("corp", dev.id)) == 10
    assert set(feed.accounts().values()) == {Account(True, ("group:corp:dev",))}
    feed.change(dev, leave={user.id for user in users[:9]})
    assert sum(account.groups != () for account in feed.accounts().values()) == 1


def test_a_view_keeps_up_and_takes_no_step_back(feed: Feed) -> None:
    view = ProvisioningView({"corp": ScimSettings(token_env="TOKEN")})
    alice = feed.user("alice")
    early = feed.store.accounts("corp", "externalId", view.position("corp"))
    feed.change(alice, active=False)
    late = feed.store.accounts("corp", "externalId", view.position("corp"))
    view.apply("corp", late)
    view.apply("corp", early)
    assert view.find("corp", "E-alice") == REFUSED
    assert view.find("corp", "E-bob") is None
    assert view.find("partner", "E-alice") is None
    view.replace("corp", AccountChanges({"E-bob": ACTIVE}, 1))
    assert (view.find("corp", "E-alice"), view.find("corp", "E-bob")) == (None, ACTIVE)
