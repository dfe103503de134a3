"""The small POST over HTTP/2."""

from __future__ import annotations

from functools import partial

from bench.accounting import rss
from bench.load import h2load
from bench.peers.model import TLS, Running
from bench.processes import negotiated
from bench.stand import Stand
from bench.works.closed import WARM_UP

WORK = "http2"


def http2(stand: Stand) -> None:
    """Over TLS, 8 connections of 8 streams; only through peers that choose `h2`."""
    if not h2load.found():
        stand.failures[f"{WORK} all"] = "no h2load (Debian package nghttp2-client)"
        return

    def measure(_: str, peer: Running) -> dict[str, float]:
        plane_before, all_before = peer.cpu()
        requests, mean = h2load.closed_loop(
            peer.port, stand.plan.seconds, stand.directory, stand.load_cpus
        )
        plane, whole = peer.cpu()
        spent = plane - plane_before
        return {
            "rps": requests / stand.plan.seconds,
            "mean": mean,
            "cpu": (whole - all_before).total / requests,
            "cpu_plane": spent.total / requests,
            "cpu_plane_user": spent.user / requests,
            "rss": float(rss(peer.pids)),
        }

    with stand.upstream() as upstream, stand.peers(WORK, upstream, needs=TLS) as peers:
        for name, peer in list(peers.items()):
            if negotiated(peer.port, "h2", "http/1.1") != "h2":
                stand.failures[f"{WORK} {name}"] = "no HTTP/2"
                del peers[name]
                continue
            stand.warm(
                WORK,
                peers,
                name,
                partial(h2load.closed_loop, peer.port, WARM_UP, stand.directory, stand.load_cpus),
            )
        stand.in_turns(WORK, peers, stand.plan.rounds, measure)
