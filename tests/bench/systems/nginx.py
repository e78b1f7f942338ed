"""nginx: the fixed backend of every run, and as a plain proxy the ceiling of what a proxy does on this machine."""

import os
from pathlib import Path

from tests.bench.machine import version_of
from tests.bench.processes import Launch, program
from tests.bench.system import Site, System, write_config

BODY = b'{"status": "ok", "service": "payments", "message": "a small fixed answer from the backend"}'


def _frame(directory: Path, http: str) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
{user}
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; server_tokens off; tcp_nodelay on;
  keepalive_timeout 300s; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  {http}
}}
"""


def backend(directory: Path, port: int) -> Launch:
    """Return an nginx that answers every request with `BODY`."""
    http = f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{BODY.decode()}'; }} }}"
    return _launch(directory, port, http)


def _proxy(site: Site) -> Launch:
    http = f"""
  upstream backend {{ server 127.0.0.1:{site.backend_port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{site.port} backlog=4096;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}"""
    return _launch(site.directory, site.port, http)


def _launch(directory: Path, port: int, http: str) -> Launch:
    config = write_config(directory, "nginx.conf", _frame(directory, http))
    return Launch([program("nginx", "nginx-light"), "-p", str(directory), "-c", str(config)], port, directory)


SYSTEM = System(
    key="nginx_plain",
    title="nginx, plain proxy",
    checks="nothing",
    refuses=False,
    path="/payments/status",
    version=lambda: version_of("nginx", "nginx-light", "-v"),
    prepare=_proxy,
)
