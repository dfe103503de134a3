"""Cost per request of Headrace against the number of replicas and of routes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from bench.load import wrk
from bench.peers.model import Running
from bench.stand import Stand
from bench.works.closed import WARM_UP, closed_figures

PEER = "headrace"

CHECK_INTERVAL = 60
"""Seconds: checks are a cost of replicas, not of requests, and those of all that run at once would
disturb the one that is measured."""


def _scale(stand: Stand, work: str, sizes: Iterable[tuple[int, int, int]]) -> None:
    """`sizes`: what the peer is called by, replicas, routes. All run at once, used in turn."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(stand.upstream())
        peers: dict[str, Running] = {}
        for size, replicas, routes in sizes:
            endpoints = [(f"127.0.{i // 250}.{i % 250 + 1}", upstream) for i in range(replicas)]
            peer = stack.enter_context(
                stand.peer(PEER, endpoints, routes=routes, check_interval=CHECK_INTERVAL)
            )
            wrk.closed_loop(peer.port, WARM_UP, stand.directory, stand.load_cpus)
            peers[str(size)] = peer
        stand.in_turns(
            work, peers, stand.plan.scale_rounds, lambda _, peer: closed_figures(stand, peer)
        )


def replicas(stand: Stand) -> None:
    """The small POST over 1 to 1,000 replicas."""
    _scale(stand, "replicas", [(count, count, 1) for count in stand.plan.replicas])


def routes(stand: Stand) -> None:
    """The small POST with 10 to 1,000 routes of which the last matches."""
    _scale(stand, "routes", [(count, 4, count) for count in stand.plan.routes])
