"""What a running gateway answers when one of its parts fails, and how it comes back by itself."""

import json
import resource
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.app import create_audit_store
from tests.parts.front import METHODS, RULES, ok
from tests.parts.gateway import GatewayProcess, Site, bearer, make_site, stored_rows, verify
from tests.parts.issuer import Issuer
from tests.parts.raw_upstream import RawConnection, RawUpstream


def backend(url: str, name: str = "raw") -> dict[str, object]:
    route = {"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"}
    return {"name": name, "adapter": "http", "url": url, "environment": "prod", "routes": [route]}


def answer_ok(connection: RawConnection) -> None:
    connection.read_request()
    connection.send(ok())


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(answer_ok) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, issuer: Issuer, upstream: RawUpstream) -> Site:
    return make_site(tmp_path, providers=[issuer.settings], backends=[backend(upstream.url)], rules=RULES)


def get(gateway: GatewayProcess, issuer: Issuer, path: str = "/raw/open/x") -> httpx.Response:
    return httpx.get(gateway.url + path, headers=bearer(issuer.token("alice", groups=["users"])))


def refused(gateway: GatewayProcess, issuer: Issuer) -> bool:
    response = get(gateway, issuer)
    return response.status_code == 503 and response.json()["code"] == "audit_unavailable"


def ready(gateway: GatewayProcess) -> dict[str, object]:
    document: dict[str, object] = httpx.get(f"{gateway.url}/-/readyz").json()
    return document


def test_a_full_disk_closes_the_gate_and_room_opens_it_again(site: Site, issuer: Issuer, upstream: RawUpstream) -> None:
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer).status_code == 200
        before = len(upstream.connections)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        gateway.wait_until(lambda: refused(gateway, issuer), "requests are refused")
        assert len(upstream.connections) == before
        assert ready(gateway)["ready"] is False
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        gateway.wait_until(lambda: get(gateway, issuer).status_code == 200, "requests are served again")
        assert ready(gateway)["ready"] is True
        assert gateway.log.count("ERROR") <= 3
    assert verify(site).returncode == 0


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_log_removed_while_serving_closes_the_gate(
    site: Site, issuer: Issuer, upstream: RawUpstream, suffix: str
) -> None:
    """SECURITY-CASES 38"""
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer).status_code == 200
        before = len(upstream.connections)
        Path(f"{site.database}{suffix}").unlink()
        assert refused(gateway, issuer)
        assert refused(gateway, issuer)
        assert len(upstream.connections) == before
        assert ready(gateway)["ready"] is False


def test_another_log_put_in_its_place_does_not_open_the_gate(site: Site, issuer: Issuer, upstream: RawUpstream) -> None:
    """SECURITY-CASES 38"""
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer).status_code == 200
        before = len(upstream.connections)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{site.database}{suffix}").unlink(missing_ok=True)
        create_audit_store(f"sqlite:///{site.database}")
        for _ in range(3):
            assert refused(gateway, issuer)
        assert len(upstream.connections) == before


def test_a_log_that_is_missing_at_the_start_is_waited_for_and_never_made(
    site: Site, issuer: Issuer, upstream: RawUpstream
) -> None:
    aside = site.directory / "aside.db"
    shutil.move(site.database, aside)
    with GatewayProcess(site, wait_ready=False) as gateway:
        assert refused(gateway, issuer)
        assert not site.database.exists()
        assert "portcullis init" in gateway.log
        assert upstream.connections == []
        shutil.move(aside, site.database)
        gateway.wait_until(lambda: get(gateway, issuer).status_code == 200, "requests are served")


def test_a_provider_that_is_down_is_said_so_and_the_others_serve(
    tmp_path: Path, issuer: Issuer, upstream: RawUpstream
) -> None:
    """SECURITY-CASES 22"""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    absent = Issuer("partner", port=port)
    site = make_site(
        tmp_path,
        providers=[absent.settings, issuer.settings],
        backends=[backend(upstream.url)],
        rules=[*RULES, "g, group:partner:users, role:user"],
    )
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer).status_code == 200
        providers = {entry["name"]: entry for entry in ready(gateway)["providers"]}  # type: ignore[attr-defined]
        assert (providers["corp"]["ready"], providers["partner"]["ready"]) == (True, False)
        assert str(port) in providers["partner"]["detail"]
        unavailable = get(gateway, absent)
        assert (unavailable.status_code, unavailable.json()["code"]) == (503, "provider_unavailable")
        with absent:
            gateway.wait_until(lambda: get(gateway, absent).status_code == 200, "the provider is found")
        assert get(gateway, absent).status_code == 200, "cached keys outlive their provider"


def test_a_backend_that_is_down_is_502_and_recorded(tmp_path: Path, issuer: Issuer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    site = make_site(tmp_path, providers=[issuer.settings], backends=[backend(url)], rules=RULES)
    with GatewayProcess(site) as gateway:
        response = get(gateway, issuer)
        assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")
        assert "Portcullis-Receipt" in response.headers
    assert verify(site).returncode == 0


def test_a_rule_takes_effect_without_a_restart_and_a_bad_one_does_not(site: Site, issuer: Issuer) -> None:
    rules = site.policies / "rules" / "rules.csv"
    good = rules.read_text()
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer, "/raw/admin/x").status_code == 403
        rules.write_text(good + "g, group:corp:users, role:admin\n")
        gateway.wait_until(lambda: get(gateway, issuer, "/raw/admin/x").status_code == 200, "the rule is in force")
        rules.write_text(good + "p, role:user, prod, raw/**, use, dney,\n")

        def problem() -> object:
            return ready(gateway)["policy"]["problem"]  # type: ignore[index]

        gateway.wait_until(lambda: problem() is not None, "the bad bundle is refused")
        assert f"rules/rules.csv:{good.count(chr(10)) + 1}" in str(problem())
        assert get(gateway, issuer, "/raw/admin/x").status_code == 200, "the last good bundle stays in force"
        assert "portcullis_policy_stale 1.0" in httpx.get(f"{gateway.url}/-/metrics").text
        rules.write_text(good)
        gateway.wait_until(
            lambda: get(gateway, issuer, "/raw/admin/x").status_code == 403, "the good bundle is in force"
        )
        assert problem() is None
    loads = [json.loads(row.body)["result"] for row in stored_rows(site) if row.kind == "policy_load"]
    assert loads == ["loaded", "loaded", "refused", "loaded"]


def test_accounts_of_two_providers_are_one_person(tmp_path: Path, issuer: Issuer, upstream: RawUpstream) -> None:
    identities = """
people:
  alice:
    accounts:
      - {provider: corp, subject: sub-alice}
      - {provider: partner, subject: sub-a.smith}
"""
    with Issuer("partner", "ES256") as partner:
        site = make_site(
            tmp_path,
            providers=[issuer.settings, partner.settings],
            backends=[backend(upstream.url)],
            rules=["p, user:alice, prod, raw/**, use, allow,"],
            identities=identities,
        )
        with GatewayProcess(site) as gateway:
            tokens = [issuer.token("alice"), partner.token("a.smith"), partner.token("alice")]
            answers = [httpx.get(f"{gateway.url}/-/api/v1/whoami", headers=bearer(token)).json() for token in tokens]
            assert [answer["subject"] for answer in answers] == [
                "user:alice",
                "user:alice",
                "user:partner:alice@example.com",
            ]
            statuses = [httpx.get(f"{gateway.url}/raw/x", headers=bearer(token)).status_code for token in tokens]
            assert statuses == [200, 200, 403]


def test_can_i_answers_as_the_data_path_decides(site: Site, issuer: Issuer) -> None:
    with GatewayProcess(site) as gateway:
        token = bearer(issuer.token("alice", groups=["users"]))
        ask = f"{gateway.url}/-/api/v1/can-i"
        allowed = httpx.get(ask, params={"action": "use", "resource": "raw/open/x"}, headers=token).json()
        assert (allowed["allowed"], allowed["rule"]["line"], allowed["environment"]) == (True, 1, "prod")
        denied = httpx.get(ask, params={"action": "use", "resource": "raw/admin/x"}, headers=token).json()
        assert (denied["allowed"], denied["roles_that_would_allow"]) == (False, ["role:admin"])
        assert httpx.get(ask, params={"action": "use", "resource": "nowhere/x"}, headers=token).status_code == 400
        assert httpx.get(ask, params={"action": "use"}, headers=token).json()["code"] == "bad_parameter"
        assert httpx.get(ask, params={"action": "use", "resource": "raw/x"}).status_code == 401


def test_stopping_waits_for_what_is_under_way_and_closes_the_log_in_order(
    site: Site, issuer: Issuer, upstream: RawUpstream
) -> None:
    with GatewayProcess(site) as gateway:
        assert get(gateway, issuer).status_code == 200
        assert gateway.stop() == 0
        assert "ERROR" not in gateway.log
    last = stored_rows(site)[-1]
    assert last.kind == "stop"
    assert verify(site).returncode == 0
