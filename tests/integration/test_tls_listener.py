"""TLS towards clients: a real daemon, real certificates, and their renewal under way."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from edge_kit import Client, address, agent, in_front_of

from tests.support.certificates import Authority, Pair
from tests.support.daemon import complete, daemon
from tests.support.waiting import wait_until


def listener(*pairs: Pair, **tls: Any) -> dict[str, Any]:
    tls = {"certificates": [pair.config for pair in pairs], **tls}
    return {"address": "127.0.0.1:0", "tls": tls}


async def test_requests_come_over_tls(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    one = ca.issue("one", "IP:127.0.0.1")
    two = ca.issue("two", "DNS:two.example")
    listen = {**listener(one, two, handshake_timeout="300ms"), "address": "[::1]:0"}
    async with agent() as replica, daemon(tmp_path, in_front_of(replica, listen=listen)) as running:
        await running.until_ready("p", 1)
        where = await address(running)
        async with Client(where, ca.client(alpn=("http/1.1",)), "two.example") as client:
            assert client.certificate["subject"] == ((("commonName", "two"),),)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            forged = 'X-Forwarded-Client-Cert: Subject="CN=root"'
            assert (await client.get("/", forged, "X-Forwarded-Proto: http")).body == b"ok"
            assert replica.head.get(b"x-forwarded-proto") == b"https"
            assert replica.head.get(b"x-forwarded-for") == b"::1"
            assert replica.head.get(b"x-forwarded-client-cert") is None
            assert (await client.get("/again", "Connection: close")).body == b"ok"
            assert await client.rest() == b""
        async with Client(where) as plain:
            plain.send()
            assert b"HTTP/1.1" not in await plain.rest()
        async with Client(where) as silent:
            assert await silent.rest() == b""
        with pytest.raises(ssl.SSLCertVerificationError):
            await Client(where, ca.client(), "unknown.example").__aenter__()
        async with Client(where, ca.client(), "two.example") as client:
            assert (await client.get()).body == b"ok"

        async def counted() -> bool:
            # in plain HTTP, silent until the end, and not content with the certificate
            return 'refused_total{reason="handshake"} 3.0' in await running.metrics()

        await wait_until(counted, "three handshakes have failed")
        assert "Traceback" not in running.process.output


async def test_certificates_are_renewed_and_no_connection_is_dropped(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    pair = ca.issue("one", "IP:127.0.0.1")
    async with (
        agent() as replica,
        daemon(tmp_path, in_front_of(replica, listen=listener(pair), workers=2)) as running,
    ):
        await running.until_ready("p", 1)
        where = await address(running)
        async with Client(where, ca.client()) as before:
            before.send("/slow")
            first = before.certificate["serialNumber"]
            ca.issue("one", "IP:127.0.0.1")
            # the key is replaced first: between the two a reload may find a pair that is none
            await running.until(lambda s: s["generation"] >= 2 and s["ready"], "the new one")

            async def shown() -> object:
                async with Client(where, ca.client()) as client:
                    assert (await client.get()).status == 200
                    return client.certificate["serialNumber"]

            second = await shown()
            assert second != first

            pair.cert.write_text("not a certificate\n")
            await running.until(lambda s: s["rejected"], "the broken one is rejected")
            rejected = (await running.status())["rejected"]
            assert "listen.tls.certificates[0]: `cert` holds no certificate in PEM" in rejected
            assert await shown() == second

            ca.issue("one", "IP:127.0.0.1")
            await running.until(lambda s: not s["rejected"] and s["ready"], "a good one again")
            assert await shown() not in (first, second)

            replica.go.set()
            assert (await before.reply()).body == b"begone"
            assert (await before.get()).body == b"ok"


async def test_settings_of_a_listener_change_under_its_connections(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    pair = ca.issue("one", "IP:127.0.0.1")
    async with agent() as replica:
        config = in_front_of(replica, listen={"address": "127.0.0.1:0"})
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            where = await address(running)
            async with Client(where) as plain:
                assert (await plain.get()).body == b"ok"
                running.write(complete({**config, "listen": listener(pair)}))
                await running.until(lambda s: s["generation"] == 2 and s["ready"], "TLS")
                assert await address(running) == where
                async with Client(where, ca.client()) as client:
                    assert (await client.get()).body == b"ok"
                assert (await plain.get()).body == b"ok"
                assert replica.head.get(b"x-forwarded-proto") == b"http"


async def test_client_certificates_are_passed_on(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "tls")
    server = ca.issue("server", "IP:127.0.0.1")
    known = ca.issue(
        "known", "URI:spiffe://example.com/agent", "DNS:agent.example", subject='/O=A;B "C"/CN=é'
    )
    stranger = Authority(tmp_path / "other", "other").issue("stranger")
    strict, lax = (
        {**listener(server, client_ca=str(ca.cert), client_auth=auth), "address": where}
        for auth, where in (("required", "127.0.0.1:0"), ("optional", "[::1]:0"))
    )
    async with (
        agent() as replica,
        daemon(
            tmp_path,
            in_front_of(replica, listen=[strict, lax], trusted_proxies=["127.0.0.1", "::1"]),
        ) as running,
    ):
        await running.until_ready("p", 1)
        forged = 'X-Forwarded-Client-Cert: Subject="CN=root"'
        der = ssl.PEM_cert_to_DER_cert(known.cert.read_text())
        for index in (0, 1):
            where = await address(running, index)
            async with Client(where, ca.client(known)) as client:
                assert (await client.get("/", forged)).status == 200
            shown = replica.head.get(b"x-forwarded-client-cert")
            assert shown is not None
            digest, *rest = shown.decode().split(";")
            assert digest == f"Hash={_sha256(der)}"
            assert rest == [
                'Subject="CN=\\C3\\A9,O=A\\3BB \\22C\\22"',
                "URI=spiffe://example.com/agent",
                "DNS=agent.example",
            ]
        async with Client(await address(running, 1), ca.client()) as client:
            assert (await client.get("/", forged)).status == 200
            assert replica.head.get(b"x-forwarded-client-cert") is None
        told = len(replica.heads)
        for context in (ca.client(), ca.client(stranger)):
            assert await _answer(await address(running, 0), context) == b""
        assert await _answer(await address(running, 1), ca.client(stranger)) == b""
        assert len(replica.heads) == told
        assert "Traceback" not in running.process.output


async def _answer(where: str, context: ssl.SSLContext) -> bytes:
    """What comes back. In TLS 1.3 the client learns only then that it was not accepted."""
    try:
        async with Client(where, context) as client:
            client.send()
            return await client.rest()
    except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
        return b""


def _sha256(data: bytes) -> str:

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_a_client_that_does_not_answer_the_end_of_tls_delays_no_stop(
    tmp_path: Path, version: str
) -> None:
    ca = Authority(tmp_path / "tls")
    listen = listener(ca.issue("one", "IP:127.0.0.1"))
    async with agent() as replica:
        config = in_front_of(replica, listen=listen, drain_timeout="1h")
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            async with Client(await address(running), ca.client(alpn=(version,))) as idle:
                idle.writer.transport.pause_reading()  # type: ignore[attr-defined]
                assert await running.stop() == 0
