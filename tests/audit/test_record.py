"""Records: their canonical form, what they leave out, and that nothing a caller sends keeps one from being written."""

import hashlib
import json
from dataclasses import replace
from typing import Literal

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import record
from audit.canonical import MAX_BYTES
from audit.cut import COMFORTABLE_BYTES
from audit.record import columns
from identity.principal import Delegate
from tests.audit.samples import ALICE, NOW_US, decision, outcome

ANY_TEXT = st.text(st.characters(), max_size=300)


AGENT = Delegate("workload:ci:agent", "ci", "repo:a/b", ())


def authn(*, actor: record.Actor | None, result: Literal["ok", "fail"], session: str | None = None) -> record.Record:
    return record.authn(
        request_id="0193fa3e-0000-7000-8000-000000000001",
        time_us=NOW_US,
        instance="gw-1",
        action="login",
        result=result,
        actor=actor,
        source="192.0.2.7",
        client="portcullis-cli",
        provider="corp",
        session=session,
        detail="",
    )


def every_kind() -> list[record.Record]:
    return [
        decision(),
        decision(actor=None, verdict="unauthenticated", status=401, rule_file=None, rule_line=None, rule_text=None),
        decision(accesses=(("a/b", "r"), ("a/c", "w")), verdict="denied", status=403),
        outcome(1, 7),
        outcome(1, 7, status=None, result="fail", detail="connect_failed"),
        authn(actor=ALICE, result="ok"),
        authn(actor=replace(ALICE, session="s1", delegates=(AGENT,)), result="ok", session="s1"),
        authn(actor=None, result="fail"),
        record.start(time_us=NOW_US, instance="gw-1", version="0.1.0", size=12, open_decisions=1),
        record.stop(time_us=NOW_US, instance="gw-1"),
        record.resume(time_us=NOW_US, instance="gw-1", problem="disk full", since_us=NOW_US - 5, refused=3),
        record.policy_load(
            time_us=NOW_US, instance="gw-1", result="loaded", commit="ab" * 20, digest="cd" * 32, rules=3, detail=""
        ),
    ]


def test_every_kind_is_canonical_and_versioned() -> None:
    for entry in every_kind():
        document = json.loads(entry.body)
        assert entry.body == rfc8785.dumps(document)
        assert document["v"] == 1
        assert document["kind"] == entry.kind


def test_the_columns_are_those_of_the_body() -> None:
    for entry in every_kind():
        own = (entry.kind, entry.request_id, entry.time_us, entry.actor, entry.backend, entry.verdict)
        assert own == columns(json.loads(entry.body))


def test_a_decision_names_who_what_and_by_which_rule() -> None:
    document = json.loads(decision().body)
    assert document["actor"] == {
        "subject": "user:alice",
        "provider": "corp",
        "issuer": "https://sso.example.com",
        "token_subject": "00u1",
        "username": "alice@example.com",
        "groups": ["group:corp:dev"],
        "acr": None,
        "amr": ["pwd"],
        "token_sha256": "5f" * 32,
        "session": None,
        "delegates": [],
    }
    assert document["accesses"] == [{"action": "query", "resource": "logs-prod/payments"}]
    assert document["rule"] == {"file": "rules/logs.csv", "line": 3, "text": ALLOW_ROW}
    assert document["policy"] == {"commit": "ab" * 20, "digest": "cd" * 32}


def test_who_acts_for_whom_is_in_the_record() -> None:
    actor = json.loads(decision(actor=replace(ALICE, session="s1", delegates=(AGENT,))).body)["actor"]
    assert (actor["subject"], actor["session"]) == ("user:alice", "s1")
    assert actor["delegates"] == [{"subject": "workload:ci:agent", "provider": "ci", "token_subject": "repo:a/b"}]


ALLOW_ROW = "p, role:dev, prod, logs-prod/**, query, allow"


def test_of_several_accesses_each_names_its_own_rule() -> None:
    pairs = (("s3/a", "s3:GetObject"), ("s3/b", "s3:PutObject"))
    entry = decision(accesses=pairs, access_rules=(("rules/a.csv", 3, "p, one"), None))
    document = json.loads(entry.body)
    assert document["access_rules"] == [{"file": "rules/a.csv", "line": 3, "text": "p, one"}, None]
    assert rfc8785.dumps(document) == entry.body
    assert "access_rules" not in json.loads(decision().body)


def test_without_a_rule_the_record_says_null() -> None:
    for nothing in (None, ""):
        entry = decision(verdict="denied", rule_file=nothing, rule_line=0, rule_text="", role_path=())
        assert json.loads(entry.body)["rule"] is None


def test_only_an_allowed_decision_awaits_an_outcome() -> None:
    assert decision().awaits_outcome
    assert not any(entry.awaits_outcome for entry in every_kind()[1:])


@settings(max_examples=200)
@given(path=ANY_TEXT, key=ANY_TEXT, group=ANY_TEXT, name=ANY_TEXT)
def test_whatever_the_texts_are_the_record_is_canonical_and_its_columns_fit(
    path: str, key: str, group: str, name: str
) -> None:
    """SECURITY-CASES 14: no byte sent by a caller forges a field of the record."""
    entry = decision(path=path, query_keys=(key,), request_id=name, role_path=(group,), backend=group)
    document = json.loads(entry.body)
    assert entry.body == rfc8785.dumps(document)
    assert set(document) - {"cut"} == set(json.loads(decision().body))
    assert (entry.request_id, entry.backend) == (columns(document)[1], columns(document)[4])


def test_a_huge_field_is_cut_and_the_record_says_so() -> None:
    """SECURITY-CASES 39: a caller cannot keep a record from being written by sending something huge."""
    path = "/logs-prod/" + "ä" * 200_000
    entry = decision(path=path)
    document = json.loads(entry.body)
    assert len(entry.body) <= COMFORTABLE_BYTES
    assert document["request"]["path"] == path[:4096] + "…"
    whole = hashlib.sha256(path.encode()).hexdigest()
    assert document["cut"] == [{"field": "request.path", "length": len(path), "sha256": whole}]
    assert document["actor"]["groups"] == ["group:corp:dev"]


def test_everything_huge_at_once_still_fits() -> None:
    """SECURITY-CASES 39."""
    huge = "\x01" * 5000
    many = tuple(f"{number}{huge}" for number in range(300))
    entry = decision(
        path=huge,
        method=huge,
        source=huge,
        query_keys=many,
        role_path=many,
        accesses=tuple((item, item) for item in many),
        reason=huge,
        rule_text=huge,
        rule_file=huge,
        environment=huge,
        backend=huge,
        request_id=huge,
        instance=huge,
    )
    assert len(entry.body) <= MAX_BYTES
    assert entry.body == rfc8785.dumps(json.loads(entry.body))
    assert (entry.request_id, entry.backend) == (columns(json.loads(entry.body))[1], columns(json.loads(entry.body))[4])


def test_two_hundred_groups_stay_whole() -> None:
    class Member:
        subject, provider, issuer, token_subject = "user:alice", "corp", "https://sso.example.com", "00u1"
        username, acr, amr, token_sha256 = "alice", None, (), "5f" * 32
        groups = tuple(f"group:corp:{number:036d}" for number in range(200))
        session, delegates = None, ()

    document = json.loads(decision(actor=Member()).body)
    assert document["actor"]["groups"] == list(Member.groups)
    assert "cut" not in document


def test_a_lone_surrogate_is_replaced_and_named() -> None:
    """SECURITY-CASES 39: a text without a UTF-8 form, from a token's JSON say, is recorded all the same."""
    document = json.loads(decision(path="/a\ud800b").body)
    assert document["request"]["path"].encode()
    assert [cut["field"] for cut in document["cut"]] == ["request.path"]


def test_a_principal_is_an_actor_as_it_stands() -> None:
    actor: record.Actor = ALICE
    assert decision(actor=actor).actor == "user:alice"


def test_search_columns_hold_no_nul_and_are_short() -> None:
    entry = decision(backend="a\x00b" + "c" * 500)
    assert "\x00" not in entry.backend
    assert len(entry.backend) == 256
