"""Dialling, with real sockets and certificates."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from kit import House, pool_entry, replica_entry, version_entry

from fleet.tls import ClientTls
from fleet.wire import UpstreamTlsEntry
from router.dialling import Dialler, failure
from router.http.upstream import Upstream
from router.pool import Replica
from tests.support.certificates import Authority
from tests.support.ports import free_port


class Made(asyncio.Protocol):
    """Stands for the connection that is asked for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    made = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context)
    async with made:
        yield made.sockets[0].getsockname()[1]


def entry(**changes: Any) -> UpstreamTlsEntry:
    settings = {"ca": None, "server_name": None, "verify": True, "pair": None}
    return UpstreamTlsEntry(pool="p", version="v1", tls=ClientTls(**(settings | changes)))


def replica(**changes: Any) -> Replica:
    house = House()
    house.apply(pool_entry(version_entry()))
    house.members(version_entry("v1", replica_entry(1, **changes)))
    return house.version().replicas["r1"]


async def dialled(dialler: Dialler, to: Replica) -> str | None:
    """None when a connection could be made, else why not."""
    made = Made()
    try:
        await dialler.dial(to, lambda: cast(Upstream, made))
    except (OSError, ValueError) as error:
        return failure(error)
    made.transport.abort()
    return None


async def test_a_replica_is_checked_as_its_version_says(authority: Authority) -> None:
    ca = authority.cert.read_text()
    context = authority.server(authority.issue("one", "DNS:one.example"))
    async with server(context) as port:
        to = replica(port=port, tls=True)
        dialler = Dialler()
        outcomes = []
        for settings in (
            {"ca": ca, "server_name": "one.example"},
            {"ca": ca},
            {"server_name": "one.example"},
            {"verify": False},
        ):
            dialler.configure([entry(**settings)])
            outcomes.append(await dialled(dialler, to))
    assert outcomes[0] is None
    assert outcomes[1] is not None
    assert "certificate is not accepted: IP address mismatch" in outcomes[1]
    assert outcomes[2] is not None
    assert outcomes[2].startswith("its certificate is not accepted: self-signed")
    assert outcomes[3] is None


async def test_why_there_is_no_connection(tmp_path: Path) -> None:
    dialler = Dialler()
    gone = replica(host=f"unix://{tmp_path}/none", port=0)
    assert await dialled(dialler, gone) == "No such file or directory"
    refused = replica(port=free_port())
    assert await dialled(dialler, refused) == "Connection refused"
    async with server() as port:
        dialler.configure([entry()])
        plain = replica(port=port, tls=True)
        dialler.configure([])
        assert await dialled(dialler, plain) == "its version has no TLS any more"


async def test_a_replica_that_does_not_speak_tls(authority: Authority) -> None:
    async def shout(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    made = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with made:
        dialler = Dialler()
        dialler.configure([entry(ca=authority.cert.read_text())])
        to = replica(port=made.sockets[0].getsockname()[1], tls=True)
        assert await dialled(dialler, to) == "TLS failed: WRONG_VERSION_NUMBER"


async def test_only_changed_settings_are_told(authority: Authority) -> None:
    dialler = Dialler()
    assert dialler.configure([entry()]) == [("p", "v1")]
    assert dialler.configure([entry()]) == []
    assert dialler.configure([entry(verify=False)]) == [("p", "v1")]
    assert dialler.configure([]) == []


def test_a_unix_replica_is_asked_as_localhost() -> None:
    assert replica(host="unix:///run/agent.sock", port=0).authority == b"localhost"
