"""Apache httpd with mod_auth_openidc as an OAuth 2.0 resource server that checks JWT access tokens itself."""

import os

from tests.bench.credentials import AUDIENCE, KEY_ID
from tests.bench.machine import OPENIDC_MODULE, version_of
from tests.bench.processes import Launch, program
from tests.bench.system import Site, System, write_config

_MODULES = "mpm_event authn_core authz_core authz_user proxy proxy_http"


def _prepare(site: Site) -> Launch:
    loads = [f"LoadModule {name}_module {OPENIDC_MODULE.parent}/mod_{name}.so" for name in _MODULES.split()]
    # Workers give up root; they read nothing below the server root once it is loaded.
    user = ["User www-data", "Group www-data"] if os.geteuid() == 0 else []
    config = write_config(
        site.directory,
        "apache.conf",
        [
            *loads,
            f"LoadModule auth_openidc_module {OPENIDC_MODULE}",
            *user,
            f"ServerRoot {site.directory}",
            f"DefaultRuntimeDir {site.directory}",
            f"PidFile {site.directory}/httpd.pid",
            f"ErrorLog {site.directory}/error.log",
            "LogLevel error",
            "ServerName 127.0.0.1",
            f"Listen 127.0.0.1:{site.port}",
            # One process holds every connection, so that all share one pool of connections to the backend.
            "ServerLimit 1",
            "StartServers 1",
            "ThreadsPerChild 64",
            "MaxRequestWorkers 64",
            "MinSpareThreads 1",
            "MaxSpareThreads 64",
            "MaxConnectionsPerChild 0",
            "AsyncRequestWorkerFactor 16",
            "KeepAlive On",
            "KeepAliveTimeout 300",
            "MaxKeepAliveRequests 0",
            "OIDCCryptoPassphrase bench",
            "OIDCCacheType shm",
            f"OIDCOAuthVerifyCertFiles {KEY_ID}#{site.credentials.certificate_file}",
            "OIDCOAuthAcceptTokenAs header",
            "OIDCOAuthRemoteUserClaim sub",
            "OIDCPassClaimsAs none",
            "<Location />",
            "  AuthType oauth20",
            f"  Require claim aud:{AUDIENCE}",
            "</Location>",
            f"ProxyPass / http://127.0.0.1:{site.backend_port}/ enablereuse=on max=64 ttl=300",
        ],
    )
    command = [program("apache2", "apache2"), "-d", str(site.directory), "-f", str(config), "-D", "FOREGROUND"]
    return Launch(command, site.port, site.directory)


SYSTEM = System(
    key="apache",
    title="Apache mod_auth_openidc",
    checks="RS256 signature, exp, aud",
    refuses=True,
    path="/payments/status",
    version=lambda: version_of("apache2", "apache2", "-v"),
    prepare=_prepare,
)
