"""Server-sent events: replies of 100 events, CPU time per event."""

from __future__ import annotations

import json
import os
import sys

from bench.load.wrk import LoadError
from bench.peers.model import Running
from bench.processes import load, pinned
from bench.stand import Stand

EVENTS_A_CORE = 10_000
"""Events a second that upstream and clients can make and read on one core and be punctual."""

TIME_LIMIT = 40.0


def _streams(stand: Stand, work: str, count: int) -> None:
    """As near to 50 events a second as the cores beside the proxy's can make."""
    seconds = stand.plan.stream_seconds
    others = max(1, (os.cpu_count() or 1) - 1)
    pace = min(50.0, EVENTS_A_CORE * others / count)
    ramp = min(2.0, max(1.0, count / 500))

    def measure(_: str, peer: Running) -> dict[str, float]:
        arguments = [str(peer.port), str(count), str(ramp), str(seconds)]
        command = pinned([sys.executable, "-m", "bench.load.streams", *arguments], stand.load_cpus)
        with load(command, TIME_LIMIT) as clients:
            assert clients.stdout is not None
            clients.stdout.readline()
            plane_before, all_before = peer.cpu()
            line = clients.stdout.readline()
            plane, whole = peer.cpu()
        found = json.loads(line) if line else {"events": 0, "broken": count}
        if found["broken"] or not found["events"]:
            raise LoadError(f"{found['broken']} streams broke")
        return {
            "events": found["events"] / seconds,
            "offered": count * pace,
            "reads": found["reads"] / found["events"],
            "cpu": (whole - all_before).total / found["events"],
            "cpu_plane": (plane - plane_before).total / found["events"],
            "cpu_plane_user": (plane - plane_before).user / found["events"],
        }

    with stand.upstream(1 / pace) as upstream, stand.peers(work, upstream) as peers:
        stand.in_turns(work, peers, stand.plan.slow_rounds, measure)


def sse_200(stand: Stand) -> None:
    """200 streams."""
    _streams(stand, "sse-200", 200)


def sse_2000(stand: Stand) -> None:
    """2,000 streams."""
    _streams(stand, "sse-2000", 2000)
