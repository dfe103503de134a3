"""Every route of the admin API, in one table; `docs/operations.md` is checked against it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiohttp import web

from headrace.admin import handlers


class Route(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    public: bool = False
    """Answers without a token."""


ROUTES: Final = (
    Route("GET", "/healthz", handlers.healthz, public=True),
    Route("GET", "/metrics", handlers.metrics),
    Route("GET", "/readyz", handlers.readyz, public=True),
    Route("GET", "/v1/cluster", handlers.cluster),
    Route("GET", "/v1/decisions", handlers.decisions),
    Route("GET", "/v1/events", handlers.events),
    Route("GET", "/v1/pools/{pool}", handlers.pool),
    Route("GET", "/v1/pools/{pool}/explain", handlers.explain),
    Route("DELETE", "/v1/pools/{pool}/scale", handlers.delete_scale),
    Route("PUT", "/v1/pools/{pool}/scale", handlers.put_scale),
    Route("DELETE", "/v1/pools/{pool}/weights", handlers.delete_weights),
    Route("PUT", "/v1/pools/{pool}/weights", handlers.put_weights),
    Route("POST", "/v1/reload", handlers.reload),
    Route("POST", "/v1/replicas/{replica}/drain", handlers.drain),
    Route("GET", "/v1/status", handlers.status),
)
