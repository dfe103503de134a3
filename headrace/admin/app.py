"""The admin API as an aiohttp application, and the server that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from fleet.config.addresses import join_address, split_address
from fleet.errors import HeadraceError
from headrace.admin.errors import error_middleware
from headrace.admin.guard import Guard
from headrace.admin.handlers import OPERATIONS, REGISTRY
from headrace.admin.routes import ROUTES
from headrace.operations import Operations

MAX_BODY: Final = 64 * 1024
"""Bytes of a request body; the largest, a weight for each of 1000 versions, needs less."""

SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds that requests get to finish when the server closes."""

PUBLIC_PATHS: Final = frozenset(route.path for route in ROUTES if route.public)


def create_app(
    operations: Operations,
    registry: CollectorRegistry,
    *,
    token: Callable[[], str | None],
    loopback: bool,
) -> web.Application:
    """Every route of `ROUTES`, guarded.

    `token()` gives the bearer token in force, None when there is none. `loopback` tells whether
    the address it will listen on is a loopback one. ValueError when it
    is not and there is no token.
    """
    app = web.Application(
        middlewares=[error_middleware, _guard_middleware(Guard(token, loopback=loopback))],
        client_max_size=MAX_BODY,
    )
    app[OPERATIONS] = operations
    app[REGISTRY] = registry
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler, allow_head=True)
        else:
            app.router.add_route(route.method, route.path, route.handler)
    return app


class AdminServer:
    """A running admin API."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @property
    def address(self) -> str:
        """`host:port` it listens on; the port is the one chosen when 0 was asked for."""
        host, port, *_ = self._runner.addresses[0]
        return join_address(host, port)

    async def stop(self) -> None:
        """Stop listening, and let requests finish within SHUTDOWN_TIMEOUT seconds."""
        await self._runner.cleanup()


async def serve(app: web.Application, address: str) -> AdminServer:
    """Listen on `address`, as in the configuration. HeadraceError when that cannot be done."""
    host, port = split_address(address)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise HeadraceError(
            f"the admin API cannot listen on {address}: {error.strerror or error}"
        ) from error
    return AdminServer(runner)


def _guard_middleware(guard: Guard) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check(
            request.method,
            request.headers,
            public=request.path in PUBLIC_PATHS,
            has_body=request.body_exists,
        )
        return await handler(request)

    return check
