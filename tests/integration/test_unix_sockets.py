"""Unix sockets on either side of the gateway."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from edge_kit import Client, agent, in_front_of

from fleet.config.schema import Listener
from headrace.listeners import ListenError, Listeners
from tests.support.daemon import daemon


async def test_from_socket_to_socket(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    listen = {"address": f"unix://{path}", "mode": "0600"}
    async with agent(path=tmp_path / "agent.sock") as replica:
        config = in_front_of(replica, listen=listen)
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            assert (await running.status())["listen"] == [f"unix://{path}"]
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            async with Client(f"unix://{path}") as client:
                reply = await client.get("/", "X-Forwarded-For: 6.6.6.6")
                assert (reply.status, reply.body) == (200, b"ok")
                assert replica.head.get(b"x-forwarded-for") == b"unix"
                assert replica.head.get(b"host") == b"h"
            assert await running.stop() == 0
        assert not path.exists()


async def test_a_trusted_unix_peer_and_a_replica_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    async with agent(path=tmp_path / "agent.sock") as replica:
        config = in_front_of(
            replica,
            listen=f"unix://{path}",
            trusted_proxies=["unix"],
            health={"path": None, "interval": "50ms", "fall": 1},
        )
        async with daemon(tmp_path, config) as running:
            await running.until_ready("p", 1)
            async with Client(f"unix://{path}") as client:
                await client.get("/", "X-Forwarded-For: 6.6.6.6", "X-Request-Id: theirs")
                assert replica.head.get(b"x-forwarded-for") == b"6.6.6.6, unix"
                assert replica.head.get(b"x-request-id") == b"theirs"
                (tmp_path / "agent.sock").unlink()
                await running.until_ready("p", 0)


def opened(listeners: Listeners, path: Path, mode: str = "0660") -> None:
    listeners.open([Listener(address=f"unix://{path}", mode=mode)])


def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    listeners = Listeners()
    opened(listeners, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listeners.close_others(())
    assert not path.exists()


def test_a_socket_that_is_listened_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ListenError, match="Address already in use"):
            opened(Listeners(), path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ListenError, match="there is a file that is not a socket"):
        opened(Listeners(), path)
    assert path.read_text() == "precious"


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory"):
        opened(Listeners(), tmp_path / "none" / "s")


def test_permissions_follow_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listeners = Listeners()
    opened(listeners, path, "0600")
    opened(listeners, path, "0666")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    listeners.close_others(())


def test_what_stands_in_its_place_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listeners = Listeners()
    opened(listeners, path)
    path.unlink()
    path.write_text("another's")
    opened(listeners, path, "0600")
    listeners.close_others(())
    assert path.read_text() == "another's"


def test_all_are_opened_or_none(tmp_path: Path) -> None:
    listeners = Listeners()
    good, bad = tmp_path / "good", tmp_path / "none" / "bad"
    with pytest.raises(ListenError):
        listeners.open([Listener(address=f"unix://{path}") for path in (good, bad)])
    assert listeners.addresses == ()
    assert not good.exists()
