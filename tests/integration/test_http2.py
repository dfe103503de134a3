"""HTTP/2 as programs of others speak it: curl, nghttp and h2load against a real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from edge_kit import Client, address, agent, in_front_of
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded
from h2.exceptions import ProtocolError

from tests.support.certificates import Authority
from tests.support.daemon import Daemon, daemon
from tests.support.processes import spawned
from tests.support.servers import program

TEN_MIB = 10 * 1024 * 1024
DEADLINE = 30.0


class Gateway:
    """A daemon with a listener for TLS, and the agent behind it."""

    def __init__(self, running: Daemon, where: str, ca: Authority) -> None:
        self.running = running
        self.url = f"https://{where}"
        self.where = where
        self.ca = ca

    async def run(self, *command: str | Path) -> str:
        """Run a program to its end and give what it says; it must not fail."""
        async with spawned(*command, env={"SSL_CERT_FILE": str(self.ca.cert)}) as process:
            code = await process.exit_code(DEADLINE)
            assert code == 0, process.output
            return process.output

    async def curl(self, path: str, *arguments: str | Path) -> str:
        command = (program("curl"), "--silent", "--show-error", "--http2", "--max-time", "25")
        return await self.run(*command, "--cacert", self.ca.cert, self.url + path, *arguments)


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def _call(request: web.Request) -> web.StreamResponse:
    """In the form of gRPC: a framed message both ways, and the status in trailers."""
    assert request.headers["TE"] == "trailers"
    message = await request.read()
    assert request.transport is not None
    request.transport.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\ngrpc-status: 0\r\ngrpc-message: done\r\n\r\n" % (len(message), message)
    )
    request.transport.close()
    raise asyncio.CancelledError


async def _events(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    for n in range(20):
        await reply.write(b"data: %d\n\n" % n)
    await reply.write_eof()
    return reply


async def _large(request: web.Request) -> web.Response:
    return web.Response(body=bytes(TEN_MIB))


async def _healthy(request: web.Request) -> web.Response:
    return web.Response()


@contextlib.asynccontextmanager
async def gateway(directory: Path, **tls: Any) -> AsyncIterator[Gateway]:
    app = web.Application(client_max_size=2 * TEN_MIB)
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/events", _events)
    app.router.add_get("/large", _large)
    app.router.add_post("/call", _call)
    app.router.add_post("/echo", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    ca = Authority(directory / "tls")
    pair = ca.issue("one", "IP:127.0.0.1", "DNS:localhost")
    listen = {"address": "127.0.0.1:0", "tls": {"certificates": [pair.config], **tls}}
    config = {
        "listen": listen,
        "routes": [{"pool": "p"}],
        "pools": {
            "p": {
                "driver": {"static": {"endpoints": [f"http://{host}:{port}"]}},
                "health": {"path": "/healthz", "interval": "100ms"},
                "concurrency": 200,
            }
        },
    }
    try:
        async with daemon(directory, config) as running:
            await running.until_ready("p", 1)
            yield Gateway(running, await address(running), ca)
            assert "Traceback" not in running.process.output
    finally:
        await runner.cleanup()


@pytest.mark.slow
async def test_curl_sends_and_gets_ten_mebibytes(tmp_path: Path) -> None:
    body, got = tmp_path / "body", tmp_path / "got"
    body.write_bytes(os.urandom(TEN_MIB))
    write = ("--write-out", "%{http_version} %{http_code}")
    async with gateway(tmp_path) as there:
        said = await there.curl(
            "/echo", "--data-binary", f"@{body}", "--output", got, "-H", "Expect:", *write
        )
        assert said == "2 200"
        assert got.read_bytes() == body.read_bytes()
        assert await there.curl("/events", "--output", got, *write) == "2 200"
        assert got.read_text().count("data: ") == 20
        assert await there.curl("/echo", "--http1.1", "-d", "hi", *write) == "hi1.1 200"
        metrics = await there.running.metrics()
        assert re.search(r'headrace_http2_requests_total\{worker="0"\} 2', metrics)


@pytest.mark.slow
async def test_a_call_in_the_form_of_grpc_has_its_trailers(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(b"\0\0\0\0\5hello")
    async with gateway(tmp_path) as there:
        said = await there.run(
            program("nghttp"), "-v", "-H", "te: trailers", "-H", "content-type: application/grpc",
            "-d", message, there.url + "/call",
        )  # fmt: skip
        assert ":status: 200" in said
        assert "grpc-status: 0" in said
        assert "grpc-message: done" in said
        assert "hello" in said
        assert "RST_STREAM" not in said


@pytest.mark.slow
async def test_h2load_finds_no_error(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(300))
    async with gateway(tmp_path) as there:
        for arguments in (
            ("-n", "3000", "-c", "8", "-m", "16", "-d", str(body), "/echo"),
            ("-n", "400", "-c", "1", "-m", "100", "-d", str(body), "/echo"),
            ("-n", "8", "-c", "2", "-m", "4", "/large"),
        ):
            *options, path = arguments
            said = await there.run(program("h2load"), *options, there.url + path)
            count = options[1]
            assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in said
            assert f"status codes: {count} 2xx" in said


async def test_http_2_may_be_switched_off(tmp_path: Path) -> None:
    async with gateway(tmp_path, http2=False) as there:
        version = await there.curl("/events", "-o", "/dev/null", "-w", "%{http_version}")
        assert version == "1.1"


class Http2(Client):
    """A client of HTTP/2 by `h2`."""

    async def begin(self) -> None:
        self.session = H2Connection(H2Configuration(client_side=True))
        self.session.initiate_connection()

    def get(self, stream: int, path: str) -> None:  # type: ignore[override]
        self.session.send_headers(
            stream,
            [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "h")],
            end_stream=True,
        )
        self.writer.write(self.session.data_to_send())

    async def events(self) -> list[Event]:
        """What comes next; nothing when the gateway has closed."""
        async with asyncio.timeout(DEADLINE):
            data = await self._reader.read(65_536)
        try:
            events = self.session.receive_data(data) if data else []
        except ProtocolError as error:
            raise AssertionError(f"the gateway broke the protocol: {error}") from error
        self.writer.write(self.session.data_to_send())
        return events


async def test_a_daemon_that_stops_finishes_its_streams(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    pair = ca.issue("one", "IP:127.0.0.1")
    listen = {"address": "127.0.0.1:0", "tls": {"certificates": [pair.config]}}
    async with agent() as replica, daemon(tmp_path, in_front_of(replica, listen=listen)) as running:
        await running.until_ready("p", 1)
        where = await address(running)
        async with Http2(where, ca.client(alpn=("h2",))) as client:
            await client.begin()
            client.get(1, "/slow")
            seen: list[Event] = []
            while not any(isinstance(e, DataReceived) for e in seen):
                seen += await client.events()
            running.process.terminate()
            while not any(isinstance(e, ConnectionTerminated) for e in seen):
                seen += await client.events()
            replica.go.set()
            # h2 takes nothing more behind GOAWAY, so the rest is read by its frames
            rest = b""
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                rest = await client.rest()
            assert b"gone" in rest
            assert any(isinstance(e, ResponseReceived) for e in seen)
            assert not any(isinstance(e, StreamEnded) for e in seen)
        assert await running.process.exit_code(20) == 0
        assert "Traceback" not in running.process.output
