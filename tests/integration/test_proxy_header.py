"""PROXY headers in front of HTTP and of TLS, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from edge_kit import DEADLINE, Client, address, agent, in_front_of

from tests.support.certificates import Authority
from tests.support.daemon import daemon

V1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24"
    + bytes.fromhex("20010db8000000000000000000000009" * 2)
    + b"\x9c\x40\x01\xbb"
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


async def test_the_client_is_the_one_that_the_header_names(tmp_path: Path) -> None:
    listen = [
        {"address": "127.0.0.1:0", "proxy_protocol": "accept"},
        {"address": f"unix://{tmp_path}/s", "proxy_protocol": "accept"},
    ]
    async with agent() as replica:
        config = in_front_of(
            replica,
            listen=listen,
            trusted_proxies=["127.0.0.0/8", "203.0.113.0/24"],
            timeouts={"header": "300ms"},
        )
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            where = await address(running)

            async def seen(where: str, header: bytes) -> bytes | None:
                async with Client(where) as client:
                    client.writer.write(header)
                    assert (await client.get("/", "X-Forwarded-For: 6.6.6.6")).body == b"ok"
                    assert (await client.get("/", "X-Forwarded-For: 6.6.6.6")).body == b"ok"
                return replica.head.get(b"x-forwarded-for")

            # a trusted peer's word is kept only if it comes from the client that it names
            assert await seen(where, V1) == b"6.6.6.6, 203.0.113.9"
            assert await seen(where, V2) == b"2001:db8::9"
            assert await seen(where, LOCAL) == b"6.6.6.6, 127.0.0.1"
            assert await seen(await address(running, 1), V2) == b"2001:db8::9"
            assert await seen(await address(running, 1), LOCAL) == b"unix"

            for header in (V1, V2):
                async with Client(where) as client:
                    for index in range(len(header)):
                        client.writer.write(header[index : index + 1])
                        await asyncio.sleep(0)
                    assert (await client.get()).status == 200

            told = len(replica.heads)
            for bad in (b"", b"PROXY TCP4 x\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", V1[:20]):
                async with Client(where) as client:
                    client.writer.write(bad)
                    assert await client.rest() == b""
            assert len(replica.heads) == told
            assert 'refused_total{reason="proxy_header"} 4.0' in await running.metrics()
            assert "Traceback" not in running.process.output


@pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
async def test_tls_begins_right_behind_the_header(tmp_path: Path, header: bytes) -> None:
    ca = Authority(tmp_path / "tls")
    pair = ca.issue("one", "IP:127.0.0.1")
    listen = {
        "address": "127.0.0.1:0",
        "proxy_protocol": "accept",
        "tls": {"certificates": [pair.config], "handshake_timeout": "300ms"},
    }
    async with (
        agent() as replica,
        daemon(tmp_path, in_front_of(replica, listen=listen)) as running,
    ):
        await running.until_ready("p", 1)
        where = await address(running)
        reply = await asyncio.to_thread(_over_tls, where, ca.client(), header)
        assert reply.startswith(b"HTTP/1.1 200")
        assert replica.head.get(b"x-forwarded-proto") == b"https"
        expected = b"203.0.113.9" if header == V1 else b"2001:db8::9"
        assert replica.head.get(b"x-forwarded-for") == expected
        async with Client(where) as plain:
            plain.writer.write(header)
            plain.send()
            assert b"HTTP/1.1" not in await plain.rest()
        async with Client(where) as silent:
            silent.writer.write(header)
            assert await silent.rest() == b""
        assert "Traceback" not in running.process.output


def _over_tls(where: str, context: ssl.SSLContext, header: bytes) -> bytes:
    """A reply to a request whose header and first TLS record leave in one piece."""
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(coming, going, server_hostname="127.0.0.1")
    host, _, port = where.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as sock:
        with pytest.raises(ssl.SSLWantReadError):
            end.do_handshake()
        sock.sendall(header + going.read())
        for act in (end.do_handshake, lambda: end.write(b"GET / HTTP/1.0\r\n\r\n"), end.read):
            while True:
                try:
                    done = act()
                except ssl.SSLWantReadError:
                    if going.pending:
                        sock.sendall(going.read())
                    coming.write(sock.recv(65536))
                    continue
                if going.pending:
                    sock.sendall(going.read())
                break
    assert isinstance(done, bytes)
    return done
