"""The gateways of the balance works: Headrace with each policy, the peers by least connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from bench.peers import PEERS
from bench.peers.headrace import CONFIG, HEADRACE
from bench.peers.model import Peer, Setup
from bench.processes import free_port
from router.balance import BALANCERS

DEFAULT = "least_request"

PLENTY = 1024
"""Slots per replica where the policy alone is to decide: queues form in the agents."""


@dataclass(frozen=True)
class Gateway:
    """A peer and the policy it is asked for; empty: the one it has anyway."""

    peer: Peer
    policy: str


def config(setup: Setup, pool: Mapping[str, object]) -> dict[str, object]:
    """Headrace's configuration: one version of all agents, everything else as it is by default."""
    urls = [f"http://{host}:{port}" for host, port in setup.endpoints]
    return {
        "listen": f"127.0.0.1:{setup.port}",
        "admin": {"listen": f"127.0.0.1:{free_port()}"},
        "state_dir": str(setup.directory / "state"),
        "drain_timeout": "1s",
        "log": {"level": "warning", "access": {"sample": 0.01}},
        "routes": [{"pool": "agents"}],
        "pools": {"agents": {"driver": {"static": {"endpoints": urls}}, **pool}},
    }


def headrace(pool: Mapping[str, object]) -> Peer:
    """Headrace with these settings of the pool."""
    return replace(HEADRACE, command=partial(_command, pool))


def _command(pool: Mapping[str, object], program: str, setup: Setup) -> list[str]:
    path = Path(setup.directory) / CONFIG
    path.write_text(yaml.safe_dump(config(setup, pool), sort_keys=False))
    return [program, "run", str(path)]


def gateways() -> dict[str, Gateway]:
    """By the name that the tables show: Headrace's first."""
    found = {f"headrace {policy}": Gateway(headrace(_pool(policy)), policy) for policy in BALANCERS}
    ejecting = Gateway(headrace(_pool(DEFAULT, ejects=True)), DEFAULT)
    return found | {
        f"headrace {DEFAULT}, ejecting": ejecting,
        "envoy LEAST_REQUEST": Gateway(PEERS["envoy"], ""),
        "haproxy leastconn": Gateway(PEERS["haproxy"], "leastconn"),
        "nginx least_conn": Gateway(PEERS["nginx"], "least_conn"),
    }


def _pool(policy: str, *, ejects: bool = False) -> dict[str, object]:
    pool: dict[str, object] = {"balance": {"policy": policy}, "concurrency": PLENTY}
    if policy == "consistent_hash":
        pool["balance"] = {"policy": policy, "header": "X-Session"}
    return pool if ejects else pool | {"outliers": None}
