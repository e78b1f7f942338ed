"""The gateway's own API: what it tells whom."""

import json

import httpx

from audit.checkpoint import open_checkpoint
from audit.note import Verifier
from identity.dpop import PROOF_ALGORITHMS
from tests.parts.front import Front
from tests.parts.gateway import bearer, stored_rows


def test_health_needs_no_credential_and_names_the_policy_in_force(front: Front) -> None:
    assert httpx.get(f"{front.gateway.url}/-/livez").json() == {"status": "alive"}
    ready = httpx.get(f"{front.gateway.url}/-/readyz")
    document = ready.json()
    assert (ready.status_code, document["ready"]) == (200, True)
    assert len(document["policy"]["digest"]) == 64
    assert document["audit"]["size"] > 0
    assert [provider["ready"] for provider in document["providers"]] == [True]


def test_whoami_is_the_caller_as_policies_see_them(front: Front) -> None:
    document = httpx.get(f"{front.gateway.url}/-/api/v1/whoami", headers=bearer(front.token)).json()
    assert (document["subject"], document["provider"]) == ("user:corp:alice@example.com", "corp")
    assert document["groups"] == ["group:corp:users"]


def test_a_failed_attempt_at_the_api_is_a_problem_and_a_record(front: Front) -> None:
    response = httpx.get(f"{front.gateway.url}/-/api/v1/whoami", headers=bearer("not.a.token"))
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credential")
    index, _, leaf = response.headers["portcullis-receipt"].partition(":")
    row = stored_rows(front.site)[int(index)]
    assert (row.leaf.hex(), row.verdict, row.backend) == (leaf, "unauthenticated", "-")
    assert json.loads(row.body)["request"]["path"] == "/-/api/v1/whoami"


def test_two_credentials_at_the_api_are_refused(front: Front) -> None:
    """SECURITY-CASES 12"""
    headers = [("Authorization", f"Bearer {front.token}"), ("Authorization", f"Bearer {front.token}")]
    response = httpx.get(f"{front.gateway.url}/-/api/v1/whoami", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "bad_headers")


def test_clients_find_out_where_to_log_in(front: Front) -> None:
    resource = httpx.get(f"{front.gateway.url}/-/oauth/protected-resource").json()
    assert resource == {
        "resource": "https://gateway.example.com",
        "authorization_servers": [front.issuer.url],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
    }
    assert httpx.get(f"{front.gateway.url}/.well-known/oauth-protected-resource").json() == resource


def test_a_gateway_without_identity_state_says_that_it_issues_no_tokens(front: Front) -> None:
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        response = httpx.get(f"{front.gateway.url}{path}")
        assert (response.status_code, response.json()["code"]) == (404, "identity_state_missing")


def test_the_checkpoint_is_signed_under_the_logs_own_name(front: Front) -> None:
    front.send(front.request("/raw/open/x"))

    def signed() -> bool:
        return httpx.get(f"{front.gateway.url}/-/log/checkpoint").status_code == 200

    front.gateway.wait_until(signed, "a checkpoint is signed")
    note = httpx.get(f"{front.gateway.url}/-/log/checkpoint").content
    checkpoint = open_checkpoint(note, Verifier.parse(front.site.verifier_key))
    assert checkpoint.origin == "gateway.example.com/audit"
    assert 0 < checkpoint.size <= len(stored_rows(front.site))


def test_the_api_describes_itself_and_has_no_page_from_elsewhere(front: Front) -> None:
    paths = httpx.get(f"{front.gateway.url}/-/api/openapi.json").json()["paths"]
    assert {"/-/livez", "/-/readyz", "/-/api/v1/whoami", "/-/api/v1/can-i"} <= set(paths)
    assert httpx.get(f"{front.gateway.url}/docs").status_code == 401


def test_the_wrong_method_is_a_problem_document(front: Front) -> None:
    response = httpx.post(f"{front.gateway.url}/-/livez")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET"
