"""A principal written into a token is the same principal when it is read."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.authenticator import InvalidCredentialError
from identity.issuer.own_claims import MAX_DELEGATES, MAX_MADE_FROM, audience_limits, claims_of, principal_of
from identity.principal import Confirmation, Delegate, Limits, Principal
from tests.identity.issuer import NOW
from tests.parts.issuing import PUBLIC_URL, alice

DIGEST = "d" * 64
KEY = Confirmation("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
AGENT = Delegate("workload:ci:agent", "ci", "repo:example/tool", ("workload:ci:any",))

names = st.text("abcXYZ019._@+=|:/~-", min_size=1, max_size=20)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
free_texts = st.text(min_size=1, max_size=20).filter(lambda text: text.encode(errors="ignore").decode() == text)
times = st.integers(0, NOW)
groups = st.lists(names.map("group:corp:{}".format), unique=True, max_size=4).map(tuple)
delegates = st.builds(
    Delegate,
    names.map("workload:ci:{}".format),
    st.just("ci"),
    texts,
    groups,
    provisioned_as=st.none() | free_texts,
    session=st.none() | st.just("a" * 32),
    provider_session=st.none() | free_texts,
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
limits = st.builds(
    Limits,
    st.none() | st.lists(st.sampled_from(["aws-prod", "logs-prod", "-"]), min_size=1, unique=True).map(tuple),
    st.none() | st.lists(st.sampled_from(["read", "s3:Get*", "*"]), min_size=1, unique=True).map(tuple),
)
principals = st.builds(
    Principal,
    subject=st.sampled_from(["user:alice", "user:corp:bob@example.com", "workload:ci:deploy"]),
    provider=st.just("corp"),
    issuer=st.just("https://corp.example.com"),
    token_subject=texts,
    username=texts,
    groups=groups,
    expires_at=st.integers(NOW, NOW + 3600),
    issued_at=times,
    authenticated_at=st.none() | times,
    acr=st.none() | texts,
    amr=st.lists(texts, max_size=3).map(tuple),
    token_sha256=st.just(DIGEST),
    email=st.none() | st.just("alice@example.com"),
    provisioned_as=st.none() | free_texts,
    session=st.none() | st.just("s" * 32),
    provider_session=st.none() | free_texts,
    confirmation=st.none() | st.just(KEY) | st.just(Confirmation("x5t#S256", KEY.thumbprint)),
    limits=limits,
    delegates=st.lists(delegates, max_size=MAX_DELEGATES).map(tuple),
    made_from=st.lists(digests, max_size=4).map(tuple),
).map(lambda each: replace(each, kind="workload" if each.subject.startswith("workload:") else "user"))


def written(principal: Principal) -> dict[str, Any]:
    claims = claims_of(principal, issuer=PUBLIC_URL, client_id="portcullis-cli", token_id="t" * 22, issued_at=NOW)
    decoded: dict[str, Any] = json.loads(json.dumps(claims))
    return decoded


@given(principals)
def test_every_principal_survives_its_token(principal: Principal) -> None:
    assert principal_of(written(principal), DIGEST) == principal


def test_a_token_says_what_rfc_9068_asks_for() -> None:
    claims = written(alice())
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()
    assert (claims["iss"], claims["aud"], claims["sub"]) == (PUBLIC_URL, PUBLIC_URL, "user:corp:alice")
    assert "origin_iat" not in claims


def test_a_chain_of_delegates_is_nested_with_the_holder_outside() -> None:
    """RFC 8693, section 4.1: the outermost `act` is the current actor."""
    first = replace(AGENT, subject="workload:ci:first")
    claims = written(alice(delegates=(AGENT, first)))
    assert claims["act"]["sub"] == AGENT.subject
    assert claims["act"]["act"]["sub"] == first.subject
    assert "act" not in claims["act"]["act"]


def test_a_token_made_from_an_older_one_is_as_old_as_that() -> None:
    """Else an exchange would carry a token past a revocation that has not reached this replica."""
    claims = written(alice(issued_at=NOW - 300))
    assert (claims["iat"], claims["origin_iat"]) == (NOW, NOW - 300)
    assert principal_of(claims, DIGEST).issued_at == NOW - 300
    assert principal_of(claims | {"origin_iat": NOW + 300}, DIGEST).issued_at == NOW


@pytest.mark.parametrize(
    "claim",
    ["sub", "aud", "iat", "exp", "jti", "client_id", "groups", "idp", "idp_iss", "idp_sub", "username", "iss"],
)
def test_a_token_without_a_claim_that_it_must_have_is_refused(claim: str) -> None:
    claims = written(alice())
    del claims[claim]
    with pytest.raises(InvalidCredentialError) as raised:
        principal_of(claims, DIGEST)
    assert raised.value.code == "missing_claim"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", "alice"),
        ("sub", "role:admin"),
        ("sub", "group:corp:dev"),
        ("sub", "user:alice\n"),
        ("sub", "user:al ice"),
        ("sub", 7),
        ("sub", None),
        ("groups", "group:corp:dev"),
        ("groups", ["group:corp:dev", 7]),
        ("groups", ["dev"]),
        ("groups", ["group:corp:a,b"]),
        ("groups", None),
        ("iat", True),
        ("iat", 1.5),
        ("iat", "1800000000"),
        ("exp", -1),
        ("exp", None),
        ("origin_iat", "1"),
        ("origin_iat", None),
        ("auth_time", None),
        ("auth_time", False),
        ("acr", ["x"]),
        ("acr", None),
        ("amr", "pwd"),
        ("amr", [1]),
        ("amr", None),
        ("email", {}),
        ("provisioned_as", ""),
        ("provisioned_as", None),
        ("sid", "short"),
        ("sid", None),
        ("idp_sid", 7),
        ("idp_sid", None),
        ("jti", "../x"),
        ("client_id", ""),
        ("idp", "Corp"),
        ("username", "al\nice"),
        ("scope", ""),
        ("scope", "openid"),
        ("scope", "action:read openid"),
        ("scope", ["action:read"]),
        ("scope", None),
        ("aud", []),
        ("aud", [7]),
        ("aud", None),
        ("aud", {"x": 1}),
        ("cnf", {}),
        ("cnf", None),
        ("act", None),
        ("act", []),
        ("act", {}),
        ("act", {"sub": "agent", "idp": "ci", "idp_sub": "x", "groups": []}),
        ("act", {"sub": "user:bob", "idp": "ci", "idp_sub": "x", "groups": [], "sid": None}),
        ("act", {"sub": "user:bob", "idp": "ci", "idp_sub": "x", "groups": [], "idp_sid": 7}),
        ("made_from", None),
        ("made_from", "d" * 64),
        ("made_from", ["d" * 63]),
        ("made_from", ["D" * 64]),
        ("made_from", [7]),
        ("made_from", ["d" * 64] * (MAX_MADE_FROM + 1)),
    ],
)
def test_a_claim_of_another_form_is_refused_and_never_read_as_absent(claim: str, value: object) -> None:
    """A limit that can't be read must not count as no limit."""
    with pytest.raises(InvalidCredentialError) as raised:
        principal_of(written(alice()) | {claim: value}, DIGEST)
    assert raised.value.code in ("malformed_claim", "missing_claim")


def test_a_chain_longer_than_any_that_is_made_is_refused() -> None:
    claims = written(alice(delegates=(AGENT,) * (MAX_DELEGATES + 1)))
    with pytest.raises(InvalidCredentialError, match="malformed_claim"):
        principal_of(claims, DIGEST)


def test_a_claim_that_a_later_version_adds_is_ignored() -> None:
    assert principal_of(written(alice()) | {"later": 1}, DIGEST) == alice(token_sha256=DIGEST)


@pytest.mark.parametrize(
    ("aud", "backends"),
    [
        (PUBLIC_URL, None),
        ([f"{PUBLIC_URL}/aws-prod"], ("aws-prod",)),
        ([f"{PUBLIC_URL}/aws-prod", f"{PUBLIC_URL}/-"], ("aws-prod", "-")),
    ],
)
def test_an_audience_says_which_backends(aud: object, backends: tuple[str, ...] | None) -> None:
    assert audience_limits(aud, PUBLIC_URL) == backends


@pytest.mark.parametrize(
    "aud",
    [
        "https://other.example.com",
        f"{PUBLIC_URL}/aws-prod",
        f"{PUBLIC_URL}/",
        [PUBLIC_URL],
        [f"{PUBLIC_URL}/aws-prod", "https://other.example.com"],
        [f"{PUBLIC_URL}.evil.example.com/aws-prod"],
        [f"{PUBLIC_URL}/aws-prod/x"],
    ],
)
def test_an_audience_of_anybody_else_is_refused(aud: object) -> None:
    """SECURITY-CASES 19"""
    with pytest.raises(InvalidCredentialError) as raised:
        audience_limits(aud, PUBLIC_URL)
    assert raised.value.code == "wrong_audience"
