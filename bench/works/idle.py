"""Kept connections that do nothing: memory each."""

from __future__ import annotations

import sys

from bench.accounting import rss
from bench.limits import most_connections
from bench.load import wrk
from bench.load.wrk import LoadError
from bench.peers.model import Running
from bench.processes import load, pinned
from bench.stand import Stand

TIME_LIMIT = 60.0


def idle(stand: Stand) -> None:
    """Growth of the resident memory of all processes, over the number of connections; after a
    closed loop has warmed the peer up.
    """
    count = min(stand.plan.idle_connections, most_connections())

    def measure(_: str, peer: Running) -> dict[str, float]:
        wrk.closed_loop(peer.port, 1, stand.directory, stand.load_cpus)
        before = rss(peer.pids)
        command = [sys.executable, "-m", "bench.load.idle", str(peer.port), str(count)]
        with load(pinned(command, stand.load_cpus), TIME_LIMIT) as clients:
            assert clients.stdout is not None
            line = clients.stdout.readline()
            after = rss(peer.pids)
        if int(line or 0) < count:
            raise LoadError(f"only {line.strip() or 0} of {count} connections stayed open")
        return {"connections": count, "bytes_each": (after - before) / count, "rss": after}

    with stand.upstream() as upstream, stand.peers("idle", upstream) as peers:
        stand.in_turns("idle", peers, 1, measure)
