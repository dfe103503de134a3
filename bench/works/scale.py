"""Cost per request of Headrace against the number of replicas and of routes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from bench.load import wrk
from bench.peers.model import Running
from bench.processes import StartError
from bench.stand import Stand
from bench.works.closed import WARM_UP, closed_figures

PEER = "headrace"
BESIDE = "haproxy"

CHECK_INTERVAL = 60
"""Seconds: checks are a cost of replicas, not of requests, and those of all that run at once would
disturb the one that is measured."""


@dataclass(frozen=True)
class _Size:
    name: str
    """What the tables call it."""
    replicas: int
    routes: int = 1
    peer: str = PEER


def _scale(stand: Stand, work: str, sizes: Iterable[_Size]) -> None:
    """All run at once and are used in turn."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(stand.upstream())
        peers: dict[str, Running] = {}
        for size in sizes:
            if size.peer not in stand.programs:
                continue
            endpoints = [
                (f"127.0.{i // 250}.{i % 250 + 1}", upstream) for i in range(size.replicas)
            ]
            try:
                peer = stack.enter_context(
                    stand.peer(
                        size.peer, endpoints, routes=size.routes, check_interval=CHECK_INTERVAL
                    )
                )
            except StartError as error:
                stand.failed(work, size.name, error)
                continue
            peers[size.name] = peer
            load = partial(wrk.closed_loop, peer.port, WARM_UP, stand.directory, stand.load_cpus)
            stand.warm(work, peers, size.name, load)
        stand.in_turns(
            work, peers, stand.plan.scale_rounds, lambda _, peer: closed_figures(stand, peer)
        )


def replicas(stand: Stand) -> None:
    """The small POST over 1 to 1,000 replicas; through HAProxy too, since a part of the difference
    is the kernel's: a thousand connections are in nobody's cache.
    """
    counts = stand.plan.replicas
    ours = [_Size(str(count), count) for count in counts]
    ends = [_Size(f"{BESIDE} {count}", count, peer=BESIDE) for count in (counts[0], counts[-1])]
    _scale(stand, "replicas", [*ours, *ends])


def routes(stand: Stand) -> None:
    """The small POST with 10 to 1,000 routes of which the last matches."""
    _scale(stand, "routes", [_Size(str(count), 4, count) for count in stand.plan.routes])
