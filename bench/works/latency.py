"""Latency at a rate, from an open loop; what a proxy adds is its figure less the direct one."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from bench.peers.model import Running
from bench.processes import pinned
from bench.stand import DIRECT, Stand

RATE = 2000.0
"""Requests a second: every peer can, none is near its end."""

HIGHEST_RATE = 12_000.0
"""What the client can offer, on one core with the upstream, without being late itself."""


def _at_rate(stand: Stand, peer: Running, rate: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load.open_loop", str(peer.port), str(rate)]
    command = pinned([*command, str(stand.plan.seconds)], stand.load_cpus)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    figures: dict[str, float] = json.loads(done.stdout)
    return {"rate": rate, **figures}


def fixed_rate(stand: Stand) -> None:
    """The small POST at 2,000 a second."""
    with stand.upstream() as upstream, stand.peers("latency", upstream, direct=True) as peers:
        stand.in_turns(
            "latency", peers, stand.plan.slow_rounds, lambda _, peer: _at_rate(stand, peer, RATE)
        )


def half_load(stand: Stand) -> None:
    """The small POST at half of what the peer reached in the work `small`, and direct at the
    same rate right after.
    """
    with stand.upstream() as upstream, stand.peers("half", upstream) as peers:
        direct = Running(upstream)

        def measure(name: str, peer: Running) -> dict[str, float]:
            reached = stand.figure("small", name, "rps")
            rate = min(HIGHEST_RATE, (median(reached) if reached else RATE) / 2)
            through = _at_rate(stand, peer, rate)
            beside = _at_rate(stand, direct, rate)
            return {
                **through,
                f"{DIRECT}_p50": beside["p50"],
                f"{DIRECT}_p99": beside["p99"],
                "added_p50": through["p50"] - beside["p50"],
                "added_p99": through["p99"] - beside["p99"],
            }

        stand.in_turns("half", peers, stand.plan.slow_rounds, measure)
