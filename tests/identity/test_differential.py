"""A second opinion: joserfc's own verifier must come to the verdict that the federation comes to, token by token.

The corpus is `token_corpus`: good tokens of every algorithm, and tokens bent in header, payload, signature, encoding
and key. Where the federation refuses what joserfc accepts, a row of `STRICTER` has to say why. The other way round
there is no excuse.
"""

import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import GuestProtocol, Key, KeySet
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from identity.claims import MAX_AUDIENCES, MAX_TIME
from identity.compact_jws import FORBIDDEN_MEMBERS, MAX_CLAIMS_DEPTH, MAX_HEADER_DEPTH, MAX_TOKEN_BYTES
from tests.identity.bent_keys import odd_keys, several_keys
from tests.identity.bent_token import ALGORITHMS, LEEWAY_S, Case
from tests.identity.issuer import NOW, Issuer, World, code_of
from tests.identity.token_corpus import corpus


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What both said of one token: the federation's code (None: accepted), and whether joserfc accepts it."""

    case: Case
    code: str | None
    joserfc: bool


class Opinion:
    """joserfc, configured as the federation is for one provider: its keys, algorithms, issuer, audience and leeway.

    Three of its defaults differ and are brought in line, each on its own ground: a header may have members that nobody
    knows (RFC 7515, section 4), a part of a token may be of any size, and a token without a key id is meant for the one
    key that fits (section 4.1.4 leaves that to the application).
    """

    def __init__(self, issuer: Issuer, algorithms: Sequence[str]) -> None:
        published: Any = {"keys": issuer.published}
        self._keys, self._algorithms = KeySet.import_key_set(published), algorithms
        self._registry = JWSRegistry(algorithms=self._algorithms, strict_check_header=False)
        for part in ("header", "payload", "signature"):
            setattr(self._registry, f"max_{part}_length", 10 * MAX_TOKEN_BYTES)
        self._claims = jwt.JWTClaimsRegistry(
            now=NOW,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer.url},
            aud={"essential": True, "value": "portcullis"},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )

    def accepts(self, token: bytes) -> bool:
        """Tell whether joserfc finds the token good."""
        try:
            decoded = jwt.decode(token, self._chosen, algorithms=self._algorithms, registry=self._registry)
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return False
        return True

    def _chosen(self, token: GuestProtocol) -> KeySet:
        header = token.headers()
        return (
            self._keys if "kid" in header else KeySet([key for key in self._keys if _is_made_for(header["alg"], key)])
        )


def _is_made_for(algorithm: str, key: Key) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True


class Parts:
    """A token as joserfc read it, for the table to look at."""

    def __init__(self, token: bytes) -> None:
        self.token = token
        head, body, _ = token.split(b".")
        self.header_text = urlsafe_b64decode(head)
        self.header: dict[str, Any] = json.loads(self.header_text)
        self.claims_text = body if self.header.get("b64") is False else urlsafe_b64decode(body)
        self.claims: dict[str, Any] = json.loads(self.claims_text)

    @property
    def texts(self) -> tuple[bytes, bytes]:
        return self.header_text, self.claims_text


@dataclass(frozen=True, slots=True)
class Stricter:
    """A ground to refuse what joserfc accepts: the federation's `code`, and what must be true of the token then."""

    code: str
    because: str
    holds: Callable[[Parts], bool] = field(repr=False)


def _repeats_a_key(parts: Parts) -> bool:
    repeated = []

    def note(pairs: list[tuple[str, object]]) -> dict[str, object]:
        repeated.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    for text in parts.texts:
        json.loads(text, object_pairs_hook=note)
    return any(repeated)


def _has_no_json_number(parts: Parts) -> bool:
    found: list[str] = []
    for text in parts.texts:
        json.loads(text, parse_constant=found.append)
    return bool(found)


def _is_not_plain_utf8(parts: Parts) -> bool:
    return any(json.detect_encoding(text) != "utf-8" or _has_half_a_character(text) for text in parts.texts)


def _has_half_a_character(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def _is_deeper(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        containers: list[Any] = [each for each in level if isinstance(each, (dict, list))]
        level = [child for each in containers for child in (each.values() if isinstance(each, dict) else each)]
        if not containers:
            return False
    return True


def _is_whole_time(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_TIME


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
STRICTER = (
    Stricter(
        "malformed_token",
        "a key that stands twice is read in two ways by two readers (RFC 7519, section 4, lets it be refused)",
        _repeats_a_key,
    ),
    Stricter("malformed_token", "NaN and Infinity are not JSON (RFC 8259, section 6)", _has_no_json_number),
    Stricter(
        "malformed_token", "JSON between systems is UTF-8 without a BOM (RFC 8259, section 8.1)", _is_not_plain_utf8
    ),
    Stricter(
        "malformed_token",
        "what is nested deeper than any real token costs more than it is worth (SECURITY-CASES 23)",
        lambda parts: _is_deeper(parts.header, MAX_HEADER_DEPTH) or _is_deeper(parts.claims, MAX_CLAIMS_DEPTH),
    ),
    Stricter(
        "token_too_large",
        "a large token costs a hash and a look, no more (SECURITY-CASES 23)",
        lambda parts: len(parts.token) > MAX_TOKEN_BYTES,
    ),
    Stricter(
        "header_not_allowed",
        "joserfc passes over an embedded key, `zip` and `enc`, and knows `b64`; a token that has any has no honest use "
        "here (SECURITY-CASES 17)",
        lambda parts: any(member in parts.header for member in FORBIDDEN_MEMBERS),
    ),
    Stricter(
        "wrong_token_type",
        "joserfc does not look at `typ`: a logout token or a proof is no access token (RFC 8725, section 3.11)",
        lambda parts: (
            parts.header.get("typ", "jwt").lower().removeprefix("application/") not in ("jwt", "at+jwt")
            or "events" in parts.claims
            or parts.claims.get("typ", "Bearer") not in ("Bearer", "ID")
            or parts.claims.get("token_use", "access") not in ("access", "id")
        ),
    ),
    Stricter(
        "id_token_not_accepted",
        "joserfc does not tell an ID token from an access token (SECURITY-CASES 19)",
        lambda parts: (
            any(claim in parts.claims for claim in ID_TOKEN_CLAIMS)
            or parts.claims.get("typ") == "ID"
            or parts.claims.get("token_use") == "id"
        ),
    ),
    Stricter(
        "malformed_claim",
        "a time is whole seconds from 1970 to 9999: the audit log holds nothing else",
        lambda parts: (
            not all(_is_whole_time(parts.claims[claim]) for claim in ("exp", "iat", "nbf") if claim in parts.claims)
        ),
    ),
    Stricter(
        "malformed_claim",
        "`auth_time` reaches policy conditions and joserfc does not know it",
        lambda parts: not _is_whole_time(parts.claims.get("auth_time", 0)),
    ),
    Stricter(
        "malformed_claim",
        "`sub` is at most 255 printable ASCII characters (OpenID Connect Core 1.0, section 2)",
        lambda parts: not _is_printable(parts.claims["sub"]),
    ),
    Stricter(
        "malformed_claim",
        "no real token has so many audiences",
        lambda parts: isinstance(parts.claims["aud"], list) and len(parts.claims["aud"]) > MAX_AUDIENCES,
    ),
    Stricter(
        "malformed_claim",
        "groups of another form than was configured could be a denied one that is not seen",
        lambda parts: not isinstance(parts.claims.get("groups"), (str, list, type(None))),
    ),
    Stricter(
        "malformed_claim",
        "a token that is bound to a key must say to which (RFC 7800), or it would serve a thief",
        lambda parts: "cnf" in parts.claims,
    ),
    Stricter(
        "sender_constrained",
        "a token that is bound to a key in a way that can't be checked would serve a thief",
        lambda parts: "cnf" in parts.claims,
    ),
    Stricter(
        "unusable_username",
        "a name must mean the same in a policy row, a log line and a spreadsheet",
        lambda parts: any(character in parts.claims["sub"] for character in " *,"),
    ),
    Stricter(
        "unknown_key",
        "an RSA key of less than 2048 bits can be broken (RFC 7518, section 3.3); joserfc warns",
        lambda parts: parts.header["kid"] == "weak",
    ),
    Stricter(
        "unknown_key",
        "of two keys with one id joserfc takes the first; the order of a document must not decide",
        lambda parts: parts.header["kid"] == "shared",
    ),
    Stricter(
        "unknown_key",
        "a private key that is published is everybody's",
        lambda parts: parts.header["kid"] == "private",
    ),
)


def _ground(verdicts: Verdicts) -> Stricter | None:
    """Return the row that explains a difference, None where none does."""
    if verdicts.code is None:
        return None
    parts = Parts(verdicts.case.token)
    return next((row for row in STRICTER if row.code == verdicts.code and row.holds(parts)), None)


@pytest.fixture(scope="module")
def verdicts() -> list[Verdicts]:
    """Every token of the corpus before one federation of all providers, and before joserfc for each of them."""
    plain = {algorithm: Issuer(algorithm.lower(), algorithm) for algorithm in ALGORITHMS}
    cases = [case for seed, issuer in enumerate(plain.values()) for case in corpus(issuer, plain, seed)]
    issuers: list[tuple[Issuer, Sequence[str]]] = [(issuer, (issuer.algorithm,)) for issuer in plain.values()]
    for issuer, tokens in (several_keys(), odd_keys()):
        issuers.append((issuer, ALGORITHMS))
        cases += tokens

    async def story() -> list[Verdicts]:
        opinions = [Opinion(issuer, algorithms) for issuer, algorithms in issuers]
        settings = [issuer.settings(algorithms=algorithms) for issuer, algorithms in issuers]
        async with World(*(issuer for issuer, _ in issuers), settings=settings) as world:
            return [
                Verdicts(case, await code_of(world, token), any(opinion.accepts(token) for opinion in opinions))
                for token, case in {case.token: case for case in cases}.items()
            ]

    with warnings.catch_warnings():
        # That an algorithm's name is out of fashion is no verdict.
        warnings.simplefilter("ignore", SecurityWarning)
        return asyncio.run(story())


def test_the_corpus_is_large_and_every_algorithm_has_good_tokens_and_bad_ones(verdicts: list[Verdicts]) -> None:
    assert len(verdicts) > 5000
    families = Counter(each.case.family for each in verdicts)
    assert families.keys() == {"good", "header", "payload", "signature", "encoding", "key", "noise"}
    assert sum(each.code is None for each in verdicts) > 500


def test_what_joserfc_refuses_is_never_accepted(verdicts: list[Verdicts]) -> None:
    """SECURITY-CASES 16, 17, 18, 19, 23."""
    assert [each.case.name for each in verdicts if each.code is None and not each.joserfc] == []


def test_whatever_is_refused_and_joserfc_accepts_is_refused_on_a_stated_ground(verdicts: list[Verdicts]) -> None:
    differences = [each for each in verdicts if each.code is not None and each.joserfc]
    assert [f"{each.case.name}: {each.code}" for each in differences if _ground(each) is None] == []


def test_every_stated_ground_is_one(verdicts: list[Verdicts]) -> None:
    used = {_ground(each) for each in verdicts if each.code is not None and each.joserfc}
    assert [row.because for row in STRICTER if row not in used] == []


def test_a_good_token_is_good_to_both_in_each_of_its_forms(verdicts: list[Verdicts]) -> None:
    good = [each for each in verdicts if each.case.family == "good"]
    assert [(each.case.name, each.code) for each in good if each.code is not None or not each.joserfc] == []
