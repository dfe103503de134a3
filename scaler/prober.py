"""Asks replicas whether they are healthy: HTTP, TCP, or merely whether the process runs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import aiohttp
from yarl import URL

from fleet.config.addresses import unix_path
from fleet.config.schema import Health
from fleet.tls import ClientTls, client_context

MAX_CONTEXTS: Final = 64
"""TLS settings remembered; a reload may bring new ones, and the old are not asked for again."""
MIN_GAP: Final = 0.05
"""Seconds between two checks of one replica, however often it is suspected."""


MAX_BODY: Final = 65_536
"""Bytes read of an answer that is wanted for what it says."""

T = TypeVar("T")
_Take = Callable[[aiohttp.ClientResponse], Awaitable[T]]


class Prober:
    """Carries out single checks over one shared HTTP client.

    Each check dials anew, so that a check also proves that the replica still accepts
    connections. Redirects are not followed and proxies of the environment are not used.
    """

    def __init__(self) -> None:
        """Open the client; needs a running event loop."""
        self._session = _session(aiohttp.TCPConnector(limit=0, force_close=True))
        self._contexts: dict[ClientTls, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close the client."""
        await self._session.close()

    async def check(
        self, host: str, port: int, health: Health, tls: ClientTls | None = None
    ) -> str | None:
        """Check once: None when healthy, else why not. Never raises for what a replica does.

        With `tls`, over it, as requests are sent. Without a host there is nothing to ask: the
        process runs, or its end would be known.
        """
        if not host:
            return None
        try:
            async with asyncio.timeout(health.timeout):
                if health.path is not None:
                    return await self._get(host, port, health.path, tls, _verdict)
                await self._connect(host, port, tls)
                return None
        except TimeoutError:
            return f"no answer within {health.timeout:g}s"
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
            return f"its certificate is not accepted: {_verify_message(error)}"
        except (aiohttp.ClientConnectorError, ConnectionRefusedError) as error:
            return f"cannot connect: {error.strerror or error}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"check failed: {error or type(error).__name__}"

    async def read(
        self, host: str, port: int, path: str, timeout: float, tls: ClientTls | None = None
    ) -> bytes | None:
        """The body of a 200 that answers GET `path` within `timeout` seconds, at most MAX_BODY
        bytes of it; None for whatever else happens.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._get(host, port, path, tls, _body)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return None

    async def _get(
        self, host: str, port: int, path: str, tls: ClientTls | None, take: _Take[T]
    ) -> T:
        if (socket := unix_path(host)) is not None:
            connector = aiohttp.UnixConnector(socket, force_close=True)
            async with _session(connector) as session:
                return await _ask(session, URL(f"http://localhost{path}", encoded=True), take)
        authority = f"[{host}]" if ":" in host else host
        scheme = "http" if tls is None else "https"
        url = URL(f"{scheme}://{authority}:{port}{path}", encoded=True)
        if tls is None:
            return await _ask(self._session, url, take)
        return await _ask(
            self._session, url, take, ssl=self._context(tls), server_hostname=tls.server_name
        )

    async def _connect(self, host: str, port: int, tls: ClientTls | None) -> None:
        if (socket := unix_path(host)) is not None:
            _, writer = await asyncio.open_unix_connection(socket)
        elif tls is None:
            _, writer = await asyncio.open_connection(host, port)
        else:
            name = tls.server_name or host
            _, writer = await asyncio.open_connection(
                host, port, ssl=self._context(tls), server_hostname=name
            )
        writer.transport.abort()

    def _context(self, tls: ClientTls) -> ssl.SSLContext:
        """Made once for as long as the settings stay."""
        known = self._contexts.get(tls)
        if known is None:
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.clear()
            known = self._contexts[tls] = client_context(tls)
        return known


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "headrace-health"},
        trust_env=False,
    )


async def _ask(session: aiohttp.ClientSession, url: URL, take: _Take[T], **options: Any) -> T:
    async with session.get(url, allow_redirects=False, **options) as reply:
        return await take(reply)


async def _verdict(reply: aiohttp.ClientResponse) -> str | None:
    if 200 <= reply.status < 400:
        return None
    return f"GET {reply.url.raw_path_qs} answered {reply.status}"


async def _body(reply: aiohttp.ClientResponse) -> bytes | None:
    return await reply.content.read(MAX_BODY) if reply.status == 200 else None


def _verify_message(error: aiohttp.ClientConnectorCertificateError | ssl.SSLError) -> object:
    cause: object = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    return getattr(cause, "verify_message", cause)


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
