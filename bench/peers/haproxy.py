"""HAProxy: one thread a core, power of two choices, connections kept and shared."""

from __future__ import annotations

from bench.limits import most_connections
from bench.peers.model import TLS, WEBSOCKET, Peer, Setup
from bench.peers.programs import on_path, says

_CONFIG = """\
global
    nbthread {workers}
    maxconn {connections}
    no strict-limits
defaults
    mode http
    timeout connect 2s
    timeout client 300s
    timeout server 300s
    timeout http-request 10s
    timeout http-keep-alive 75s
    timeout tunnel 300s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} backlog 4096{tls}
    default_backend agents
backend agents
    balance {policy}
{servers}
"""


def _command(program: str, setup: Setup) -> list[str]:
    path = setup.directory / "haproxy.cfg"
    servers = "\n".join(
        f"    server s{number} {host}:{port}" for number, (host, port) in enumerate(setup.endpoints)
    )
    path.write_text(
        _CONFIG.format(
            workers=setup.workers,
            policy=setup.policy or "random(2)",
            connections=most_connections(),
            port=setup.port,
            tls=f" ssl crt {setup.tls.bundle} alpn h2,http/1.1" if setup.tls else "",
            servers=servers,
        )
    )
    return [program, "-db", "-f", str(path)]


HAPROXY = Peer(
    find=on_path("haproxy"),
    version=says("-v"),
    command=_command,
    absent="Debian package haproxy",
    can=frozenset({TLS, WEBSOCKET}),
)
