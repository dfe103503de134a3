"""nginx: one worker process a core, bodies and replies streamed, connections kept."""

from __future__ import annotations

import os

from bench.peers.model import TLS, WEBSOCKET, Peer, Setup
from bench.peers.programs import on_path, says
from bench.traffic import WEBSOCKET_PATH

_CONFIG = """\
{user}worker_processes {workers};
daemon off;
pid {directory}/pid;
error_log {directory}/error.log warn;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    upstream agents {{
        {policy};
        {servers}
        keepalive 4096;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096;
{certificate}        location {websocket} {{
            proxy_pass http://agents;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_buffering off;
        }}
        location / {{
            proxy_pass http://agents;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""

_CERTIFICATE = """\
        ssl_certificate {pair.cert};
        ssl_certificate_key {pair.key};
        ssl_protocols TLSv1.2 TLSv1.3;
"""


def _command(program: str, setup: Setup) -> list[str]:
    path = setup.directory / "nginx.conf"
    path.write_text(
        _CONFIG.format(
            user="user root;\n" if os.getuid() == 0 else "",
            workers=setup.workers,
            policy=setup.policy or "random two least_conn",
            directory=setup.directory,
            port=setup.port,
            ssl=" ssl http2" if setup.tls else "",
            certificate=_CERTIFICATE.format(pair=setup.tls) if setup.tls else "",
            websocket=WEBSOCKET_PATH,
            servers=" ".join(f"server {host}:{port};" for host, port in setup.endpoints),
        )
    )
    return [program, "-p", str(setup.directory), "-c", str(path)]


NGINX = Peer(
    find=on_path("nginx"),
    version=says("-v"),
    command=_command,
    absent="Debian package nginx-light",
    worker_mark="nginx: worker",
    can=frozenset({TLS, WEBSOCKET}),
)
