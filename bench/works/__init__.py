"""The works, in the order in which they are done.

WebSocket echo and TLS belong here as soon as the router has them: a module each, and a line below.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.stand import Stand
from bench.works import closed, idle, latency, scale, startup, streams

WORKS: dict[str, Callable[[Stand], None]] = {
    "small": closed.small,
    "latency": latency.fixed_rate,
    "half": latency.half_load,
    "connect": closed.connect,
    "body-64k": closed.body_64k,
    "body-10m": closed.body_10m,
    "two-workers": closed.two_workers,
    "sse-200": streams.sse_200,
    "sse-2000": streams.sse_2000,
    "idle": idle.idle,
    "startup": startup.startup,
    "replicas": scale.replicas,
    "routes": scale.routes,
}
