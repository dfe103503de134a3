"""Asks replicas whether they are healthy: HTTP, TCP, or merely whether the process runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from yarl import URL

from fleet.config.schema import Health

MIN_GAP: Final = 0.05
"""Seconds between two checks of one replica, however often it is suspected."""


class Prober:
    """Carries out single checks over one shared HTTP client.

    Each check dials anew, so that a check also proves that the replica still accepts
    connections. Redirects are not followed and proxies of the environment are not used.
    """

    def __init__(self) -> None:
        """Open the client; needs a running event loop."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "headrace-health"},
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the client."""
        await self._session.close()

    async def check(self, host: str, port: int, health: Health) -> str | None:
        """Check once: None when healthy, else why not. Never raises for what a replica does.

        Without a host there is nothing to ask: the process runs, or its end would be known.
        """
        if not host:
            return None
        try:
            async with asyncio.timeout(health.timeout):
                if health.path is not None:
                    return await self._get(host, port, health.path)
                await _connect(host, port)
                return None
        except TimeoutError:
            return f"no answer within {health.timeout:g}s"
        except (aiohttp.ClientConnectorError, ConnectionRefusedError) as error:
            return f"cannot connect: {error.strerror or error}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"check failed: {error or type(error).__name__}"

    async def _get(self, host: str, port: int, path: str) -> str | None:
        authority = f"[{host}]" if ":" in host else host
        url = URL(f"http://{authority}:{port}{path}", encoded=True)
        async with self._session.get(url, allow_redirects=False) as reply:
            return None if 200 <= reply.status < 400 else f"GET {path} answered {reply.status}"


async def _connect(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.transport.abort()


class Watch:
    """Checks one replica again and again, in a task of its caller's, until cancelled."""

    def __init__(
        self,
        check: Callable[[], Awaitable[str | None]],
        report: Callable[[str | None], float],
    ) -> None:
        """`report` takes the result of each check and returns the seconds until the next."""
        self._check = check
        self._report = report
        self._suspected = asyncio.Event()

    def suspect(self) -> None:
        """Check at once, or as soon as MIN_GAP allows."""
        self._suspected.set()

    async def run(self, offset: float) -> None:
        """Check for ever, first after `offset` seconds."""
        wait = offset
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._suspected.wait()
            self._suspected.clear()
            wait = self._report(await self._check())
            await asyncio.sleep(min(wait, MIN_GAP))
            wait = max(wait - MIN_GAP, 0.0)
