"""nginx: one worker process a core, bodies and replies streamed, connections kept."""

from __future__ import annotations

import os

from bench.peers.model import Peer, Setup
from bench.peers.programs import on_path, says

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
        random two least_conn;
        {servers}
        keepalive 4096;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
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


def _command(program: str, setup: Setup) -> list[str]:
    path = setup.directory / "nginx.conf"
    path.write_text(
        _CONFIG.format(
            user="user root;\n" if os.getuid() == 0 else "",
            workers=setup.workers,
            directory=setup.directory,
            port=setup.port,
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
)
