"""One person, two certified providers, one running gateway: what counts from whom, and what a provider's troubles cost.

`corp` gives out JWTs (RS256) with its groups nested in them, `partner` opaque tokens that only introspection explains.
Both know alice, and disagree about her groups. Both publish a key of the same id.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.console.people import Person, answer_of, authorize_path, sent_to, tokens_for
from tests.parts.front import close_after, ok
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.http_browser import http_browser
from tests.parts.login_site import LoginSite
from tests.parts.oidc_provider import AUDIENCE, CLIENT_ID, CLIENT_SECRET, OidcProvider
from tests.parts.raw_upstream import RawUpstream

CORP_ACCOUNTS: Mapping[str, Mapping[str, object]] = {
    "alice": {"groups": ["decoy"], "access_token": {"realm_access": {"roles": ["dev", "on-call", "two words"]}}},
    "bob": {"access_token": {"realm_access": {"roles": ["dev"]}}},
}
PARTNER_ACCOUNTS: Mapping[str, Mapping[str, object]] = {
    "a-77": {"email": "Alice@Example.com", "email_verified": True, "groups": ["dev", "auditors"]},
    "a-78": {"email": "alice@example.com", "email_verified": False, "groups": ["auditors"]},
}
IDENTITIES = """\
people:
  alice:
    accounts:
      - {provider: corp, subject: alice}
      - {provider: partner, email: alice@example.com}
"""
RULES = [
    "p, group:corp:dev, prod, logs/app/**, use, allow,",
    "p, group:partner:auditors, prod, logs/audit/**, use, allow,",
    "p, group:corp:decoy, prod, logs/decoy/**, use, allow,",
    "p, user:alice, prod, logs/alice/**, use, allow,",
]
CACHE_S = 1


@dataclass
class Federated:
    """The gateway and what stands around it."""

    gateway: GatewayProcess
    corp: OidcProvider
    partner: OidcProvider

    def status(self, token: str, path: str = "/logs/alice/x") -> int:
        return httpx.get(self.gateway.url + path, headers=bearer(token), trust_env=False).status_code

    def who(self, token: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.gateway.url}/-/api/v1/whoami", headers=bearer(token), trust_env=False)
        document: dict[str, Any] = answer.json()
        return document

    def error(self, token: str) -> str | None:
        """Return the code that the token is refused with, None where it is not."""
        return self.who(token).get("error")

    def introspections(self) -> int:
        return self.partner.requests().get("/token/introspection", 0)

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(row.body) for row in stored_rows(self.gateway.site)]

    def until(self, condition: Any, what: str) -> None:
        self.gateway.wait_until(condition, what)


def settings(name: str, provider: OidcProvider, **changes: object) -> dict[str, object]:
    return {"name": name, "issuer": provider.issuer, "audiences": [AUDIENCE], "jwks_min_interval_s": 1, **changes}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    introspection = {
        "client_id": CLIENT_ID,
        "client_secret_env": "CLIENT_SECRET",
        "token_prefix": "op_",
        "cache_s": CACHE_S,
    }
    backend = {
        "name": "logs",
        "adapter": "http",
        "environment": "prod",
        "routes": [{"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "use"}],
    }
    with (
        OidcProvider("RS256", kid="shared", accounts=CORP_ACCOUNTS) as corp,
        OidcProvider(
            "ES256", kid="shared", accounts=PARTNER_ACCOUNTS, opaque_tokens=True, token_prefix="op_"
        ) as partner,
        RawUpstream(close_after(ok())) as upstream,
    ):
        site = make_site(
            tmp_path_factory.mktemp("site"),
            providers=[
                settings("corp", corp, groups_claim="realm_access.roles"),
                settings(
                    "partner",
                    partner,
                    groups_claim="groups",
                    email_domains=["example.com"],
                    introspection=introspection,
                ),
            ],
            backends=[{**backend, "url": upstream.url}],
            rules=RULES,
            identities=IDENTITIES,
        )
        with GatewayProcess(site, environment={"CLIENT_SECRET": CLIENT_SECRET}) as gateway:
            yield Federated(gateway, corp, partner)


def test_a_linked_persons_groups_are_those_of_the_provider_that_vouched_for_the_request(people: Federated) -> None:
    """Never a union: what one provider says of alice, a token of the other does not carry."""
    by_corp, by_partner = people.corp.tokens("alice").access_token, people.partner.tokens("a-77").access_token
    one, other = people.who(by_corp), people.who(by_partner)
    assert one["subject"] == other["subject"] == "user:alice"
    assert (one["provider"], other["provider"]) == ("corp", "partner")
    assert one["groups"] == ["group:corp:dev", "group:corp:on-call"], "nested, and no name that no rule can hold"
    assert other["groups"] == ["group:partner:dev", "group:partner:auditors"]
    access = {
        path: (people.status(by_corp, f"/logs/{path}/x"), people.status(by_partner, f"/logs/{path}/x"))
        for path in ("alice", "app", "audit", "decoy")
    }
    assert access == {"alice": (200, 200), "app": (200, 403), "audit": (403, 200), "decoy": (403, 403)}
    # Seen again, from memory, in the other order.
    assert (people.who(by_partner)["groups"], people.who(by_corp)["groups"]) == (other["groups"], one["groups"])


def test_an_account_with_an_unverified_address_is_not_the_person(people: Federated) -> None:
    """SECURITY-CASES 21: by introspection as in a token."""
    token = people.partner.tokens("a-78").access_token
    assert people.who(token)["subject"] == "user:partner:a-78"
    assert (people.status(token), people.status(token, "/logs/audit/x")) == (403, 200)


def test_a_group_that_is_taken_away_is_gone_with_the_next_token(people: Federated) -> None:
    people.corp.set_account("carol", {"access_token": {"realm_access": {"roles": ["dev"]}}})
    before = people.corp.tokens("carol").access_token
    people.corp.set_account("carol", {"access_token": {"realm_access": {"other": ["dev"]}}})
    after = people.corp.tokens("carol").access_token
    assert (people.who(before)["groups"], people.who(after)["groups"]) == (["group:corp:dev"], [])
    assert (people.status(before, "/logs/app/x"), people.status(after, "/logs/app/x")) == (200, 403)


def test_opaque_tokens_pass_the_data_path_by_introspection_until_their_provider_ends_them(people: Federated) -> None:
    """SECURITY-CASES 20, 24, 28: an answer counts for `cache_s`; token and log stay apart."""
    token = people.partner.tokens("a-77").access_token
    assert token.startswith("op_")
    asked = people.introspections()
    assert people.status(token) == 200
    assert people.introspections() == asked + 1
    assert people.error("op_made-up") == "token_inactive"
    assert people.introspections() == asked + 2
    assert people.error("opaque-but-of-nobody") == "malformed_token"
    assert people.introspections() == asked + 2, "shown to no provider"
    people.partner.end_sessions("a-77")
    people.until(lambda: people.status(token) == 401, "the answer that was kept is over")
    assert people.error(token) == "token_inactive"
    actors = [record["actor"] for record in people.records() if record["kind"] == "decision" and record["actor"]]
    assert {actor["provider"] for actor in actors} >= {"corp", "partner"}
    assert token not in json.dumps(people.records()) + people.gateway.log


def test_keys_are_rotated_without_a_restart_and_tokens_of_the_old_key_end(people: Federated) -> None:
    """SECURITY-CASES 22."""
    old, pid = people.corp.tokens("alice").access_token, people.gateway.pid
    assert people.status(old) == 200
    people.corp.rotate(kid="next", keep_old=True)
    new = people.corp.tokens("alice").access_token
    people.until(lambda: people.status(new) == 200, "the new key is known")
    assert people.status(old) == 200, "published still"
    people.corp.rotate(kid="last")
    newest = people.corp.tokens("alice").access_token
    people.until(lambda: people.status(newest) == 200, "the newest key is known")
    assert (people.error(old), people.error(new)) == ("unknown_key", "unknown_key"), "kept verifications too"
    assert people.gateway.pid == pid


def test_what_one_provider_signs_the_other_does_not_vouch_for(people: Federated) -> None:
    """SECURITY-CASES 18: the header and claims of one, the signature of the other."""
    head, body, _ = people.corp.tokens("alice").access_token.split(".")
    signature = people.partner.tokens("a-77").id_token.rpartition(".")[2]
    assert people.error(f"{head}.{body}.{signature}") == "bad_signature"
    assert people.error(people.partner.tokens("a-77").id_token) == "wrong_audience"


def test_a_provider_that_is_away_stops_nobody_whose_key_is_known(people: Federated) -> None:
    """SECURITY-CASES 22: tokens that were never seen before as well; and it is found again when it is back."""
    seen, unseen = people.corp.tokens("alice").access_token, people.corp.tokens("bob").access_token
    opaque = people.partner.tokens("a-77").access_token
    assert people.status(seen) == 200
    people.corp.stop()
    try:
        assert people.status(seen) == 200
        assert people.who(unseen)["subject"] == "user:corp:bob"
        assert people.status(opaque) == 200, "the other provider's people notice nothing"
        assert httpx.get(f"{people.gateway.url}/-/readyz", trust_env=False).status_code == 200
    finally:
        people.corp.start()
    back = people.corp.tokens("alice").access_token
    people.until(lambda: people.status(back) == 200, "the provider's new key is known")


def test_an_introspecting_provider_that_is_away_makes_no_token_good_or_bad(people: Federated) -> None:
    token, unseen = people.partner.tokens("a-77").access_token, people.partner.tokens("a-77").access_token
    assert people.status(token) == 200
    by_corp = people.corp.tokens("alice").access_token
    people.until(lambda: people.status(by_corp) == 200, "corp's key is known")
    people.partner.stop()
    try:
        answer = httpx.get(people.gateway.url + "/logs/alice/x", headers=bearer(unseen), trust_env=False)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "provider_unavailable")
        people.until(lambda: people.status(token) == 503, "the answer that was kept is over")
        assert people.status(by_corp) == 200
    finally:
        people.partner.start()
    fresh = people.partner.tokens("a-77").access_token
    people.until(lambda: people.status(fresh) == 200, "it is asked again")


def test_the_groups_that_a_login_has_no_room_for_are_asked_of_userinfo(tmp_path: Path) -> None:
    """Group overage: the ID token names a source in their place; the gateway's own token then lists all of them."""
    distributed = {
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://x.example.com"}},
    }
    site = LoginSite(tmp_path, provider={"audiences": [AUDIENCE]}, only=("corp",))
    site.corp = OidcProvider(
        "RS256",
        redirect_uris=(f"{site.url}/-/login/callback/corp",),
        accounts={"alice": distributed},
        resource_tokens=False,
    )
    with site, http_browser() as browser:
        alice = Person(site, browser, "alice")
        answered = alice.open("/-/login?return_to=/-/console/&provider=corp")
        assert answered.status == 403 and "does not list them" in answered.text, "nor does userinfo"
        asked = site.corp.requests()["/me"]
        site.corp.set_account("alice", {**distributed, "userinfo": {"groups": [f"g-{n}" for n in range(250)]}})
        alice.log_in()
        assert site.corp.requests()["/me"] == asked + 1
        consent = alice.open(authorize_path())
        page = alice.browser.submit(consent, stop_at="http://127.0.0.1:49152", decision="allow")
        token = tokens_for(site, answer_of(sent_to(page))["code"]).json()["access_token"]
        who = httpx.get(f"{site.url}/-/api/v1/whoami", headers=bearer(token), trust_env=False).json()
        assert (who["subject"], who["groups"]) == ("user:alice", [f"group:corp:g-{n}" for n in range(250)])
