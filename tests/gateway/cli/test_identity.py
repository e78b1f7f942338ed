"""`portcullis identity` shows who somebody is, from the configuration alone, and never the token it is shown."""

import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from joserfc import jwt

from tests.gateway.cli.conftest import Result, Run
from tests.parts.gateway import Site, make_site
from tests.parts.issuer import Issuer

ROUTE = {"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "read"}
BACKEND = {"name": "docs", "adapter": "http", "url": "http://127.0.0.1:1", "environment": "prod", "routes": [ROUTE]}
RULES = [
    "p, role:reader, prod, docs/**, read, allow,",
    "g, role:lead, role:reader",
    "g, user:alice, role:lead",
    "g, group:corp:dev, role:reader",
    "g, workload:ci:deploy, role:reader",
]
IDENTITIES = """\
people:
  alice:
    name: Alice Example
    accounts:
      - {provider: corp, subject: sub-alice}
      - {provider: corp, email: alice@example.com}
      - {provider: corp, email: alice@example.org}
      - {provider: gone, subject: "1"}
  bob:
    deactivated: true
    accounts:
      - {provider: corp, subject: sub-bob}
  carol:
    accounts:
      - {provider: corp, email: carol@example.com}
workloads:
  deploy:
    provider: ci
    claims: {repository: example/payments, ref: refs/heads/main}
  release:
    provider: ci
    claims: {repository: example/payments, ref: "refs/tags/*", environment: production}
"""


@dataclass(frozen=True, slots=True)
class World:
    corp: Issuer
    ci: Issuer
    site: Site


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A gateway's configuration with two real providers; no gateway runs."""
    with Issuer("corp", "ES256") as corp, Issuer("ci", "ES256") as ci:
        people = {**corp.settings, "username_claim": "sub", "email_domains": ["example.com"]}
        workloads = {"name": "ci", "issuer": ci.url, "audiences": ["portcullis"], "tokens": "workloads"}
        site = make_site(
            tmp_path / "site",
            providers=[people, workloads],
            backends=[BACKEND],
            rules=RULES,
            identities=IDENTITIES,
        )
        yield World(corp, ci, site)


def _who(run: Run, world: World, token: str, *options: str) -> Result:
    file = world.site.directory / "token"
    file.write_text(token + "\n")
    done = run("identity", "who", f"@{file}", "--config", world.site.config, *options)
    _shows_nothing_of(token, done)
    return done


def _shows_nothing_of(token: str, done: Result) -> None:
    """SECURITY-CASES 24: errors never show a token."""
    for part in token.split("."):
        assert len(part) < 16 or part[:16] not in done.out + done.err


def test_a_token_resolves_step_by_step_to_its_person(run: Run, world: World) -> None:
    token = world.corp.token("alice", groups=["dev", "on call", "a,b"])
    done = _who(run, world, token)
    assert done.code == 0, done.out + done.err
    names = [line.split()[1] for line in done.out.splitlines() if line.startswith("ok")]
    assert names == ["format", "signature", "audience", "kind", "times", "groups", "account", "standing"]
    identities = world.site.policies / "identities.yaml"
    for line in (
        "subject      user:alice",
        f"person       alice (Alice Example), {identities}:2",
        "groups       group:corp:dev",
        "role         role:lead (rules/rules.csv:3)",
        "role         role:reader, through role:lead (rules/rules.csv:2)",
        "     e-mail       alice@example.com, which corp is believed for",
    ):
        assert line in done.out.splitlines(), done.out
    assert "algorithm ES256" in done.out
    assert "dropped      the group 'on call': a name is 1 to 255 ASCII letters" in done.out
    assert " s from now" in done.out


def test_the_same_as_json(run: Run, world: World) -> None:
    document = _who(run, world, world.corp.token("alice", groups=["dev"]), "--format", "json").json
    assert (document["ok"], document["code"], document["subject"]) == (True, None, "user:alice")
    assert document["groups"] == ["group:corp:dev"]
    assert [step["ok"] for step in document["steps"]] == [True] * 8
    assert [role["role"] for role in document["roles"]] == ["role:reader", "role:lead"]
    assert document["roles"][1] == {"role": "role:lead", "path": ["user:alice", "role:lead"], "file": "rules/rules.csv", "line": 3}  # fmt: skip # noqa: E501


def test_a_role_that_only_a_group_gives_is_told_with_the_group(run: Run, world: World) -> None:
    done = _who(run, world, world.corp.token("dave", groups=["dev"]))
    assert "role         role:reader, through group:corp:dev (rules/rules.csv:4)" in done.out.splitlines()


@pytest.mark.parametrize(
    ("claims", "code", "told"),
    [
        ({"aud": "elsewhere"}, "wrong_audience", "get one for the audience portcullis"),
        ({"aud": ["elsewhere", "there"]}, "wrong_audience", "audience     the token is for 'elsewhere', 'there'"),
        ({"exp": 1_000_000_000}, "token_expired", "get a new one"),
        ({"exp": 1_000_000_000}, "token_expired", "exp          2001-09-09T01:46:40Z, "),
        ({"nbf": 9_000_000_000}, "token_not_yet_valid", "nbf          2255-03-14T16:00:00Z, "),
        ({"sub": "sub-bob", "email": None}, "person_deactivated", "identities.yaml:9, by subject, deactivated"),
        ({"email": "carol@example.com"}, "ambiguous_person", "identities.yaml:13, by e-mail"),
        ({"iss": "https://evil.example.com"}, "unknown_issuer", "no configured provider issued this token"),
        ({"iss": "https://evil.example.com"}, "unknown_issuer", "the token says 'https://evil.example.com'"),
    ],
)
def test_the_first_failure_stops_it_with_code_and_remedy(
    run: Run, world: World, claims: dict[str, Any], code: str, told: str
) -> None:
    done = _who(run, world, world.corp.token("alice", **claims))
    assert done.code == 1
    assert f"refused      {code}" in done.out.splitlines()
    assert [line for line in done.out.splitlines() if line.startswith("FAIL")] != []
    assert told in done.out
    assert "subject      " not in done.out


def test_an_issuer_that_differs_by_a_slash_is_pointed_at(run: Run, world: World) -> None:
    done = _who(run, world, world.corp.token("alice", iss=f"{world.corp.url}/"))
    assert f"issuer       corp is configured as {world.corp.url}: it must equal character for character" in done.out


def test_another_issuers_key_is_refused(run: Run, world: World) -> None:
    """SECURITY-CASES 18: signed by one provider, with the issuer of another."""
    claims = {"iss": world.corp.url, "sub": "sub-alice", "aud": "portcullis", "iat": 1, "exp": int(time.time()) + 60}
    token = jwt.encode({"alg": "ES256", "kid": world.ci.key.kid}, claims, world.ci.key, algorithms=["ES256"])
    assert _who(run, world, token, "--format", "json").json["code"] == "unknown_key"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "true"}, "not verified"),
        ({"email": "a@evil.com@example.com"}, "not one plain ASCII address"),
        ({"email": "dave@example.org"}, "of a domain that is not among corp's email_domains"),
        ({"email": None}, "none in the token"),
    ],
)
def test_it_says_why_an_address_links_nobody(run: Run, world: World, claims: dict[str, Any], told: str) -> None:
    """SECURITY-CASES 21."""
    done = _who(run, world, world.corp.token("dave", **claims))
    assert done.code == 0
    assert f"e-mail       {told}" in done.out
    assert "subject      user:corp:sub-dave" in done.out


def test_a_workloads_token_names_its_line(run: Run, world: World) -> None:
    token = world.ci.token("job", sub="repo:example/payments:x", repository="example/payments", ref="refs/heads/main")
    done = _who(run, world, token)
    assert done.code == 0, done.out
    assert "subject      workload:ci:deploy" in done.out
    assert f"workload     deploy, {world.site.policies / 'identities.yaml'}:17" in done.out
    assert "role         role:reader (rules/rules.csv:5)" in done.out


def test_a_token_of_no_workload_is_told_which_it_nearly_is(run: Run, world: World) -> None:
    token = world.ci.token("job", repository="example/payments", ref="refs/pull/1/merge")
    done = _who(run, world, token)
    assert done.code == 1
    identities = world.site.policies / "identities.yaml"
    near = [line.strip() for line in done.out.splitlines() if line.strip().startswith("workload")]
    assert near == [
        f"workload     not deploy ({identities}:17), because of: ref",
        f"workload     not release ({identities}:20), because of: ref, environment",
    ]


def test_an_unreachable_provider_is_told_apart_from_a_bad_token(run: Run, world: World) -> None:
    token = world.corp.token("alice")
    world.corp.__exit__(None, None, None)
    done = _who(run, world, token)
    assert done.code == 1
    assert "refused      provider_unavailable" in done.out


def test_a_token_may_come_from_standard_input(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    token = world.corp.token("alice")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{token}\n".encode())))
    done = run("identity", "who", "-", "--config", world.site.config)
    assert (done.code, done.err) == (0, "")
    _shows_nothing_of(token, done)


def test_a_token_on_the_command_line_is_warned_of(run: Run, world: World) -> None:
    token = world.corp.token("alice")
    done = run("identity", "who", token, "--config", world.site.config)
    assert done.code == 0
    assert "the token stands in the process list" in done.err
    _shows_nothing_of(token, done)


def test_what_is_no_token_is_refused_without_showing_it(run: Run, world: World) -> None:
    for argument in ("s3cret-S3CRET-s3cret-S3CRET-s3cret", "s3cret-s3cret-s3cret-s3cret-s3cret", "a.b.c" * 20):
        done = run("identity", "who", argument, "--config", world.site.config)
        assert done.code == 1
        assert argument not in done.out + done.err
    huge = world.site.directory / "huge"
    huge.write_bytes(b"x" * 1_000_000)
    done = run("identity", "who", f"@{huge}", "--config", world.site.config)
    assert (done.code, "token_too_large" in done.out) == (1, True)


def test_a_person_is_shown_with_accounts_lines_and_roles(run: Run, world: World) -> None:
    identities = world.site.policies / "identities.yaml"
    for argument in ("alice", "user:alice"):
        done = run("identity", "who", argument, "--config", world.site.config)
        assert done.code == 0
        assert done.out.splitlines() == [
            "subject      user:alice",
            f"person       alice (Alice Example), {identities}:2",
            "deactivated  no",
            f"account      corp, subject sub-alice ({identities}:5)",
            f"account      corp, e-mail alice@example.com ({identities}:6)",
            f"account      corp, e-mail alice@example.org ({identities}:7): never matches, "
            "the provider is not trusted for that domain (email_domains)",
            f"account      gone, subject 1 ({identities}:8): never matches, no provider of that name is configured",
            "vouched for  by corp",
            "role         role:reader, through role:lead (rules/rules.csv:2)",
            "role         role:lead (rules/rules.csv:3)",
            "and whatever the groups in a token of theirs give",
        ]
    document = run("identity", "who", "alice", "--config", world.site.config, "--format", "json").json
    assert document["person"] == {"id": "alice", "name": "Alice Example", "line": 2, "deactivated": False}
    assert document["providers"] == ["corp"]
    assert document["accounts"][0] == {"provider": "corp", "subject": "sub-alice", "line": 5, "problem": None}


def test_a_workload_is_shown_with_its_claims(run: Run, world: World) -> None:
    done = run("identity", "who", "workload:ci:release", "--config", world.site.config)
    assert done.code == 0
    assert "claim        ref: refs/tags/*" in done.out.splitlines()
    assert "vouched for  by ci" in done.out
    document = run("identity", "who", "workload:ci:deploy", "--config", world.site.config, "--format", "json").json
    assert document["workload"]["claims"] == {"repository": ["example/payments"], "ref": ["refs/heads/main"]}


def test_an_account_that_nobody_is_linked_to_is_shown(run: Run, world: World) -> None:
    done = run("identity", "who", "user:corp:dave", "--config", world.site.config)
    assert (done.code, "person       nobody" in done.out) == (0, True)


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("bob", "deactivated  yes"),
        ("user:nobody", "no such person"),
        ("nobody", "this is no person"),
        ("alice@example.com", "a person is named by their id or as user:<id>"),
        ("somebody.with.a.long.name@corp.example.com", "this is no person"),
        ("group:corp:dev", "this is no person"),
        ("workload:ci:nothing", "no such workload"),
        ("user:gone:dave", "by nobody"),
        ("user:ci:dave", "by nobody"),
    ],
)
def test_whoever_can_not_get_in_ends_with_one(run: Run, world: World, subject: str, told: str) -> None:
    done = run("identity", "who", subject, "--config", world.site.config)
    assert done.code == 1
    assert told in done.out + done.err


def test_wrong_use_ends_with_two(run: Run, world: World, tmp_path: Path) -> None:
    config = world.site.config
    assert run("identity", "who", "alice", "--config", tmp_path / "none.yaml").code == 2
    assert run("identity", "who", "user:", "--config", config).code == 2
    assert run("identity", "who", "workload:ci", "--config", config).code == 2
    assert run("identity", "who", f"@{tmp_path / 'none'}", "--config", config).code == 2
    (tmp_path / "empty").write_text("\n")
    assert run("identity", "who", f"@{tmp_path / 'empty'}", "--config", config).code == 2
    (world.site.policies / "identities.yaml").write_text("people: []\n")
    done = run("identity", "who", "alice", "--config", config)
    assert (done.code, "identities.yaml:1: " in done.err) == (2, True)


def test_the_schema_is_printed(run: Run) -> None:
    document = run("identity", "schema").json
    jsonschema.Draft202012Validator(document).validate(yaml.safe_load(IDENTITIES))
    assert json.dumps(document)
