"""The whole way: a person logs in through a real provider and a real gateway answers them."""

import os
import subprocess
from pathlib import Path

from tests.gateway.cli.conftest import BROWSER, Run
from tests.parts.gateway import PORTCULLIS, GatewayProcess, make_site
from tests.parts.oidc_provider import AUDIENCE, CLI_CLIENT_ID, OidcProvider

ROUTE = {"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "read"}
BACKEND = {"name": "docs", "adapter": "http", "url": "http://127.0.0.1:1", "environment": "prod", "routes": [ROUTE]}


def test_login_whoami_can_i_logout(home: Path, run: Run, tmp_path: Path) -> None:
    with OidcProvider("ES256") as provider:
        settings = {
            "name": "corp",
            "issuer": provider.issuer,
            "audiences": [AUDIENCE],
            "client_id": CLI_CLIENT_ID,
            "username_claim": "preferred_username",
            "groups_claim": "groups",
        }
        rules = ["p, group:corp:dev, prod, docs/**, read, allow,"]
        site = make_site(tmp_path / "site", providers=[settings], backends=[BACKEND], rules=rules)
        with GatewayProcess(site) as gateway:
            environment = os.environ | {"BROWSER": BROWSER}
            command = [PORTCULLIS, "login", "--gateway", gateway.url]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
            assert done.returncode == 0, done.stderr
            who = run("whoami", "--format", "json").json
            assert (who["provider"], who["username"]) == ("corp", "alice")
            assert "group:corp:dev" in who["groups"]
            assert run("can-i", "read", "docs/handbook").code == 0
            assert run("can-i", "write", "docs/handbook").code == 1
            assert run("logout").code == 0
            assert run("whoami").code == 2
