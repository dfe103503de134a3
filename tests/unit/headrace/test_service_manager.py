"""sd_notify, against a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fleet.clock import ManualClock
from headrace.notify import Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(5)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify")
    made = Manager(name if request.param == "path" else f"@{name}")
    yield made
    made.socket.close()


def test_states(manager: Manager) -> None:
    clock = ManualClock(12.5)
    notifier = Notifier(manager.address, clock=clock)
    assert notifier.ready("generation 1")
    assert manager.heard() == "READY=1\nSTATUS=generation 1"
    assert notifier.reloading()
    assert manager.heard() == "RELOADING=1\nMONOTONIC_USEC=12500000"
    assert notifier.ready()
    assert manager.heard() == "READY=1"
    assert notifier.status("two\nlines")
    assert manager.heard() == "STATUS=two lines"
    assert notifier.stopping("draining")
    assert manager.heard() == "STOPPING=1\nSTATUS=draining"


async def test_signs_of_life_until_the_end(manager: Manager) -> None:
    stop = asyncio.Event()
    notifier = Notifier(manager.address, watchdog_interval=0.001)
    task = asyncio.create_task(notifier.watchdog(stop))
    for _ in range(3):
        assert await asyncio.to_thread(manager.heard) == "WATCHDOG=1"
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_no_signs_of_life_when_none_are_wanted(manager: Manager) -> None:
    await asyncio.wait_for(Notifier(manager.address).watchdog(asyncio.Event()), 5)
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.heard()


def test_without_a_manager_nothing_is_told() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.ready()
    assert not notifier.stopping()


def test_a_manager_that_is_gone_is_logged_not_raised(tmp_path: Path) -> None:
    with capture_logs() as lines:
        assert not Notifier(str(tmp_path / "gone")).ready()
    assert [line["event"] for line in lines] == ["cannot notify the service manager"]


PERIODS: dict[str, tuple[dict[str, str], float | None]] = {
    "half of the period": ({"WATCHDOG_USEC": "30000000"}, 15.0),
    "meant for this process": ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 15.0),
    "meant for another process": ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
    "none wanted": ({}, None),
    "zero": ({"WATCHDOG_USEC": "0"}, None),
    "not a number": ({"WATCHDOG_USEC": "often"}, None),
}


@pytest.mark.parametrize(("variables", "interval"), PERIODS.values(), ids=PERIODS)
def test_watchdog_period(variables: dict[str, str], interval: float | None) -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", **variables}
    assert Notifier.from_environment(environ, pid=77).watchdog_interval == interval


def test_children_do_not_inherit_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier.from_environment().watchdog_interval == 0.0005
    assert not os.environ.keys() & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
