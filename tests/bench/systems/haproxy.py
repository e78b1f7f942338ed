"""HAProxy with `jwt_verify`, and the checks of issuer, audience and expiry that its manual shows."""

from tests.bench.credentials import AUDIENCE
from tests.bench.machine import version_of
from tests.bench.processes import Launch, program
from tests.bench.system import Site, System, write_config


def _prepare(site: Site) -> Launch:
    key = site.credentials.public_key_file
    config = write_config(
        site.directory,
        "haproxy.cfg",
        f"""
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 60s
    timeout http-keep-alive 300s
    option http-keep-alive
    http-reuse always
frontend gateway
    bind 127.0.0.1:{site.port}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {site.credentials.issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") -m int 1 }}
    default_backend service
backend service
    server service 127.0.0.1:{site.backend_port} pool-max-conn 64
""",
    )
    command = [program("haproxy", "haproxy"), "-db", "-f", str(config)]
    return Launch(command, site.port, site.directory)


SYSTEM = System(
    key="haproxy_jwt",
    title="HAProxy jwt_verify",
    checks="RS256 signature, iss, aud, exp",
    refuses=True,
    path="/payments/status",
    version=lambda: version_of("haproxy", "haproxy", "-v"),
    prepare=_prepare,
)
