"""The gateway that the tests of the request path share."""

from collections.abc import Iterator

import pytest

from tests.parts.front import METHODS, RULES, Front, close_after, ok
from tests.parts.gateway import GatewayProcess, make_site
from tests.parts.issuer import Issuer
from tests.parts.postgres import Postgres
from tests.parts.raw_upstream import RawConnection, RawUpstream


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Start the gateway once; every test sets the backend's script that it needs."""
    running: list[Front] = []

    def chosen_by_the_test(connection: RawConnection) -> None:
        running[0].script(connection)

    with Issuer() as issuer, RawUpstream(chosen_by_the_test) as upstream:
        backend = {
            "name": "raw",
            "adapter": "http",
            "url": f"{upstream.url}/base",
            "environment": "prod",
            "first_byte_timeout_s": 2,
            "idle_timeout_s": 2,
            "credential": {"header": {"name": "X-Backend-Key", "value_env": "BACKEND_KEY"}},
            "routes": [
                {"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"},
            ],
        }
        site = make_site(tmp_path_factory.mktemp("site"), providers=[issuer.settings], backends=[backend], rules=RULES)
        with GatewayProcess(site, environment={"BACKEND_KEY": "backend-credential"}) as gateway:
            token = issuer.token("alice", groups=["users"], lifetime_s=3600)
            running.append(Front(gateway, issuer, upstream, site, close_after(ok()), token))
            yield running[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Start one PostgreSQL server for all tests; each makes a database of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh_script(request: pytest.FixtureRequest) -> None:
    if "front" in request.fixturenames:
        front: Front = request.getfixturevalue("front")
        front.script = close_after(ok())
