"""From the start of the process to its first reply, and what it holds when it is at rest."""

from __future__ import annotations

import time
from functools import partial

from bench.accounting import cpu, rss
from bench.processes import StartError
from bench.stand import HOSTS, Stand

REST = 2.0
"""Seconds between the first reply and the look at memory, whose CPU time is the idle one."""


def startup(stand: Stand) -> None:
    """Each peer alone, started anew each round."""
    with stand.upstream() as upstream:
        endpoints = [(host, upstream) for host in HOSTS]
        broken = set()

        def measure(name: str) -> dict[str, float]:
            with stand.peer(name, endpoints) as peer:
                before = cpu(peer.pids).total
                time.sleep(REST)
                return {
                    "seconds": peer.started,
                    "rss": float(rss(peer.pids)),
                    "rss_plane": float(rss(peer.workers)),
                    "idle_cpu": (cpu(peer.pids).total - before) / REST,
                }

        for number in range(stand.plan.slow_rounds):
            for name in stand.programs:
                if name in broken:
                    continue
                try:
                    stand.take("startup", name, number, partial(measure, name))
                except StartError as error:
                    broken.add(name)
                    stand.failed("startup", name, error)
