"""What holds of a federation whatever a token says: it is understood or refused, and its refusal says nothing of it."""

import asyncio
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identity.authenticator import InvalidCredentialError
from identity.directory import Directory, Person
from identity.principal import Principal
from identity.rejections import REJECTIONS
from tests.identity.issuer import NOW, Issuer, World, b64, forge

MARKER = "Zq7XkSecretMarker"
AUDIENCE = "portcullis"
BOB = "bob@example.com"
# As docs/reference says it.
NAME = re.compile(r"[A-Za-z0-9._@+=|:/~-]{1,255}")
CORP = Issuer("corp", "Ed25519")
PEOPLE = Directory({("corp", "b-1"): Person("robert")}, {("corp", BOB): Person("bob")})

# Case, width and script are folded by many libraries; a space, a tab or an invisible character is lost by others.
LOOK_ALIKES = {
    "a": "\u0430\uff41\u00aa\u0251",
    "b": "\uff42\u0184",
    "c": "\u0441\uff43\u217d",
    "e": "\u0435\uff45\u212f",
    "l": "\u217c\uff4c\u04cf",
    "m": "\uff4d\u217f",
    "o": "\u043e\uff4f\u00ba\u03bf",
    "p": "\u0440\uff50",
    "x": "\u0445\uff58\u2179",
    "@": "\uff20\ufe6b",
    ".": "\u3002\uff0e\uff61\u2024",
}
INVISIBLE = " \t\n\r\0\x7f\u00a0\u00ad\u200b\u200d\u202e\u2060\ufeff"


class Caller:
    """One federation on one event loop, asked from tests that know nothing of either."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        changes: dict[str, Any] = {"algorithms": ["Ed25519"], "email_domains": ["example.com"]}
        self.world = World(CORP, settings=[CORP.settings(**changes)], directory=PEOPLE)
        self._runner.run(self.world.__aenter__())

    def close(self) -> None:
        self._runner.run(self.world.__aexit__())
        self._runner.close()

    def show(self, token: bytes) -> Principal | InvalidCredentialError:
        """Return whom the token stands for, or its refusal; anything else that is raised is a fault."""
        try:
            return self._runner.run(self.world.federation.authenticate(token))
        except InvalidCredentialError as error:
            return error

    def show_claims(self, **changes: object) -> Principal | InvalidCredentialError:
        return self.show(CORP.token(None, **changes))


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.close()


texts = st.text(st.characters(), max_size=12) | st.just(MARKER)
numbers = st.integers(NOW - 100, NOW + 100) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
CLAIMS = (
    *("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "groups", "auth_time", "acr", "amr", "sid", "cnf", "azp"),
    *("email", "email_verified", "nonce", "at_hash", "events", "typ", "token_use", "scope", "hasgroups"),
    "_claim_names",
)
MEMBERS = ("alg", "kid", "typ", "cty", "crit", "jwk", "x5c", "b64", "zip", "x5t", "x5t#S256")


def refusal_of(outcome: Principal | InvalidCredentialError) -> str | None:
    """Return everything that a refusal shows, None where there is none."""
    if isinstance(outcome, Principal):
        return None
    assert outcome.code in REJECTIONS
    seen: list[BaseException] = [outcome]
    if outcome.__cause__ is not None:
        seen.append(outcome.__cause__)
    if outcome.__context__ is not None and not outcome.__suppress_context__:
        seen.append(outcome.__context__)
    return " ".join(f"{error} {error!r} {error.args}" for error in seen) + outcome.detail


@settings(max_examples=400, deadline=None)
@given(
    claims=st.dictionaries(st.sampled_from(CLAIMS) | texts, values, max_size=4),
    header=st.dictionaries(st.sampled_from(MEMBERS) | texts, values, max_size=2),
)
@example(claims={"sub": "\ud800"}, header={})
@example(claims={"iss": "\ud800", "aud": ["\udfff"]}, header={"kid": "\ud800"})
@example(claims={"cnf": {"jkt": "\ud800"}}, header={})
@example(claims={"groups": ["\ud800", MARKER]}, header={})
@example(claims={"email": "\ud800@example.com", "email_verified": True}, header={})
@example(claims={"sub": f"{MARKER} *", "groups": {MARKER: MARKER}}, header={"typ": MARKER})
def test_whatever_is_signed_is_a_caller_or_a_refusal_that_shows_none_of_it(
    caller: Caller, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    """SECURITY-CASES 24: codes and sentences are fixed, and no claim or header reaches them."""
    token = forge(CORP.header() | header, CORP.claims() | claims, "Ed25519", CORP.key)
    shown = refusal_of(caller.show(token))
    if shown is not None:
        assert MARKER not in shown
        assert token.rpartition(b".")[2].decode() not in shown


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_is_sent_is_refused_unless_it_was_signed(caller: Caller, data: bytes) -> None:
    """SECURITY-CASES 15, 24."""
    good = CORP.token()
    head, body, signature = good.split(b".")
    for token in (data, data + b"." + body + b"." + signature, head + b"." + b64(data) + b"." + signature):
        shown = refusal_of(caller.show(token))
        assert shown is not None
        assert len(data) < 8 or data.decode("latin-1") not in shown
    assert refusal_of(caller.show(head + b"." + body + b"." + b64(data))) is not None


near_misses = st.one_of(
    st.text(max_size=20),
    st.builds(lambda text: f"{text}{AUDIENCE}", st.text(min_size=1, max_size=5)),
    st.builds(lambda text: f"{AUDIENCE}{text}", st.text(min_size=1, max_size=5)),
    st.sampled_from([AUDIENCE[:length] for length in range(len(AUDIENCE))]),
    st.sampled_from([AUDIENCE.upper(), AUDIENCE.title(), f"https://{AUDIENCE}", f"{AUDIENCE} {AUDIENCE}"]),
    st.just(AUDIENCE),
)


@settings(deadline=None)
@given(st.lists(near_misses, max_size=4))
def test_a_token_is_for_this_gateway_only_by_exactly_its_audience(caller: Caller, audiences: list[str]) -> None:
    """SECURITY-CASES 19: wrong or substring `aud` fails, alone and in a list."""
    outcome = caller.show_claims(aud=audiences)
    assert isinstance(outcome, Principal) is (AUDIENCE in audiences)
    for audience in audiences:
        assert isinstance(caller.show_claims(aud=audience), Principal) is (audience == AUDIENCE)


@settings(deadline=None)
@given(values)
def test_an_audience_that_is_no_text_is_none(caller: Caller, audience: Any) -> None:
    """SECURITY-CASES 19."""
    texts = audience if isinstance(audience, list) else [audience]
    assert isinstance(caller.show_claims(aud=audience), Principal) is (
        AUDIENCE in texts and all(isinstance(text, str) for text in texts)
    )


@st.composite
def bent_addresses(draw: st.DrawFn) -> str:
    """Return bob's address, and ways to write what only looks like it."""
    address = BOB
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(address) - 1))
        character = address[place]
        address = draw(
            st.sampled_from(
                [
                    address[:place] + character.upper() + address[place + 1 :],
                    address[:place] + draw(st.sampled_from(INVISIBLE)) + address[place:],
                    address[:place]
                    + draw(st.sampled_from(LOOK_ALIKES.get(character, "\u0131")))
                    + address[place + 1 :],
                    address + draw(st.sampled_from([".", "\0", "@evil.com", ".evil.com", ",eve@evil.com", " "])),
                    draw(st.sampled_from(["eve@evil.com@", "<", "eve@evil.com,", "sub.", "@"])) + address,
                    address.replace("@", draw(st.sampled_from(["@@", "@evil.com@", "+@", "%40", "@sub."]))),
                ]
            )
        )
    return address


@settings(max_examples=300, deadline=None)
@given(address=bent_addresses() | st.text(max_size=20), verified=st.just(True) | st.booleans() | values)
@example(address="a@evil.com@example.com", verified=True)
@example(address="BOB@EXAMPLE.COM", verified=True)
@example(address=BOB, verified="true")
@example(address=BOB, verified=1)
def test_a_person_is_found_by_their_own_verified_address_and_by_no_look_alike(
    caller: Caller, address: str, verified: Any
) -> None:
    """SECURITY-CASES 21: two `@`, Unicode look-alikes, addresses that nobody verified; case alone is no matter."""
    outcome = caller.show_claims(sub="s-1", email=address, email_verified=verified)
    assert isinstance(outcome, Principal)
    is_bobs = address.isascii() and address.lower() == BOB and verified is True
    assert outcome.subject == ("user:bob" if is_bobs else "user:corp:s-1")
    assert outcome.email is None or outcome.email.endswith("@example.com")


names = st.text(string.ascii_letters + string.digits + string.punctuation + " \u0430\u200b", min_size=1, max_size=20)


@settings(deadline=None)
@given(names | texts)
@example("robert")
@example("user:robert")
@example("corp:robert")
@example("b-1")
def test_an_account_is_a_person_only_by_its_subject_and_never_by_its_name(caller: Caller, name: str) -> None:
    """An account's own subject has a second `:` after `user`, a person's never."""
    outcome = caller.show_claims(sub=name)
    if name == "b-1":
        assert isinstance(outcome, Principal)
        assert outcome.subject == "user:robert"
    elif isinstance(outcome, Principal):
        assert outcome.subject == f"user:corp:{name}"
        assert NAME.fullmatch(name)
    else:
        assert outcome.code in ("unusable_username", "malformed_claim")
        assert not NAME.fullmatch(name)


@settings(deadline=None)
@given(st.lists(names | values, max_size=6))
def test_groups_are_each_once_in_order_and_only_what_a_rule_can_name(caller: Caller, groups: list[Any]) -> None:
    outcome = caller.show_claims(groups=groups)
    assert isinstance(outcome, Principal)
    safe = (name for name in groups if isinstance(name, str) and NAME.fullmatch(name))
    assert outcome.groups == tuple(dict.fromkeys(f"group:corp:{name}" for name in safe))
