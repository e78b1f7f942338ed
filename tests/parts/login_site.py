"""A gateway at its real address with two certified providers to log in at, and its identity state.

with LoginSite(tmp_path) as site:
    HttpBrowser().get(site.url + "/-/console/")
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml

from adapters.state.database import create_state
from identity.sealing import Sealer
from tests.parts.gateway import GatewayProcess, Site, make_site
from tests.parts.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider
from tests.parts.ports import free_port

BACKEND = {
    "name": "logs-prod",
    "adapter": "http",
    "url": "http://127.0.0.1:9",
    "environment": "prod",
    "routes": [{"methods": ["GET"], "path": "/{rest**}", "resource": "{rest**}", "action": "use"}],
}
PEOPLE = "people:\n  alice:\n    accounts:\n      - {provider: corp, subject: alice}\n"


class LoginSite:
    """Providers `corp` (RS256) and `partner` (ES256, which tells of logouts), and a gateway at its public URL.

    `provider` adds to every provider's settings, `identity` to the configuration's `identity`, and `only` leaves the
    named providers in it. Without `sends_issuer` the providers don't say `iss` in their authorization responses.
    """

    def __init__(
        self,
        directory: Path,
        *,
        provider: Mapping[str, Any] | None = None,
        identity: Mapping[str, Any] | None = None,
        only: Sequence[str] = ("corp", "partner"),
        environment: Mapping[str, str] | None = None,
        sends_issuer: bool = True,
    ) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._directory = directory
        self._provider, self._identity, self._only = provider or {}, identity or {}, only
        self._environment = {"CLIENT_SECRET": CLIENT_SECRET, **(environment or {})}
        self._running = ExitStack()
        callback = f"{self.url}/-/login/callback"
        self.corp = OidcProvider("RS256", redirect_uris=(f"{callback}/corp",), sends_issuer=sends_issuer)
        told = {
            "backchannel_logout_uri": f"{self.url}/-/login/backchannel",
            "backchannel_logout_session_required": True,
        }
        self.partner = OidcProvider(
            "ES256", redirect_uris=(f"{callback}/partner",), client=told, sends_issuer=sends_issuer
        )
        self.site: Site
        self.gateway: GatewayProcess

    def __enter__(self) -> Self:
        with self._running as running:
            running.enter_context(self.corp)
            running.enter_context(self.partner)
            self.site = self._site()
            self.gateway = running.enter_context(GatewayProcess(self.site, environment=self._environment))
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def settings(self, name: str, provider: OidcProvider) -> dict[str, Any]:
        """Return one provider's entry in the configuration."""
        return {
            "name": name,
            "issuer": provider.issuer,
            "audiences": ["portcullis"],
            "client_id": CLIENT_ID,
            "client_secret_env": "CLIENT_SECRET",
            "scopes": ["openid", "email", "profile", "offline_access"],
            "groups_claim": "groups",
            **self._provider,
        }

    def _site(self) -> Site:
        providers = [self.settings("corp", self.corp), self.settings("partner", self.partner)]
        site = make_site(
            self._directory,
            providers=[each for each in providers if each["name"] in self._only],
            backends=[BACKEND],
            identities=PEOPLE,
        )
        Sealer.create(self._directory / "identity.secret")
        create_state(f"sqlite:///{self._directory / 'identity.db'}")
        document = yaml.safe_load(site.config.read_text())
        document["listen"] = f"127.0.0.1:{self._port}"
        document["public_url"] = self.url
        document["identity"] |= {
            "state": {"database": f"sqlite:///{self._directory / 'identity.db'}", "secret_file": "identity.secret"},
            **self._identity,
        }
        site.config.write_text(yaml.safe_dump(document, sort_keys=False))
        return site
