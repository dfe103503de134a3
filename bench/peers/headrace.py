"""Headrace with its production features on: routes, two versions with weights, power of two
choices, slots, health checks, request ids, forwarding fields, timeouts, one access line in 100.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from bench.peers.model import TLS, WEBSOCKET, Peer, Setup
from bench.peers.programs import VENV, says
from bench.processes import free_port

SLOTS = 2048
"""Per replica: enough for the works to meet no queue, and counted all the same."""

CONFIG = "headrace.yaml"

CANARY = 5
"""Weight of the second version, of 100."""


def config(setup: Setup) -> dict[str, object]:
    """The configuration. One endpoint makes one version; more are split over two."""
    urls = [f"http://{host}:{port}" for host, port in setup.endpoints]
    half = (len(urls) + 1) // 2
    versions: dict[str, object] = {"v1": _version(100 - CANARY, urls[:half])}
    if urls[half:]:
        versions["v2"] = _version(CANARY, urls[half:])
    decoys = [
        {"match": {"path": f"/v1/decoy/{number}", "methods": ["POST"]}, "pool": "bench"}
        for number in range(setup.routes - 1)
    ]
    return {
        "listen": _listener(setup),
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "workers": setup.workers,
        "state_dir": str(setup.directory / "state"),
        "drain_timeout": "1s",
        "log": {"level": "warning", "access": {"sample": 0.01}},
        "routes": [
            *decoys,
            {"match": {"path": "/v1/chat", "methods": ["POST", "GET"]}, "pool": "bench"},
        ],
        "pools": {
            "bench": {
                "versions": versions,
                "concurrency": SLOTS,
                "balance": "least_request",
                "health": {"path": "/healthz", "interval": f"{setup.check_interval}s"},
            }
        },
    }


def _listener(setup: Setup) -> str | dict[str, object]:
    address = f"127.0.0.1:{setup.port}"
    if setup.tls is None:
        return address
    pair = {"cert": str(setup.tls.cert), "key": str(setup.tls.key)}
    return {"address": address, "tls": {"certificates": [pair]}}


def _version(weight: int, urls: list[str]) -> dict[str, object]:
    return {"weight": weight, "driver": {"static": {"endpoints": urls}}}


def _command(program: str, setup: Setup) -> list[str]:
    path = setup.directory / CONFIG
    path.write_text(yaml.safe_dump(config(setup), sort_keys=False))
    return [program, "run", str(path)]


def _find() -> str | None:
    """The installation made for the benchmark, else the one beside the Python that runs this."""
    beside = Path(sys.executable).parent / "headrace"
    return next((str(p) for p in (VENV / "bin/headrace", beside) if p.exists()), None)


HEADRACE = Peer(
    find=_find,
    version=says("version"),
    command=_command,
    absent="this repository",
    worker_mark="router.worker",
    can=frozenset({TLS, WEBSOCKET}),
)
