"""A proxy as it is usually written with aiohttp: a handler and a client session, on uvloop.

python -m bench.peers.plain_aiohttp PORT HOST:PORT...
"""

from __future__ import annotations

import itertools
import sys

import aiohttp
import uvloop
from aiohttp import web

from bench.peers.model import Peer, Setup

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te"}


class Proxy:
    """Each endpoint in turn."""

    def __init__(self, endpoints: list[str]) -> None:
        self._urls = itertools.cycle([f"http://{endpoint}" for endpoint in endpoints])
        self._session: aiohttp.ClientSession

    async def start(self, _: web.Application) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=300),
            auto_decompress=False,
        )

    async def stop(self, _: web.Application) -> None:
        await self._session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        if request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        url = next(self._urls) + request.path_qs
        data = request.content if request.can_read_body else None
        async with self._session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False
        ) as upstream:
            reply = web.StreamResponse(status=upstream.status)
            for name, value in upstream.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    reply.headers.add(name, value)
            reply.content_length = upstream.content_length
            await reply.prepare(request)
            async for piece in upstream.content.iter_any():
                await reply.write(piece)
            await reply.write_eof()
            return reply


def _command(program: str, setup: Setup) -> list[str]:
    endpoints = [f"{host}:{port}" for host, port in setup.endpoints]
    return [program, "-m", "bench.peers.plain_aiohttp", str(setup.port), *endpoints]


PLAIN_AIOHTTP = Peer(
    find=lambda: sys.executable,
    version=lambda _: f"aiohttp {aiohttp.__version__}",
    command=_command,
    absent="aiohttp",
    max_workers=1,
)


def main(port: int, endpoints: list[str]) -> None:
    """Serve until stopped."""
    proxy = Proxy(endpoints)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    app.on_startup.append(proxy.start)
    app.on_cleanup.append(proxy.stop)
    loop = uvloop.new_event_loop()
    web.run_app(
        app, host="127.0.0.1", port=port, access_log=None, loop=loop, print=None, backlog=4096
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
