"""What keeps the lifecycle going: owned tasks, the roster's turns, the pace of suspicion."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fleet.clock import ManualClock, SystemClock
from fleet.config.schema import Config, Health
from fleet.model import Decision, Event, Replica, ReplicaState
from fleet.telemetry.slab import VersionTotals
from scaler import roster as roster_module
from scaler.drivers.static import Endpoint
from scaler.members import Counts, Member
from scaler.prober import MIN_GAP, Watch
from scaler.replica_settings import VersionSettings, resolve
from scaler.roster import Roster
from scaler.task_keeper import TaskKeeper


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


class Gateway:
    """Remembers what was published and which cells came back, in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.called = asyncio.Event()

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        self.calls.append([(r.name, str(r.state)) for r in replicas])
        self.called.set()

    async def drained(self, replica: str) -> None:
        raise NotImplementedError

    def in_flight(self, replica: Replica) -> int:
        raise NotImplementedError

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        return None

    def totals(self, pool: str, version: str) -> VersionTotals:
        raise NotImplementedError

    def allocate_cell(self) -> int:
        raise NotImplementedError

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        raise NotImplementedError

    def free_cell(self, cell: int) -> None:
        self.calls.append(cell)


class Journal:
    def decision(self, decision: Decision) -> None:
        raise NotImplementedError

    def event(self, event: Event) -> None:
        raise NotImplementedError


SETTINGS = VersionSettings(process=None, endpoints={}, slots=4, health=Health(), drain_timeout=1.0)


def member(name: str, cell: int = 0) -> Member:
    return Member(
        name=name, pool="chat", version="v1", cell=cell, settings=SETTINGS, spec="", born=0.0
    )


async def turn() -> None:
    """Let everything scheduled for this turn of the loop happen."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_changes_of_one_turn_are_published_together_and_once() -> None:
    gateway = Gateway()
    clock = ManualClock(3.0)
    roster = Roster(gateway, Journal(), clock)
    one, two = member("one"), member("two")
    roster.add(one)
    roster.add(two)
    roster.move(two, ReplicaState.READY, "")
    roster.started(two, 2.5)
    await turn()
    roster.touch("chat")
    await turn()
    assert gateway.calls == [[("one", "starting"), ("two", "ready")]]
    assert roster.counts("chat", "v1") == Counts(
        starting=1, ready=1, starting_for=(3.0,), start_seconds=(2.5,)
    )
    assert roster.counts("chat", "v9") == Counts()
    roster.close()


async def test_a_cell_comes_back_only_after_the_publication_without_it() -> None:
    gateway = Gateway()
    roster = Roster(gateway, Journal(), SystemClock())
    one = member("one", cell=7)
    roster.add(one)
    roster.publish("chat")
    roster.remove(one)
    assert gateway.calls == [[("one", "starting")], [], 7]
    assert roster.pools() == []
    roster.close()


async def test_a_failed_turn_is_logged_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, log: list[EventDict]
) -> None:
    monkeypatch.setattr(roster_module, "RETRY", 0.001)
    gateway = Gateway()
    roster = Roster(gateway, Journal(), SystemClock())
    troubles = [OSError("disk full")]

    def reconcile(pool: str) -> None:
        if troubles:
            raise troubles.pop()

    roster.reconcile = reconcile
    roster.add(member("one"))
    async with asyncio.timeout(10):
        await gateway.called.wait()
    assert [line["event"] for line in log] == ["reconciling failed"]
    roster.close()


async def test_a_listener_that_fails_harms_no_one(log: list[EventDict]) -> None:
    heard: list[str] = []
    roster = Roster(Gateway(), Journal(), SystemClock())

    def broken(pool: str) -> None:
        raise RuntimeError("broken")

    roster.subscribe(broken)
    roster.subscribe(heard.append)
    roster.add(member("one"))
    await turn()
    assert heard == ["chat"]
    assert [line["event"] for line in log] == ["telling of a change failed"]
    roster.close()


async def test_a_task_that_fails_is_logged_and_the_others_are_awaited(
    log: list[EventDict],
) -> None:
    keeper = TaskKeeper()
    done: list[str] = []

    async def fail() -> None:
        raise ValueError("lost?")

    async def late() -> None:
        done.append("late")

    async def spawner() -> None:
        await asyncio.sleep(0)
        keeper.spawn(late(), "late")

    keeper.spawn(fail(), "failing")
    keeper.spawn(spawner(), "spawner")
    await keeper.join()
    assert done == ["late"]
    assert [(line["event"], line["task"]) for line in log] == [("task failed", "failing")]


async def test_however_often_it_is_suspected_checks_keep_a_gap() -> None:
    times: list[float] = []
    enough = asyncio.Event()

    async def check() -> str | None:
        watch.suspect()
        times.append(asyncio.get_running_loop().time())
        if len(times) == 3:
            enough.set()
        return None

    watch = Watch(check, lambda failure: 3600.0)
    task = asyncio.create_task(watch.run(0.0))
    async with asyncio.timeout(10):
        await enough.wait()
    task.cancel()
    assert times[2] - times[0] >= 2 * MIN_GAP * 0.99


def test_settings_are_resolved_by_version() -> None:
    config = Config.model_validate(
        {
            "routes": [{"pool": "chat"}],
            "pools": {
                "chat": {
                    "concurrency": 4,
                    "driver": {"process": {"command": ["run"], "env": {"A": "1"}}},
                    "versions": {
                        "v1": {},
                        "v2": {"concurrency": 2, "driver": {"process": {"env": {"B": "2"}}}},
                        "v3": {"driver": {"static": {"endpoints": ["http://10.0.0.5:8000"]}}},
                    },
                },
                "jobs": {"driver": {"process": {"command": ["work"]}}},
            },
        }
    )
    settings = resolve(config, config_dir=Path("/etc/h"), redis_url=None)
    chat = settings["chat"]
    assert {version: one.slots for version, one in chat.items()} == {"v1": 4, "v2": 2, "v3": 4}
    assert chat["v1"].process is not None
    assert chat["v2"].process is not None
    assert chat["v2"].process.launch.env == (("A", "1"), ("B", "2"))
    assert chat["v1"].process.digest != chat["v2"].process.digest
    assert chat["v3"].process is None
    assert chat["v3"].endpoints == {"chat-v3-10.0.0.5-8000": Endpoint(host="10.0.0.5", port=8000)}
    jobs = settings["jobs"]["v1"].process
    assert jobs is not None
    assert chat["v1"].process.launch.endpoint
    assert not jobs.launch.endpoint
