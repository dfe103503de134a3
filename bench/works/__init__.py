"""The works, in the order in which they are done."""

from __future__ import annotations

from collections.abc import Callable

from bench.stand import Stand
from bench.works import closed, http2, idle, latency, scale, soak, startup, streams, websockets

WORKS: dict[str, Callable[[Stand], None]] = {
    "small": closed.small,
    "latency": latency.fixed_rate,
    "half": latency.half_load,
    "connect": closed.connect,
    "tls": closed.tls,
    "tls-connect": closed.tls_connect,
    "http2": http2.http2,
    "body-64k": closed.body_64k,
    "body-10m": closed.body_10m,
    "two-workers": closed.two_workers,
    "sse-200": streams.sse_200,
    "sse-2000": streams.sse_2000,
    "websocket": websockets.websockets,
    "idle": idle.idle,
    "startup": startup.startup,
    "replicas": scale.replicas,
    "routes": scale.routes,
    "soak": soak.soak,
}

NOT_QUICK = frozenset({"body-10m", "latency", "sse-2000", "two-workers"})
"""Works that a quick run leaves out unless they are named: others say nearly the same."""
