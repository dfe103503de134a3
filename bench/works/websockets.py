"""Websocket echo: CPU time per message there and back."""

from __future__ import annotations

import json
import sys

from bench.load.wrk import LoadError
from bench.peers.model import WEBSOCKET, Running
from bench.processes import load, pinned
from bench.stand import Stand

COUNT = 64
TIME_LIMIT = 30.0


def websockets(stand: Stand) -> None:
    """64 connections, 128 bytes each way, the next message once the last has come back."""

    def measure(_: str, peer: Running) -> dict[str, float]:
        seconds = stand.plan.seconds
        arguments = [str(peer.port), str(COUNT), str(seconds)]
        command = [sys.executable, "-m", "bench.load.websockets", *arguments]
        with load(pinned(command, stand.load_cpus), TIME_LIMIT) as clients:
            assert clients.stdout is not None
            clients.stdout.readline()
            plane_before, all_before = peer.cpu()
            line = clients.stdout.readline()
            plane, whole = peer.cpu()
        found = json.loads(line) if line else {"messages": 0, "broken": COUNT}
        if found["broken"] or not found["messages"]:
            raise LoadError(f"{found['broken']} of {COUNT} websockets broke")
        figures = {"messages": found["messages"] / seconds}
        if peer.process is not None:
            spent = plane - plane_before
            figures |= {
                "cpu": (whole - all_before).total / found["messages"],
                "cpu_plane": spent.total / found["messages"],
                "cpu_plane_user": spent.user / found["messages"],
            }
        return figures

    with (
        stand.upstream() as upstream,
        stand.peers("websocket", upstream, direct=True, needs=WEBSOCKET) as peers,
    ):
        stand.in_turns("websocket", peers, stand.plan.rounds, measure)
