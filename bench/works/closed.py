"""Closed loops: requests a second and CPU time per request, of several sizes of body."""

from __future__ import annotations

from functools import partial

from bench.accounting import rss
from bench.load import wrk
from bench.peers.model import TLS, Running
from bench.stand import Stand

WARM_UP = 1


def closed_figures(
    stand: Stand,
    peer: Running,
    *,
    connections: int = 64,
    size: int = 300,
    reconnect: bool = False,
) -> dict[str, float]:
    """One closed loop. CPU figures in seconds a request, `cpu` of all processes of the peer."""
    plane_before, all_before = peer.cpu()
    done = wrk.closed_loop(
        peer.port,
        stand.plan.seconds,
        stand.directory,
        stand.load_cpus,
        connections=connections,
        size=size,
        reconnect=reconnect,
        tls=peer.tls,
    )
    plane, whole = peer.cpu()
    figures = {"rps": done.requests / done.seconds, "p50": done.p50, "p99": done.p99}
    if peer.process is not None:
        spent = plane - plane_before
        figures |= {
            "cpu": (whole - all_before).total / done.requests,
            "cpu_plane": spent.total / done.requests,
            "cpu_plane_user": spent.user / done.requests,
            "busy": spent.total / done.seconds,
            "rss": float(rss(peer.pids)),
        }
    return figures


def _closed(
    stand: Stand,
    work: str,
    rounds: int,
    *,
    workers: int = 1,
    connections: int = 64,
    size: int = 300,
    reconnect: bool = False,
    tls: bool = False,
) -> None:
    direct = not (reconnect or tls)
    needs = TLS if tls else None
    with (
        stand.upstream() as upstream,
        stand.peers(work, upstream, workers=workers, direct=direct, needs=needs) as peers,
    ):
        for name, peer in list(peers.items()):
            stand.warm(
                work,
                peers,
                name,
                partial(
                    wrk.closed_loop,
                    peer.port,
                    WARM_UP,
                    stand.directory,
                    stand.load_cpus,
                    connections=connections,
                    size=size,
                    reconnect=reconnect,
                    tls=tls,
                ),
            )
        stand.in_turns(
            work,
            peers,
            rounds,
            lambda _, peer: closed_figures(
                stand, peer, connections=connections, size=size, reconnect=reconnect
            ),
        )


def small(stand: Stand) -> None:
    """300 bytes in, 142 out, 64 connections kept."""
    _closed(stand, "small", stand.plan.small_rounds)


def connect(stand: Stand) -> None:
    """The same with a new client connection for each request; not direct, where the upstream
    would have to do the closing.
    """
    _closed(stand, "connect", stand.plan.rounds, reconnect=True)


def tls(stand: Stand) -> None:
    """The small POST over TLS that clients keep."""
    _closed(stand, "tls", stand.plan.rounds, tls=True)


def tls_connect(stand: Stand) -> None:
    """A TLS handshake for each small POST."""
    _closed(stand, "tls-connect", stand.plan.rounds, reconnect=True, tls=True)


def body_64k(stand: Stand) -> None:
    """64 KiB both ways, 32 connections."""
    _closed(stand, "body-64k", stand.plan.rounds, connections=32, size=64 << 10)


def body_10m(stand: Stand) -> None:
    """10 MiB both ways, 4 connections."""
    _closed(stand, "body-10m", stand.plan.rounds, connections=4, size=10 << 20)


def two_workers(stand: Stand) -> None:
    """The small POST with two processes or threads each."""
    _closed(stand, "two-workers", stand.plan.rounds, workers=2)
