"""Connections to replicas: over TCP, TLS or a Unix socket."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable
from typing import Final, cast

from fleet.tls import ClientTls, client_context
from fleet.wire import UpstreamTlsEntry
from router.http.connection import as_protocol
from router.http.upstream import Upstream
from router.pool import Replica

UNIX: Final = "unix://"
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds a replica has to answer the end of TLS; then the connection is cut."""


class Dialler:
    """Knows how the replicas of each version are reached."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings: dict[tuple[str, str], ClientTls] = {}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}

    def configure(self, entries: Iterable[UpstreamTlsEntry]) -> list[tuple[str, str]]:
        """Take over the TLS settings of a new generation; gives pool and version of those changed.

        Contexts of settings that stay are kept.
        """
        settings = {(entry.pool, entry.version): entry.tls for entry in entries}
        changed = [key for key, tls in settings.items() if self._settings.get(key) != tls]
        contexts = {key: client_context(settings[key]) for key in changed}
        self._contexts = {
            key: contexts[key] if key in contexts else self._contexts[key] for key in settings
        }
        self._settings = settings
        return changed

    async def dial(self, replica: Replica, upstream: Callable[[], Upstream]) -> Upstream:
        """A new connection. Raises OSError or ValueError; see `failure`."""
        return cast(Upstream, await self._dial(replica, lambda: as_protocol(upstream())))

    async def _dial(
        self, replica: Replica, protocol: Callable[[], asyncio.Protocol]
    ) -> asyncio.Protocol:
        if replica.host.startswith(UNIX):
            path = replica.host.removeprefix(UNIX)
            return (await self._loop.create_unix_connection(protocol, path))[1]
        if not replica.tls:
            return (await self._loop.create_connection(protocol, replica.host, replica.port))[1]
        version = replica.version
        key = (version.pool.name, version.name)
        context = self._contexts.get(key)
        if context is None:
            raise ValueError("its version has no TLS any more")
        made = await self._loop.create_connection(
            protocol,
            replica.host,
            replica.port,
            ssl=context,
            server_hostname=self._settings[key].server_name or replica.host,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
        )
        return made[1]


def failure(error: OSError | ValueError) -> str:
    """Why there is no connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
