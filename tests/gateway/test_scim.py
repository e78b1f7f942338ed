"""SCIM end to end: a provider pushes, and what it pushed decides, open streams and sessions included."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.scim import MAX_BODY_BYTES
from gateway.app import create_identity_state
from identity.scim.schema import CORE_GROUP, CORE_USER, ENTERPRISE_USER
from identity.sealing import Sealer
from tests.identity.scim.samples import ENTRA_USER, patch_of
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.postgres import Postgres
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawUpstream
from tests.parts.tail import line_then_silence, open_stream, tail_backend

TOKEN, PARTNER_TOKEN = "a-token-of-corp-for-tests", "a-token-of-partner-for-tests"
RULES = ["p, group:corp:dev, prod, logs/**, tail, allow,", "p, group:corp:told, prod, logs/**, tail, allow,"]
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class World:
    """A gateway that `corp` and `partner` push to; accounts of corp are told by `externalId`, the token's `sub`."""

    def __init__(self, gateway: GatewayProcess, issuer: Issuer) -> None:
        self.gateway, self.issuer = gateway, issuer
        self.scim = httpx.Client(
            base_url=f"{gateway.url}/-/scim/v2/corp",
            headers={**bearer(TOKEN), "content-type": "application/scim+json"},
            timeout=20,
        )

    def user(self, name: str, **attributes: Any) -> str:
        """Push a user, whose token has the subject `sub-<name>`, and return the id."""
        body = {"schemas": [CORE_USER], "userName": name, "externalId": f"sub-{name}", "active": True}
        answer = self.scim.post("/Users", json=body | attributes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def group(self, name: str, *members: str) -> str:
        """Push a group and return the id."""
        body = {"schemas": [CORE_GROUP], "displayName": name, "members": [{"value": user_id} for user_id in members]}
        answer = self.scim.post("/Groups", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> httpx.Response:
        return self.scim.patch(path, json=patch_of(*operations), headers=headers)

    def found(self, expression: str, resources: str = "Users", **parameters: Any) -> list[dict[str, Any]]:
        answer = self.scim.get(f"/{resources}", params={"filter": expression, **parameters})
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["Resources"]
        return listed

    def token(self, name: str, **claims: Any) -> str:
        return self.issuer.token(name, groups=["told"], **claims)

    def who(self, token: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.url}/-/api/v1/whoami", headers=bearer(token))

    def groups(self, token: str) -> list[str]:
        answer = self.who(token)
        assert answer.status_code == 200, answer.text
        groups: list[str] = answer.json()["groups"]
        return groups

    def exchanged(self, token: str) -> str:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        answer = httpx.post(f"{self.gateway.url}/-/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def stream(self, token: str) -> RawClient:
        return open_stream(self.gateway.port, token)

    def records(self) -> list[dict[str, Any]]:
        rows = [json.loads(row.body) for row in stored_rows(self.gateway.site)]
        return [row for row in rows if row["kind"] == "authn"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, Issuer]]:
    with Issuer() as issuer, Issuer("partner") as partner, RawUpstream(line_then_silence) as upstream:
        backend = tail_backend(upstream.url)
        providers = [
            {**issuer.settings, "scim": {"token_env": "SCIM_TOKEN"}},
            {**partner.settings, "scim": {"token_env": "PARTNER_TOKEN", "required": True}},
        ]
        site = make_site(
            tmp_path_factory.mktemp("site"), providers=providers, backends=[backend], rules=RULES, with_state=True
        )
        environment = {"SCIM_TOKEN": TOKEN, "PARTNER_TOKEN": PARTNER_TOKEN}
        with GatewayProcess(site, environment=environment) as process:
            yield process, issuer


@pytest.fixture
def world(gateway: tuple[GatewayProcess, Issuer]) -> Iterator[World]:
    """Return the gateway that these tests share, without any user or group."""
    found = World(*gateway)
    for resources in ("Groups", "Users"):
        for each in found.scim.get(f"/{resources}", params={"count": 200, "attributes": "id"}).json()["Resources"]:
            found.scim.delete(f"/{resources}/{each['id']}")
    yield found
    found.scim.close()


def test_a_deactivated_account_is_out_with_its_tokens_and_streams_at_once(world: World) -> None:
    """SECURITY-CASES 28: when the answer comes, nobody is let in any more, and what was open has been cut."""
    alice, bob = world.user("alice"), world.user("bob")
    world.group("dev", alice, bob)
    token = world.token("alice")
    own = world.exchanged(token)
    with world.stream(token) as first, world.stream(own) as second, world.stream(world.token("bob")):
        assert world.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}}).status_code == 200
        assert [world.who(each).json().get("error") for each in (token, own)] == ["account_deprovisioned"] * 2
        first.read_to_close()
        second.read_to_close()
    assert world.who(world.token("bob")).status_code == 200
    world.patch(f"/Users/{alice}", {"op": "Replace", "path": "active", "value": "True"})
    assert world.who(world.token("alice")).status_code == 200


def test_a_deleted_account_stays_out_until_it_is_pushed_again(world: World) -> None:
    """SECURITY-CASES 28"""
    alice = world.user("alice")
    assert world.scim.delete(f"/Users/{alice}").status_code == 204
    assert world.scim.get(f"/Users/{alice}").status_code == 404
    assert world.scim.delete(f"/Users/{alice}").status_code == 404
    assert world.who(world.token("alice")).json()["error"] == "account_deprovisioned"
    world.user("alice")
    assert world.groups(world.token("alice")) == []


def test_who_leaves_a_group_loses_its_rights_and_open_streams(world: World) -> None:
    """SECURITY-CASES 28"""
    alice = world.user("alice")
    dev = world.group("dev", alice)
    token = world.token("alice")
    assert world.groups(token) == ["group:corp:dev"]
    with world.stream(token) as stream:
        answer = world.patch(f"/Groups/{dev}", {"op": "remove", "path": f'members[value eq "{alice}"]'})
        assert answer.status_code == 204
        assert world.groups(token) == []
        stream.read_to_close()


def test_pushed_groups_count_instead_of_the_tokens(world: World) -> None:
    alice = world.user("alice")
    stranger = world.token("stranger")
    assert world.groups(stranger) == ["group:corp:told"]
    token = world.token("alice")
    assert world.groups(token) == []
    dev = world.group("dev", alice)
    world.group("no rule, can name this", alice)
    assert world.groups(token) == ["group:corp:dev"]
    world.patch(f"/Groups/{dev}", {"op": "replace", "value": {"id": dev, "displayName": "ops"}})
    assert world.groups(token) == ["group:corp:ops"]
    world.scim.delete(f"/Groups/{dev}")
    assert world.groups(token) == []


def test_a_token_that_does_not_say_whose_it_is_is_refused(tmp_path: Path) -> None:
    """Nobody could tell whether its account was deactivated."""
    with Issuer() as issuer:
        settings = {**issuer.settings, "scim": {"token_env": "SCIM_TOKEN", "claim": "oid"}}
        site = make_site(tmp_path, providers=[settings], backends=[tail_backend()], with_state=True)
        with GatewayProcess(site, environment={"SCIM_TOKEN": TOKEN}) as process:
            world = World(process, issuer)
            assert world.who(world.token("alice")).json()["error"] == "missing_claim"
            assert world.who(world.token("alice", oid="1")).status_code == 200
            world.scim.close()


def test_accounts_by_user_name_are_told_without_case(tmp_path: Path) -> None:
    """Entra ID writes user names with capitals in one place and without in the other."""
    with Issuer() as issuer:
        scim = {"token_env": "SCIM_TOKEN", "attribute": "userName", "claim": "preferred_username"}
        site = make_site(
            tmp_path, providers=[{**issuer.settings, "scim": scim}], backends=[tail_backend()], with_state=True
        )
        with GatewayProcess(site, environment={"SCIM_TOKEN": TOKEN}) as process:
            world = World(process, issuer)
            world.user("Alice@Example.com", active=False)
            for name in ("alice@example.com", "ALICE@example.com"):
                answer = world.who(world.token("x", preferred_username=name))
                assert answer.json()["error"] == "account_deprovisioned"
            world.scim.close()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("corp", {}),
        ("corp", bearer("wrong")),
        ("corp", bearer(TOKEN + "x")),
        ("corp", bearer(TOKEN[:-1])),
        ("corp", bearer(PARTNER_TOKEN)),
        ("corp", {"Authorization": f"Basic {TOKEN}"}),
        ("corp", {"Authorization": TOKEN}),
        ("corp", {"Authorization": "Bearer"}),
        ("partner", bearer(TOKEN)),
        ("nobody", bearer(TOKEN)),
    ],
)
def test_only_the_feeds_own_token_opens_it(world: World, path: str, headers: dict[str, str]) -> None:
    """SECURITY-CASES 15, 18, 24: strangers learn nothing, not even which providers push."""
    url = f"{world.gateway.url}/-/scim/v2/{path}/Users"
    answer = httpx.get(url, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json() == httpx.get(f"{world.gateway.url}/-/scim/v2/other/Users").json()
    assert TOKEN not in answer.text
    refused = world.records()[-2]
    assert (refused["action"], refused["result"], refused["client"]) == ("provision", "fail", "scim")
    assert refused["provider"] == ("" if path == "nobody" else path)


def test_nobody_pushes_without_the_token_whatever_the_method(world: World) -> None:
    alice = world.user("alice")
    for method, path in (
        ("POST", "/Users"),
        ("PUT", f"/Users/{alice}"),
        ("PATCH", f"/Users/{alice}"),
        ("DELETE", f"/Users/{alice}"),
        ("GET", "/ServiceProviderConfig"),
    ):
        url = f"{world.gateway.url}/-/scim/v2/corp{path}"
        assert httpx.request(method, url, headers=bearer("wrong")).status_code == 401
    assert world.scim.get(f"/Users/{alice}").json()["active"] is True


def test_every_write_is_recorded_without_what_was_written(world: World) -> None:
    """SECURITY-CASES 24"""
    before = len(world.records())
    alice = world.user("alice", password="1mz050nq", title="Dr")
    world.patch(
        f"/Users/{alice}",
        {"op": "replace", "path": "title", "value": "Prof"},
        {"op": "replace", "path": "active", "value": False},
    )
    dev = world.group("dev", alice)
    world.patch(f"/Groups/{dev}", {"op": "remove", "path": "members"})
    world.scim.post("/Users", json={"schemas": [CORE_USER], "userName": "ALICE"})
    world.scim.delete(f"/Users/{alice}")
    records = world.records()[before:]
    assert [(record["result"], record["detail"]) for record in records] == [
        ("ok", "created user alice"),
        ("ok", "deactivated user alice, title"),
        ("ok", "created group dev, 1 member"),
        ("ok", "changed group dev, 1 user left"),
        ("fail", "POST of a user: another user has this userName"),
        ("ok", "deleted user alice"),
    ]
    assert {(each["action"], each["client"], each["provider"]) for each in records} == {("provision", "scim", "corp")}
    log = "".join(world.gateway.log) + world.gateway.site.database.read_bytes().decode("latin-1")
    assert "1mz050nq" not in log and "Prof" not in log and TOKEN not in log


def test_entras_way_through_a_users_life(world: World) -> None:
    """Microsoft's SCIM tutorial: look for it, create it, change it, disable it, delete it."""
    name = "alice@example.com"
    assert world.found('userName eq "non-existent user"') == []
    created = world.scim.post("/Users", json=ENTRA_USER)
    assert created.status_code == 201
    assert created.headers["content-type"] == "application/scim+json"
    user = created.json()
    assert created.headers["location"] == user["meta"]["location"]
    path = f"/Users/{user['id']}"
    assert world.scim.get(path).json() == user
    assert [each["id"] for each in world.found(f'userName eq "{name}"')] == [user["id"]]
    assert [each["id"] for each in world.found(f'emails[type eq "work"] and emails.value eq "{name}"')] == [user["id"]]
    assert world.found(f'externalId eq "{ENTRA_USER["externalId"]}"', attributes="id,userName") == [
        {"schemas": [CORE_USER, ENTERPRISE_USER], "id": user["id"], "userName": "Alice@example.com"}
    ]
    changed = world.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@example.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
    )
    assert changed.status_code == 200
    assert changed.json()["emails"][0]["value"] == "updated@example.com"
    assert world.patch(path, {"op": "Replace", "path": "userName", "value": "al@example.com"}).status_code == 200
    assert world.patch(path, {"op": "Replace", "path": "active", "value": "False"}).json()["active"] is False
    assert world.scim.delete(path).status_code == 204


def test_entras_way_through_a_groups_life(world: World) -> None:
    """Microsoft's SCIM tutorial; groups are read without their members, which may be many."""
    alice, bob = world.user("alice"), world.user("bob")
    body = {"schemas": [CORE_GROUP], "externalId": "8aa1a0c0", "displayName": "displayName", "members": []}
    group = world.scim.post("/Groups", json=body)
    assert group.status_code == 201
    path = f"/Groups/{group.json()['id']}"
    assert world.patch(path, {"op": "Replace", "path": "displayName", "value": "renamed"}).status_code == 204
    added = [{"$ref": None, "value": alice}, {"$ref": None, "value": bob}]
    assert world.patch(path, {"op": "Add", "path": "members", "value": added}).content == b""
    assert "members" not in world.scim.get(path, params={"excludedAttributes": "members"}).json()
    assert "members" not in world.found('displayName eq "Renamed"', "Groups", excludedAttributes="members")[0]
    assert len(world.scim.get(path).json()["members"]) == 2
    removed = [{"$ref": None, "value": alice}]
    assert world.patch(path, {"op": "Remove", "path": "members", "value": removed}).status_code == 204
    assert [member["value"] for member in world.scim.get(path).json()["members"]] == [bob]
    assert world.scim.delete(path).status_code == 204


def test_oktas_way_through_a_users_life(world: World) -> None:
    """Okta's SCIM 2.0 reference: PUT replaces a user, PATCH without a path deactivates."""
    assert world.scim.get("/Users", params={"startIndex": 1, "count": 2}).json()["totalResults"] == 0
    assert world.found('userName eq "test.user@okta.local"', startIndex=1, count=100) == []
    body = {
        "schemas": [CORE_USER],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    user = world.scim.post("/Users", json=body).json()
    assert "password" not in user
    path = f"/Users/{user['id']}"
    replaced = world.scim.put(path, json={**user, "name": {"givenName": "Another", "familyName": "User"}})
    assert (replaced.status_code, replaced.json()["name"]["givenName"]) == (200, "Another")
    off = world.patch(path, {"op": "replace", "value": {"active": False}})
    assert (off.status_code, off.json()["active"]) == (200, False)
    kept = world.scim.put(path, json={key: value for key, value in body.items() if key != "active"})
    assert kept.json()["active"] is False, "what is not said does not let anybody in again"
    assert world.scim.put(path, json=body).json()["active"] is True


def test_oktas_way_through_a_groups_life(world: World) -> None:
    """Okta's SCIM 2.0 reference"""
    alice, bob = world.user("alice"), world.user("bob")
    group = world.scim.post("/Groups", json={"schemas": [CORE_GROUP], "displayName": "Test SCIMv2", "members": []})
    path = f"/Groups/{group.json()['id']}"
    replaced = {"op": "replace", "path": "members", "value": [{"value": alice, "display": "alice@example.com"}]}
    assert world.patch(path, replaced).status_code == 204
    world.patch(
        path,
        {"op": "remove", "path": f'members[value eq "{alice}"]'},
        {"op": "add", "path": "members", "value": [{"value": bob, "display": "bob@example.com"}]},
    )
    assert [member["value"] for member in world.scim.get(path).json()["members"]] == [bob]
    put = {"schemas": [CORE_GROUP], "displayName": "Renamed", "members": [{"value": alice}]}
    assert [member["value"] for member in world.scim.put(path, json=put).json()["members"]] == [alice]
    assert world.scim.get("/Groups", params={"startIndex": 1, "count": 100}).json()["totalResults"] == 1
    assert world.scim.delete(path).status_code == 204


def test_versions_guard_against_lost_updates(world: World) -> None:
    """RFC 7644, section 3.14"""
    path = f"/Users/{world.user('alice')}"
    tag = world.scim.get(path).headers["etag"]
    assert tag.startswith('W/"')
    assert world.scim.get(path, headers={"if-none-match": tag}).status_code == 304
    assert world.scim.get(path, headers={"if-none-match": 'W/"0"'}).status_code == 200
    title = {"op": "replace", "path": "title", "value": "x"}
    changed = world.patch(path, title, **{"if-match": f'"other", {tag}'})
    assert changed.status_code == 200
    assert changed.headers["etag"] == changed.json()["meta"]["version"] != tag
    assert world.patch(path, title).headers["etag"] == changed.headers["etag"], "nothing new, no new version"
    off = {"op": "replace", "value": {"active": False}}
    assert world.patch(path, off, **{"if-match": tag}).status_code == 412
    assert world.scim.put(path, json=ENTRA_USER, headers={"if-match": tag}).status_code == 412
    assert world.scim.delete(path, headers={"if-match": tag}).status_code == 412
    assert world.scim.get(path).json()["active"] is True
    assert world.scim.delete(path, headers={"if-match": "*"}).status_code == 204


def test_lists_come_in_pages_of_what_is_asked_for(world: World) -> None:
    """RFC 7644, section 3.4.2.4"""
    for number in range(5):
        world.user(f"user-{number}", title="even" if number % 2 == 0 else "odd")

    def page(**parameters: Any) -> tuple[int, int, int, list[str]]:
        answer = world.scim.get("/Users", params=parameters).json()
        names = [each["userName"] for each in answer["Resources"]]
        return answer["totalResults"], answer["startIndex"], answer["itemsPerPage"], names

    everybody = page()[3]
    assert sorted(everybody) == [f"user-{number}" for number in range(5)]
    assert page(startIndex=2, count=2) == (5, 2, 2, everybody[1:3])
    assert page(startIndex=5, count=9) == (5, 5, 1, everybody[4:])
    assert page(startIndex=9) == (5, 9, 0, [])
    assert page(startIndex=-3, count=1) == (5, 1, 1, everybody[:1])
    assert page(count=0) == page(count=-1) == (5, 1, 0, [])
    assert page(count=100_000)[2] == 5
    total, _, shown, names = page(filter='title eq "EVEN" and userName sw "user"', startIndex=2, count=1)
    assert (total, shown) == (3, 1)
    assert names[0] in everybody
    assert world.scim.get("/Users", params={"count": "many"}).json()["scimType"] == "invalidValue"


def test_groups_and_users_are_found_by_who_is_in_which(world: World) -> None:
    alice = world.user("alice")
    world.user("bob")
    dev = world.group("dev", alice)
    world.group("ops")
    assert [each["displayName"] for each in world.found(f'members eq "{alice}"', "Groups")] == ["dev"]
    assert [each["displayName"] for each in world.found(f'members[value eq "{alice}"]', "Groups")] == ["dev"]
    assert [each["userName"] for each in world.found(f'groups.value eq "{dev}"')] == ["alice"]
    assert world.found(f'id eq "{dev}" and members eq "{alice}"', "Groups", attributes="id")[0]["id"] == dev


@pytest.mark.parametrize(
    ("request_line", "body", "status", "scim_type"),
    [
        ("POST /Users", {"schemas": [CORE_USER], "userName": "ALICE"}, 409, "uniqueness"),
        ("POST /Users", {"schemas": [CORE_USER]}, 400, "invalidValue"),
        ("POST /Users", {"userName": "bob"}, 400, "invalidSyntax"),
        ("POST /Users", b"{", 400, "invalidSyntax"),
        ("POST /Users", b'{"schemas": [], "schemas": []}', 400, "invalidSyntax"),
        ("POST /Users", b"[]", 400, "invalidSyntax"),
        ("POST /Users", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalidSyntax"),
        ("POST /Users", b'{"a": "\xff"}', 400, "invalidSyntax"),
        ("POST /Users", b" " * (MAX_BODY_BYTES + 1), 413, None),
        (
            "POST /Groups",
            {"schemas": [CORE_GROUP], "displayName": "x", "members": [{"value": "nobody"}]},
            400,
            "invalidValue",
        ),
        ("GET /Users?filter=userName%20is%20alice", None, 400, "invalidFilter"),
        ("GET /Users?filter=nickname%20eq%20%22a%22%20or%20unheardOf%20pr", None, 400, "invalidFilter"),
        ("GET /Users/nobody", None, 404, None),
        ("PUT /Users/nobody", ENTRA_USER, 404, None),
        ("PATCH /Users/nobody", patch_of({"op": "remove", "path": "title"}), 404, None),
        ("DELETE /Groups/nobody", None, 404, None),
        ("DELETE /Users", None, 405, None),
        ("POST /Users/nobody", ENTRA_USER, 405, None),
        ("POST /Schemas", {}, 405, None),
        ("POST /Bulk", {}, 404, None),
        ("GET /Me", None, 404, None),
        ("GET ", None, 404, None),
        ("GET /Schemas?filter=id%20pr", None, 403, None),
        ("GET /Schemas/urn:example:x", None, 404, None),
    ],
)
def test_errors_have_the_form_of_the_standard(
    world: World, request_line: str, body: Any, status: int, scim_type: str | None
) -> None:
    """RFC 7644, section 3.12; SECURITY-CASES 23"""
    method, _, path = request_line.partition(" ")
    world.user("alice")
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    answer = world.scim.request(method, path, content=content)
    assert (answer.status_code, answer.json().get("scimType")) == (status, scim_type)
    assert answer.json()["schemas"] == [ERROR]
    assert answer.json()["status"] == str(status)
    assert answer.headers["content-type"] == "application/scim+json"


def test_other_kinds_of_bodies_are_refused_and_json_is_taken(world: World) -> None:
    body = json.dumps({"schemas": [CORE_USER], "userName": "alice"})
    for media_type in ("text/plain", "application/xml", ""):
        answer = world.scim.post("/Users", content=body, headers={"content-type": media_type})
        assert answer.status_code == 415
    answer = world.scim.post("/Users", content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status_code == 201


def test_a_client_finds_out_what_is_served(world: World) -> None:
    """RFC 7644, section 4"""
    config = world.scim.get("/ServiceProviderConfig").json()
    assert {name: config[name]["supported"] for name in ("patch", "bulk", "filter", "sort", "etag")} == {
        "patch": True,
        "bulk": False,
        "filter": True,
        "sort": False,
        "etag": True,
    }
    assert config["filter"]["maxResults"] == 200
    types = world.scim.get("/ResourceTypes").json()["Resources"]
    assert [each["id"] for each in types] == ["User", "Group"]
    assert world.scim.get("/ResourceTypes/User").json() == types[0]
    listed = world.scim.get("/Schemas").json()["Resources"]
    assert [each["id"] for each in listed] == [CORE_USER, ENTERPRISE_USER, CORE_GROUP]
    assert world.scim.get(f"/Schemas/{CORE_USER}").json() == listed[0]


def test_pushed_accounts_outlive_a_restart(world: World) -> None:
    alice = world.user("alice")
    world.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}})
    world.gateway.stop()
    world.gateway.start()
    assert world.who(world.token("alice")).json()["error"] == "account_deprovisioned"


def test_nothing_is_written_while_it_can_not_be_recorded_or_kept(tmp_path: Path) -> None:
    """SECURITY-CASES 38: the client is told to come back, in its own words."""
    with Issuer() as issuer:
        settings = {**issuer.settings, "scim": {"token_env": "SCIM_TOKEN"}}
        site = make_site(tmp_path, providers=[settings], backends=[tail_backend()], with_state=True)
        with GatewayProcess(site, environment={"SCIM_TOKEN": TOKEN}) as process:
            world = World(process, issuer)
            path = f"/Users/{world.user('alice')}"
            off = {"op": "replace", "value": {"active": False}}
            for name in ("identity.db", "portcullis.db"):
                (tmp_path / name).rename(tmp_path / "away")
                world.patch(path, {"op": "replace", "value": {"title": name}})
                answer = world.patch(path, off)
                assert (answer.status_code, answer.json()["status"]) == (503, "503")
                assert answer.headers["retry-after"] == "5"
                (tmp_path / "away").rename(tmp_path / name)
                process.wait_until(lambda: world.scim.get(path).status_code == 200, "the file to be used again")
                assert world.scim.get(path).json()["active"] is True
            process.wait_until(lambda: world.patch(path, off).status_code == 200, "the log to be used again")
            world.scim.close()


def test_what_one_replica_is_pushed_counts_at_the_other(tmp_path: Path, postgres: Postgres) -> None:
    """SECURITY-CASES 28: open streams at the other replica included, within the 3 s that are the bar."""
    Sealer.create(tmp_path / "identity.secret")
    database = postgres.create_database()
    create_identity_state(database, postgres.password)
    state = {
        "database": database,
        "database_password_env": "DB_PASSWORD",
        "secret_file": str(tmp_path / "identity.secret"),
    }
    environment = {"SCIM_TOKEN": TOKEN, "DB_PASSWORD": postgres.password}
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        backend = tail_backend(stack.enter_context(RawUpstream(line_then_silence)).url)
        worlds = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            site = make_site(
                tmp_path / name,
                providers=[{**issuer.settings, "scim": {"token_env": "SCIM_TOKEN"}}],
                backends=[backend],
                rules=RULES,
                identity={"state": state},
            )
            process = stack.enter_context(GatewayProcess(site, environment=environment))
            worlds.append(World(process, issuer))
            stack.callback(worlds[-1].scim.close)
        one, other = worlds
        alice, token = one.user("alice"), one.token("alice")
        one.group("dev", alice)
        other.gateway.wait_until(lambda: other.groups(token) == ["group:corp:dev"], "the other hears of the group")
        with other.stream(token) as stream:
            one.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}})
            stream.read_to_close()
        assert other.who(token).json()["error"] == "account_deprovisioned"
        assert other.scim.get(f"/Users/{alice}").json()["active"] is False


def test_only_pushed_accounts_of_a_provider_that_requires_it_are_let_in(tmp_path: Path) -> None:
    with Issuer() as issuer:
        scim = {"token_env": "SCIM_TOKEN", "required": True}
        site = make_site(
            tmp_path, providers=[{**issuer.settings, "scim": scim}], backends=[tail_backend()], with_state=True
        )
        with GatewayProcess(site, environment={"SCIM_TOKEN": TOKEN}) as process:
            world = World(process, issuer)
            assert world.who(world.token("alice")).json()["error"] == "not_provisioned"
            world.user("alice")
            assert world.who(world.token("alice")).status_code == 200
            world.scim.close()
