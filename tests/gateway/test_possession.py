"""A token that is bound to a DPoP key counts only with that key's proof, end to end."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.exchange import Exchange
from gateway.headers import RequestHeaders
from gateway.possession import Possession
from identity.dpop import InvalidProofError, ProofVerifier
from identity.principal import Confirmation
from identity.proof_nonces import ProofNonces
from identity.sealing import Sealer
from tests.parts.front import METHODS, ok
from tests.parts.gateway import GatewayProcess, Site, bearer, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.proof_key import ProofKey
from tests.parts.raw_client import RawClient, RawResponse
from tests.parts.raw_upstream import RawConnection, RawUpstream

PUBLIC_URL = "https://gateway.example.com"
ROUTES = [{"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"}]
RULES = [
    "p, group:corp:users, prod, open/**, use, allow,",
    "p, group:corp:users, prod, bound/**, use, allow,",
    "p, group:corp:users, prod, open/bound-only, use, deny, token_binding != 'dpop'",
    "p, group:corp:users, prod, cloud/**, *, allow,",
]


class Place:
    """The running gateway, its issuer, the backend behind it and one client's key."""

    def __init__(self, gateway: GatewayProcess, issuer: Issuer, upstream: RawUpstream, site: Site) -> None:
        self.gateway, self.issuer, self.upstream, self.site = gateway, issuer, upstream, site
        self.key = ProofKey()
        self.bound = self.token(cnf={"jkt": self.key.thumbprint})
        self.unbound = self.token()

    def token(self, **claims: Any) -> str:
        return self.issuer.token("alice", groups=["users"], **claims)

    def get(self, path: str, headers: dict[str, str]) -> httpx.Response:
        return httpx.get(self.gateway.url + path, headers=headers)

    def with_proof(self, path: str, token: str | None = None, **claims: object) -> dict[str, str]:
        return self.key.headers("GET", PUBLIC_URL + path, token or self.bound, **claims)

    def send(self, path: str, *headers: str) -> RawResponse:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: gateway.example.com", *headers])
        with RawClient(self.gateway.port) as client:
            client.send(head.encode() + b"\r\n\r\n")
            return client.read_response()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    def answer(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(ok(headers=b"DPoP-Nonce: the-backends\r\n"))

    with Issuer() as issuer, RawUpstream(answer) as upstream:
        common: dict[str, Any] = {"url": upstream.url, "environment": "prod"}
        credential = {"access_key_id_env": "KEY", "secret_access_key_env": "KEY"}
        backends: list[dict[str, Any]] = [
            {"name": "open", "adapter": "http", "routes": ROUTES, **common},
            {"name": "bound", "adapter": "http", "routes": ROUTES, "require_token_binding": ["dpop", "mtls"], **common},
            {"name": "cloud", "adapter": "aws", "credential": credential, **common},
        ]
        site = make_site(tmp_path_factory.mktemp("site"), providers=[issuer.settings], backends=backends, rules=RULES)
        with GatewayProcess(site, environment={"KEY": "key"}) as gateway:
            yield Place(gateway, issuer, upstream, site)


def refusal(response: httpx.Response) -> tuple[int, str, str, str]:
    """Return status, problem code, its error, and the scheme of the challenge."""
    document = response.json()
    challenge = response.headers["www-authenticate"]
    return response.status_code, document["code"], document.get("error", ""), challenge.split(" ")[0]


def test_a_bound_token_with_a_proof_goes_on_and_neither_is_forwarded(place: Place) -> None:
    response = place.get("/open/a%20b?x=1", place.with_proof("/open/a%20b"))
    assert (response.status_code, response.text) == (200, "ok")
    assert "dpop-nonce" not in response.headers
    seen = place.upstream.connections[-1].received
    assert seen.startswith(b"GET /a%20b?x=1 ")
    assert b"dpop" not in seen.lower()
    assert b"uthorization" not in seen


def test_a_proof_for_the_gateways_own_paths_counts_there(place: Place) -> None:
    response = place.get("/-/api/v1/whoami", place.with_proof("/-/api/v1/whoami"))
    assert response.json()["subject"] == "user:corp:alice@example.com"
    assert refusal(place.get("/-/api/v1/whoami", bearer(place.bound)))[2] == "proof_required"


def test_a_bound_token_is_no_bearer_token(place: Place) -> None:
    """RFC 9449, section 7.2: also where a good proof stands beside it."""
    assert refusal(place.get("/open/x", bearer(place.bound))) == (401, "invalid_credential", "proof_required", "DPoP")
    beside = {**bearer(place.bound), "DPoP": place.key.proof("GET", PUBLIC_URL + "/open/x", place.bound)}
    assert refusal(place.get("/open/x", beside))[2] == "proof_required"


def test_an_unbound_token_is_no_dpop_token(place: Place) -> None:
    headers = place.with_proof("/open/x", place.unbound)
    assert refusal(place.get("/open/x", headers)) == (401, "invalid_credential", "token_not_bound", "DPoP")
    assert place.get("/open/x", bearer(place.unbound)).status_code == 200


def test_a_token_bound_to_a_certificate_needs_the_connections_own(place: Place) -> None:
    """Without TLS there is none, whatever a header or a proof says."""
    token = place.token(cnf={"x5t#S256": place.key.thumbprint})
    believed = {
        "X-Client-Cert": "x",
        "X-SSL-Client-Cert": "x",
        "X-Forwarded-Client-Cert": "Hash=x",
        "Client-Cert": ":x:",
    }
    assert refusal(place.get("/open/x", {**bearer(token), **believed})) == (
        401,
        "invalid_credential",
        "certificate_required",
        "Bearer",
    )
    assert refusal(place.get("/open/x", place.with_proof("/open/x", token)))[2] == "token_not_bound"


def test_another_keys_proof_is_refused(place: Place) -> None:
    other = ProofKey()
    headers = other.headers("GET", PUBLIC_URL + "/open/x", place.bound)
    assert refusal(place.get("/open/x", headers))[2] == "wrong_proof_key"


@pytest.mark.parametrize(
    ("path", "claims", "error"),
    [
        ("/open/x", {"htu": "https://gateway.example.com/open%2Fx"}, "wrong_proof_url"),
        ("/open/x", {"htu": "https://gateway.example.com/open/y"}, "wrong_proof_url"),
        ("/open/x", {"htu": "https://evil.example/open/x"}, "wrong_proof_url"),
        ("/open/x", {"htm": "POST"}, "wrong_proof_method"),
        ("/open/x", {"ath": "x"}, "wrong_proof_token"),
        ("/open/x", {"iat": 1_000_000_000}, "proof_too_old"),
        ("/open/x", {"jti": None}, "malformed_proof"),
    ],
)
def test_a_proof_that_does_not_fit_is_refused(place: Place, path: str, claims: dict[str, Any], error: str) -> None:
    response = place.get(path, place.with_proof(path, **claims))
    assert refusal(response) == (401, "invalid_credential", error, "DPoP")
    challenge = response.headers["www-authenticate"]
    assert 'error="invalid_dpop_proof"' in challenge
    assert 'algs="ES256 ES384 RS256 PS256 EdDSA Ed25519"' in challenge


def test_a_proof_counts_once(place: Place) -> None:
    headers = place.with_proof("/open/x")
    assert place.get("/open/x", headers).status_code == 200
    assert refusal(place.get("/open/x", headers))[2] == "proof_replayed"


def test_a_missing_or_empty_or_doubled_proof_is_refused(place: Place) -> None:
    """SECURITY-CASES 12: two proofs are refused, as two headers or joined by a comma."""
    assert refusal(place.get("/open/x", {"Authorization": f"DPoP {place.bound}"}))[2] == "malformed_proof"
    assert refusal(place.get("/open/x", {"Authorization": f"DPoP {place.bound}", "DPoP": ""}))[2] == "malformed_proof"
    proofs = [place.key.proof("GET", PUBLIC_URL + "/open/x", place.bound) for _ in range(2)]
    token = f"Authorization: DPoP {place.bound}"
    twice = place.send("/open/x", token, f"DPoP: {proofs[0]}", f"dpop: {proofs[1]}")
    assert (twice.status, json.loads(twice.body)["code"]) == (400, "bad_headers")
    joined = place.send("/open/x", token, f"DPoP: {proofs[0]}, {proofs[1]}")
    assert (joined.status, json.loads(joined.body)["error"]) == (401, "malformed_proof")
    unbound = place.send("/open/x", f"Authorization: Bearer {place.unbound}", "DPoP: a", "DPoP: b")
    assert unbound.status == 400


@pytest.mark.parametrize("twin", ["D_POP", "DPoP_", "DPoP."])
def test_a_twin_of_the_header_is_no_proof_and_goes_no_further(place: Place, twin: str) -> None:
    """SECURITY-CASES 10"""
    proof = place.key.proof("GET", PUBLIC_URL + "/open/x", place.bound)
    response = place.send("/open/x", f"Authorization: DPoP {place.bound}", f"{twin}: {proof}")
    assert json.loads(response.body)["error"] == "malformed_proof"
    place.send("/open/x", f"Authorization: Bearer {place.unbound}", f"{twin}: {proof}", "Connection: close")
    assert proof.encode() not in place.upstream.connections[-1].received


@pytest.mark.parametrize("scheme", ["dpop", "DPOP", "DPoP"])
def test_the_schemes_case_has_no_meaning(place: Place, scheme: str) -> None:
    headers = {**place.with_proof("/open/x"), "Authorization": f"{scheme} {place.bound}"}
    assert place.get("/open/x", headers).status_code == 200


def test_a_session_token_has_no_place_for_a_proof(place: Place) -> None:
    signature = "AWS4-HMAC-SHA256 Credential=x"
    headers = {"Authorization": signature, "X-Amz-Security-Token": place.bound}
    answer = place.get("/cloud/x", headers)
    assert refusal(answer)[:3] == (401, "invalid_credential", "binding_unprovable")
    assert "session token" in answer.json()["detail"]
    with_proof = {**headers, "DPoP": place.key.proof("GET", PUBLIC_URL + "/cloud/x", place.bound)}
    assert refusal(place.get("/cloud/x", with_proof))[2] == "binding_unprovable"


def test_a_backend_can_demand_a_bound_token(place: Place) -> None:
    response = place.get("/bound/x", bearer(place.unbound))
    assert refusal(response) == (401, "token_binding_required", "", "DPoP")
    assert response.json()["token_binding"] == ["dpop", "mtls"]
    remedy = ": use a client that gets its token with a DPoP proof (RFC 9449), or get the token with your client certif"
    assert remedy in response.json()["detail"]
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert 'algs="ES256' in response.headers["www-authenticate"]
    assert place.get("/bound/x", place.with_proof("/bound/x")).status_code == 200
    index, _, _ = response.headers["portcullis-receipt"].partition(":")
    row = stored_rows(place.site)[int(index)]
    assert (row.verdict, row.actor) == ("denied", "user:corp:alice@example.com")


def test_can_i_says_beforehand_that_the_token_must_be_bound(place: Place) -> None:
    """The policy's word stands beside it: the rule is there, the token is not good enough."""
    question = "/-/api/v1/can-i"
    for resource, lacking in (("bound/x", ["dpop", "mtls"]), ("open/x", None)):
        query = f"{question}?action=use&resource={resource}"
        answer = place.get(query, bearer(place.unbound)).json()
        assert (answer["allowed"], answer["token_binding_required"]) == (True, lacking)
    bound = place.get(f"{question}?action=use&resource=bound/x", place.with_proof(question)).json()
    assert (bound["allowed"], bound["token_binding_required"]) == (True, None)


def test_strangers_do_not_learn_which_backend_demands_it(place: Place) -> None:
    challenges = {place.get(path, {}).headers["www-authenticate"] for path in ("/bound/x", "/open/x", "/nothing/x")}
    assert len(challenges) == 1


def test_a_rule_can_demand_a_bound_token(place: Place) -> None:
    denied = place.get("/open/bound-only", bearer(place.unbound))
    assert (denied.status_code, denied.json()["decision"]["reason"]) == (403, "denied_by_rule")
    assert place.get("/open/bound-only", place.with_proof("/open/bound-only")).status_code == 200


def test_who_can_not_prove_to_hold_the_key_is_recorded_as_nobody(place: Place) -> None:
    response = place.get("/open/x", bearer(place.bound))
    index, _, _ = response.headers["portcullis-receipt"].partition(":")
    row = stored_rows(place.site)[int(index)]
    assert (row.verdict, json.loads(row.body)["actor"]) == ("unauthenticated", None)


def test_no_answer_or_log_line_shows_a_proof_or_a_token(place: Place) -> None:
    """SECURITY-CASES 24"""
    headers = place.with_proof("/open/y")
    response = place.get("/open/x", headers)
    assert response.status_code == 401
    for secret in (headers["DPoP"], place.bound):
        for part in secret.split("."):
            assert part not in response.text + str(response.headers) + place.gateway.log


def test_with_nonces_the_401_gives_the_one_to_use(tmp_path: Any) -> None:
    with Issuer() as issuer, RawUpstream(lambda connection: connection.send(ok())) as upstream:
        backend = {"name": "open", "adapter": "http", "url": upstream.url, "environment": "prod", "routes": ROUTES}
        identity = {"dpop_nonce": True}
        site = make_site(
            tmp_path / "site", providers=[issuer.settings], backends=[backend], rules=RULES, identity=identity
        )
        with GatewayProcess(site) as gateway:
            here = Place(gateway, issuer, upstream, site)
            asked = here.get("/-/api/v1/whoami", here.with_proof("/-/api/v1/whoami"))
            assert refusal(asked) == (401, "invalid_credential", "proof_nonce_required", "DPoP")
            assert 'error="use_dpop_nonce"' in asked.headers["www-authenticate"]
            nonce = asked.headers["dpop-nonce"]
            assert nonce not in asked.text
            assert here.get("/-/api/v1/whoami", here.with_proof("/-/api/v1/whoami", nonce=nonce)).status_code == 200
            assert here.get("/-/api/v1/whoami", bearer(here.unbound)).status_code == 200


class Connection:
    """What is seen of a connection: the target asked for on it, and the client's certificate."""

    def __init__(self, target: bytes, client_thumbprint: str | None) -> None:
        self.target, self.client_thumbprint = target, client_thumbprint


def asked(proof: str | None, certificate: str | None, target: bytes = b"/-/oauth/token?x=1") -> Confirmation | None:
    """Return the key that a request to the token endpoint offers."""
    possession = Possession(ProofVerifier(ProofNonces(Sealer(bytes(32)))), PUBLIC_URL)
    raw: Any = Connection(target, certificate)
    nothing: Any = None
    exchange = Exchange(
        {"method": "POST", "client": None},
        nothing,
        nothing,
        raw,
        request_id="r",
        received_us=time.time_ns() // 1000,
    )
    headers = [(b"Host", b"gateway.example.com")]
    exchange.headers = RequestHeaders([*headers, (b"DPoP", proof.encode())] if proof is not None else headers)
    return possession.offered(exchange)


def test_who_asks_for_a_token_offers_the_key_that_they_prove_to_hold() -> None:
    key = ProofKey()
    url = PUBLIC_URL + "/-/oauth/token"
    by_proof, by_certificate = Confirmation("jkt", key.thumbprint), Confirmation("x5t#S256", "print")
    assert asked(None, None) is None
    assert asked(key.proof("POST", url), None) == by_proof
    assert asked(None, "print") == by_certificate
    assert asked(key.proof("POST", url), "print") == by_proof
    for wrong in ("", "a.b.c", key.proof("POST", PUBLIC_URL), key.proof("GET", url)):
        with pytest.raises(InvalidProofError):
            asked(wrong, "print")
