"""The HTTP adapter in front of a real deploy service: a route table, a session cookie, a build that runs."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.backend import Access
from adapters.http import HttpAdapter, HttpSettings
from tests.parts.adapter_proxy import AdapterProxy
from tests.parts.buildbot_master import BuildbotMaster


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildbotMaster]:
    with BuildbotMaster(tmp_path_factory.mktemp("deploy") / "master") as running:
        yield running


def force(url: str, method: str = "force", project: str = "payments") -> int:
    call = {"jsonrpc": "2.0", "method": method, "params": {"reason": "test"}, "id": 1}
    request = urllib.request.Request(
        f"{url}/api/v2/forceschedulers/{project}-force",
        data=json.dumps(call).encode(),
        headers={"Content-Type": "application/json", "Cookie": "TWISTED_SESSION=mine"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_deploy_runs_with_the_gateways_account_only(master: BuildbotMaster, tmp_path: Path) -> None:
    """Without the gateway Buildbot refuses; through the adapter the build runs, and other calls are denied."""
    session = tmp_path / "deploy.session"
    session.write_text(master.session() + "\n")
    settings = HttpSettings.model_validate(
        {
            "name": "deploy-prod",
            "url": master.url,
            "environment": "prod",
            "credential": {"header": {"name": "Cookie", "value_file": str(session), "prefix": "TWISTED_SESSION="}},
            "routes": [
                {
                    "methods": ["POST"],
                    "path": "/api/v2/forceschedulers/{project}-force",
                    "body": {"method": "force"},
                    "resource": "{project}",
                    "action": "deploy",
                },
                {"methods": ["GET"], "path": "/api/v2/builders/**", "resource": "builders", "action": "read"},
            ],
        }
    )
    assert force(master.url) == 403
    with AdapterProxy(HttpAdapter(settings), master.url) as proxy:
        assert force(proxy.url) == 200
        assert proxy.seen == [(Access("deploy-prod/payments", "deploy"),)]
        build = master.wait_for_build("payments")
        assert build["results"] == 0
        assert force(proxy.url, method="stop") == 403
        with urllib.request.urlopen(f"{proxy.url}/api/v2/builders/payments/builds", timeout=20) as answer:
            assert len(json.load(answer)["builds"]) == 1
