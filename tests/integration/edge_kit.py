"""A daemon in front of static replicas, and clients that speak to it by hand."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from tests.protocol.messages import Message, parse
from tests.support.daemon import Daemon

DEADLINE = 10.0


class Agent:
    """A replica that notes the heads it is sent; a request for `/slow` waits for `go`."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.heads: list[Message] = []
        self.go = asyncio.Event()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (message,) = parse(head)
                if b"/healthz" not in message.start:
                    self.heads.append(message)
                if b"/slow" in message.start:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbe")
                    await self.go.wait()
                    writer.write(b"gone")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    @property
    def head(self) -> Message:
        """What it was sent last."""
        return self.heads[-1]


@contextlib.asynccontextmanager
async def agent(
    tls: ssl.SSLContext | None = None, path: Path | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Agent]:
    """An agent on a free port of `host`, or on the socket `path`."""
    made = Agent()
    if path is not None:
        server = await asyncio.start_unix_server(made._client, path)
        made.endpoint = f"unix://{path}"
    else:
        server = await asyncio.start_server(made._client, host, 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        made.endpoint = f"{'http' if tls is None else 'https'}://{name}:{port}"
    try:
        yield made
    finally:
        made.go.set()
        server.close()


def in_front_of(agent: Agent, **settings: Any) -> dict[str, Any]:
    """A configuration of one pool `p`; `tls` goes to its driver, the rest to the top."""
    static: dict[str, Any] = {"endpoints": [agent.endpoint]}
    if "tls" in settings:
        static["tls"] = settings.pop("tls")
    health = settings.pop("health", {"interval": "100ms"})
    return {
        "routes": [{"pool": "p"}],
        "pools": {"p": {"driver": {"static": static}, "health": health}},
        **settings,
    }


async def address(running: Daemon, index: int = 0) -> str:
    """Where the daemon listens."""
    listen: list[str] = (await running.status())["listen"]
    return listen[index]


class Client:
    """A connection to the gateway."""

    def __init__(
        self, address: str, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> None:
        self._address = address
        self._tls = tls
        self._name = name
        self._reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        name = self._name or "127.0.0.1" if self._tls is not None else None
        path = self._address.removeprefix("unix://")
        async with asyncio.timeout(DEADLINE):
            if path != self._address:
                opened = await asyncio.open_unix_connection(
                    path, ssl=self._tls, server_hostname=name
                )
            else:
                host, _, port = self._address.rpartition(":")
                opened = await asyncio.open_connection(
                    host.strip("[]"), int(port), ssl=self._tls, server_hostname=name
                )
        self._reader, self.writer = opened
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    @property
    def certificate(self) -> Any:
        """What the gateway has shown, as `ssl` gives it."""
        return self.writer.get_extra_info("peercert")

    def send(self, path: str = "/", *lines: str) -> None:
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", *lines, "", ""])
        self.writer.write(head.encode())

    async def reply(self) -> Message:
        async with asyncio.timeout(DEADLINE):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            return parse(head + await self._reader.readexactly(length))[0]

    async def get(self, path: str = "/", *lines: str) -> Message:
        self.send(path, *lines)
        return await self.reply()

    async def rest(self) -> bytes:
        """What comes until the gateway closes; a reset counts as closing."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
