"""TLS to replicas, by requests and by health checks alike."""

from __future__ import annotations

import io
import random
from pathlib import Path

import aiohttp
from aiohttp import web
from edge_kit import Agent, Client, address, agent, in_front_of

from tests.support.certificates import Authority
from tests.support.daemon import complete, daemon


async def test_replicas_over_tls_with_a_name_and_a_client_certificate(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    server = ca.issue("server", "DNS:agents.internal")
    own = ca.issue("gateway")
    context = ca.server(server, client_required=True)
    tls = {"ca": str(ca.cert), "server_name": "agents.internal", **own.config}
    async with agent(context) as replica:
        config = in_front_of(replica, tls=tls)
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            async with Client(await address(running)) as client:
                for _ in range(2):
                    reply = await client.get()
                    assert (reply.status, reply.body) == (200, b"ok")
                wrong = {**tls, "server_name": "others.internal"}
                running.write(complete(in_front_of(replica, tls=wrong)))
                await running.until_ready("p", 0)
                (one,) = (await running.pool("p"))["replicas"]
                assert one["note"].startswith("its certificate is not accepted: Hostname mismatch")
                running.write(complete(config))
                await running.until_ready("p", 1)
                assert (await client.get()).status == 200


async def test_a_certificate_of_another_authority_gets_no_request(tmp_path: Path) -> None:
    ca, other = Authority(tmp_path / "tls"), Authority(tmp_path / "other", "other")
    context = ca.server(ca.issue("server", "IP:127.0.0.1"))
    tls = {"ca": str(other.cert)}
    async with agent(context) as replica:
        # nothing but a connection is asked for, and that too is over TLS
        config = in_front_of(replica, tls=tls, health={"path": None, "interval": "100ms"})
        async with daemon(tmp_path, config) as running:
            note = "its certificate is not accepted"
            await running.until(lambda s: note in s["pools"][0]["replicas"][0]["note"], note)
            assert (await running.version("p"))["ready"] == 0
            unchecked = {"verify": False}
            running.write(complete(in_front_of(replica, tls=unchecked)))
            await running.until_ready("p", 1)
            async with Client(await address(running)) as client:
                assert (await client.get()).status == 200
    assert len(replica.heads) == 1


async def test_ten_mebibytes_go_both_ways_unharmed(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    pair = ca.issue("one", "IP:127.0.0.1")
    sent = random.Random(7).randbytes(10 << 20)

    async def echo(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        async for piece in request.content.iter_any():
            await reply.write(piece)
        return reply

    async def healthy(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=0)
    app.router.add_get("/healthz", healthy)
    app.router.add_post("/", echo)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ca.server(pair)).start()
    replica = Agent()
    replica.endpoint = f"https://127.0.0.1:{runner.addresses[0][1]}"
    config = in_front_of(
        replica,
        tls={"ca": str(ca.cert)},
        listen={"address": "127.0.0.1:0", "tls": {"certificates": [pair.config]}},
    )
    try:
        async with (
            daemon(tmp_path, config) as running,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ca.client())) as session,
        ):
            await running.until_ready("p", 1)
            url = f"https://{await address(running)}/"
            for headers in ({}, {"Connection": "close"}):
                async with session.post(url, data=io.BytesIO(sent), headers=headers) as reply:
                    assert await reply.read() == sent
    finally:
        await runner.cleanup()
