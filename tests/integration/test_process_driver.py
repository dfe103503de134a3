"""Replicas as real child processes, from start to the last of their kin."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replica_kit import LogTap, abandon, agent, ask, config, lives, pool, staged, tapped_log

from fleet.errors import UnknownNameError
from fleet.model import ReplicaState
from scaler.drivers.free_ports import FreePorts
from scaler.drivers.state_files import StateDirInUseError, StateFiles

READY = ReplicaState.READY
DRAINING = ReplicaState.DRAINING


@pytest.fixture(autouse=True)
def log() -> Iterator[LogTap]:
    with tapped_log() as tap:
        yield tap


async def test_a_replica_starts_and_becomes_ready(tmp_path: Path) -> None:
    changes: list[str] = []
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.subscribe(changes.append)
        stage.manager.set_desired("chat", {"v1": 1})
        replica = await stage.ready("chat-v1-1")
        assert (replica.host, replica.slots, replica.restarts) == ("127.0.0.1", 16, 0)
        assert stage.manager.counts("chat", "v1").ready == 1
        assert stage.manager.replicas("chat") == (replica,)
        assert changes
        assert set(changes) == {"chat"}
        assert [e.kind for e in stage.journal.events] == ["replica.started", "replica.ready"]
        message = stage.journal.events[-1].message
        assert re.fullmatch(r"healthy \d\.\d\ds after its start", message)
        assert await ask(replica, "env/PORT") == str(replica.port)
        assert await ask(replica, "env/HEADRACE_POOL") == "chat"
        assert await ask(replica, "env/HEADRACE_VERSION") == "v1"
        assert await ask(replica, "env/HEADRACE_REDIS_URL") == "redis://127.0.0.1:1/0"


async def test_what_it_writes_is_in_the_log(tmp_path: Path, log: LogTap) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        out = await log.line(event="out of chat-v1-1")
        err = await log.line(event="err of chat-v1-1")
        assert (out["replica"], out["stream"]) == ("chat-v1-1", "stdout")
        assert (err["replica"], err["stream"]) == ("chat-v1-1", "stderr")


async def test_the_last_words_of_one_that_ends_at_once_are_in_the_log(
    tmp_path: Path, log: LogTap
) -> None:
    driver = {"process": {"command": ["/bin/sh", "-c", "printf bye; exit 4"]}}
    async with staged(tmp_path, config(chat=pool(driver))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        await log.line(event="bye", replica="chat-v1-1")
        assert (await stage.journal.first("exited")).message == "exit code 4"


async def test_a_crashed_one_is_started_again_after_its_backoff(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        first = await stage.ready("chat-v1-1")
        await ask(first, "exit/3")
        exited = await stage.journal.first("exited")
        assert exited.message == "exit code 3"
        backoff = await stage.journal.first("backoff")
        assert backoff.message == "exit code 3; next start in 0.5s"
        (waiting,) = stage.manager.replicas("chat")
        assert (waiting.state, waiting.pid) == (ReplicaState.BACKOFF, None)
        assert waiting.note == backoff.message
        assert stage.manager.counts("chat", "v1").starting == 1

        await stage.gateway.until(lambda: stage.gateway.now["chat"][0].restarts == 1)
        second = await stage.ready("chat-v1-1")
        assert second.pid != first.pid
        assert second.cell == first.cell
        again = stage.journal.of("started")[1]
        assert again.at - backoff.at >= 0.45


async def test_a_crash_loop_waits_longer_each_time_and_says_so(tmp_path: Path) -> None:
    driver = {"process": {"command": ["/bin/sh", "-c", "exit 1"]}}
    async with staged(tmp_path, config(chat=pool(driver))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.journal.until(lambda: len(stage.journal.of("backoff")) == 2)
        (replica,) = stage.manager.replicas("chat")
        assert replica.note == "exit code 1, 2 failures in a row; next start in 1s"


async def test_one_that_is_never_healthy_is_stopped_and_tried_again(tmp_path: Path) -> None:
    driver = agent(tmp_path, "sick", start_timeout="600ms")
    async with staged(tmp_path, config(chat=pool(driver))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        started = await stage.journal.first("started")
        backoff = await stage.journal.first("backoff")
        assert backoff.message == "not healthy within 0.6s; next start in 0.5s"
        assert not lives(int(started.message.split()[1].rstrip(",")))
        await stage.journal.until(lambda: len(stage.journal.of("started")) == 2)
        assert not stage.journal.of("ready")


MISSING = {
    "command not found": (
        {"command": ["headrace-no-such-program"]},
        "command not found: headrace-no-such-program",
    ),
    "not executable": ({"command": ["./agent.py"]}, "command ./agent.py: Permission denied"),
    "no such directory": (
        {"command": ["/bin/true"], "cwd": "nowhere"},
        "working directory {dir}/nowhere: No such file or directory",
    ),
}


@pytest.mark.parametrize(("process", "reason"), MISSING.values(), ids=MISSING)
async def test_one_that_cannot_start_says_why(
    tmp_path: Path, process: dict[str, object], reason: str
) -> None:
    agent(tmp_path)
    async with staged(tmp_path, config(chat=pool({"process": process}))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        backoff = await stage.journal.first("backoff")
        assert backoff.message == f"{reason.format(dir=tmp_path)}; next start in 0.5s"
        (replica,) = stage.manager.replicas("chat")
        assert replica.note == backoff.message


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    driver = agent(tmp_path, "ignore-term", stop_timeout="200ms")
    async with staged(tmp_path, config(chat=pool(driver))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        replica = await stage.ready("chat-v1-1")
        stage.manager.set_desired("chat", {"v1": 0})
        killed = await stage.journal.first("killed")
        assert killed.message == "still there 0.2s after SIGTERM"
        await stage.journal.first("stopped")
        assert replica.pid is not None
        assert not lives(replica.pid)


@pytest.mark.parametrize("end", ["crash", "stop"])
async def test_its_kin_ends_with_it_in_whatever_session(tmp_path: Path, end: str) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path, "children")))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        replica = await stage.ready("chat-v1-1")
        kin = [int(pid) for pid in (await ask(replica, "kin")).split()]
        assert [lives(pid) for pid in kin] == [True, True]
        if end == "crash":
            await ask(replica, "exit/1")
            await stage.journal.first("exited")
        else:
            stage.manager.set_desired("chat", {"v1": 0})
            await stage.journal.first("stopped")
        assert [lives(pid) for pid in kin] == [False, False]


async def test_shrinking_waits_for_the_last_request(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 2})
        await stage.ready("chat-v1-1")
        replica = await stage.ready("chat-v1-2")
        assert replica.pid is not None
        stage.gateway.busy.update({"chat-v1-1": 2, "chat-v1-2": 1})
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.gateway.until(
            lambda: stage.gateway.states("chat") == {"chat-v1-1": READY, "chat-v1-2": DRAINING}
        )
        assert stage.manager.counts("chat", "v1").draining == 1
        assert lives(replica.pid)
        stage.gateway.finish("chat-v1-2")
        await stage.gateway.until(lambda: stage.gateway.states("chat") == {"chat-v1-1": READY})
        assert not lives(replica.pid)
        told = (await stage.journal.first("stopped")).message
        assert re.fullmatch(
            r"1 wanted; the least costly of 2: 1 in flight, 0 sessions, \d+s old", told
        )


async def test_growing_while_one_drains_starts_another(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.ready("chat-v1-1")
        stage.gateway.busy["chat-v1-1"] = 1
        stage.manager.set_desired("chat", {"v1": 0})
        await stage.journal.first("draining")
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.ready("chat-v1-2")
        assert stage.gateway.states("chat") == {"chat-v1-1": DRAINING, "chat-v1-2": READY}


async def test_a_drain_ends_at_its_timeout(tmp_path: Path) -> None:
    settings = pool(agent(tmp_path), drain_timeout="100ms")
    async with staged(tmp_path, config(chat=settings)) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.ready("chat-v1-1")
        stage.gateway.busy["chat-v1-1"] = 3
        stage.manager.set_desired("chat", {"v1": 0})
        told = (await stage.journal.first("stopped")).message
        assert told.startswith("0 wanted; ") and told.endswith("; 3 still in flight")


async def test_shutdown_shortens_a_longer_drain(tmp_path: Path) -> None:
    settings = config(chat=pool(agent(tmp_path), drain_timeout="1h"), drain_timeout="100ms")
    async with staged(tmp_path, settings, finish=False) as stage:
        stage.manager.set_desired("chat", {"v1": 2})
        await stage.ready("chat-v1-1")
        await stage.ready("chat-v1-2")
        stage.gateway.busy.update({"chat-v1-1": 1, "chat-v1-2": 1})
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.journal.first("draining")
    messages = [event.message for event in stage.journal.of("stopped")]
    late = "; 1 still in flight"
    assert all(message.endswith(late) for message in messages)
    assert {message.partition(";")[0] for message in messages} == {"1 wanted", "shutdown"}


async def test_an_operator_takes_one_out_and_it_is_replaced(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        await stage.ready("chat-v1-1")
        stage.gateway.busy["chat-v1-1"] = 1
        drained = stage.manager.drain("chat-v1-1")
        assert (drained.state, drained.note) == (DRAINING, "drained by the operator")
        assert stage.manager.drain("chat-v1-1").state is DRAINING
        await stage.ready("chat-v1-2")
        assert len(stage.journal.of("draining")) == 1
        with pytest.raises(UnknownNameError, match="there is no replica chat-v1-9"):
            stage.manager.drain("chat-v1-9")


async def test_a_suspected_one_is_checked_at_once(tmp_path: Path) -> None:
    settings = pool(agent(tmp_path))
    settings["health"] = {"interval": "1h", "fall": 1}
    async with staged(tmp_path, config(chat=settings)) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        replica = await stage.ready("chat-v1-1")
        await ask(replica, "sick")
        stage.manager.suspect("chat-v1-1")
        stage.manager.suspect("chat-v1-unknown")
        unhealthy = await stage.journal.first("unhealthy")
        assert unhealthy.message == "GET /healthz answered 500"
        assert stage.manager.counts("chat", "v1").unhealthy == 1


async def test_new_settings_replace_replicas_one_by_one_without_a_gap(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 2})
        await stage.ready("chat-v1-1")
        await stage.ready("chat-v1-2")
        before = len(stage.gateway.published)
        stage.manager.configure(config(chat=pool(agent(tmp_path, env={"MODEL": "next"}))))
        await stage.gateway.until(
            lambda: stage.gateway.states("chat") == {"chat-v1-3": READY, "chat-v1-4": READY}
        )
        for _, replicas in stage.gateway.published[before:]:
            states = [replica.state for replica in replicas]
            assert states.count(READY) >= 2
            assert len(states) - states.count(DRAINING) <= 3
        assert await ask(stage.gateway.now["chat"][0], "env/MODEL") == "next"


async def test_settings_that_concern_no_process_restart_none(tmp_path: Path) -> None:
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 1})
        replica = await stage.ready("chat-v1-1")
        stage.manager.configure(
            config(chat=pool(agent(tmp_path, stop_timeout="3s"), concurrency=7))
        )
        await stage.gateway.until(lambda: stage.gateway.now["chat"][0].slots == 7)
        assert stage.gateway.now["chat"][0].pid == replica.pid


async def test_a_removed_version_and_a_removed_pool_leave(tmp_path: Path) -> None:
    both = pool(agent(tmp_path), versions={"v1": {}, "v2": {}})
    one = pool(agent(tmp_path), versions={"v1": {}})
    async with staged(tmp_path, config(chat=both)) as stage:
        stage.manager.set_desired("chat", {"v1": 1, "v2": 1, "v3": 1})
        await stage.ready("chat-v1-1")
        await stage.ready("chat-v2-1")
        stage.manager.configure(config(chat=one))
        await stage.gateway.until(lambda: stage.gateway.states("chat") == {"chat-v1-1": READY})
        stage.manager.configure(config())
        await stage.gateway.until(lambda: stage.gateway.states("chat") == {})
        assert stage.alive() == set()


async def test_a_queue_worker_has_no_endpoint_and_is_healthy_while_it_runs(
    tmp_path: Path,
) -> None:
    driver = agent(tmp_path)
    driver["process"]["command"] = [sys.executable, "-S", str(tmp_path / "agent.py"), "0", "worker"]
    async with staged(tmp_path, config(routed=False, jobs=pool(driver))) as stage:
        stage.manager.set_desired("jobs", {"v1": 1})
        replica = await stage.ready("jobs-v1-1")
        assert (replica.host, replica.port) == ("", 0)
        assert replica.pid is not None
        os.kill(replica.pid, signal.SIGKILL)
        assert (await stage.journal.first("exited")).message == "killed by SIGKILL"


async def test_a_port_taken_by_another_program_is_replaced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = [taken]
        reserve = FreePorts.reserve
        monkeypatch.setattr(
            FreePorts, "reserve", lambda self, host: ports.pop() if ports else reserve(self, host)
        )
        settings = pool(agent(tmp_path))
        settings["health"] = {"interval": "50ms", "timeout": "10s"}
        async with staged(tmp_path, config(chat=settings)) as stage:
            stage.manager.set_desired("chat", {"v1": 1})
            replica = await stage.ready("chat-v1-1")
            assert replica.port != taken
            backoff = await stage.journal.first("backoff")
            assert backoff.message == (
                f"exit code 1 (port {taken} was taken by another program); next start in 0s"
            )


async def test_replicas_survive_the_daemon_and_are_adopted(tmp_path: Path, log: LogTap) -> None:
    settings: dict[str, Any] = {"chat": pool(agent(tmp_path, "children"))}
    (pid,) = await abandon(tmp_path, settings)
    assert lives(pid)
    (record,) = StateFiles(tmp_path / "state").records()
    await ask(record, "print/nobody-reads")
    async with staged(tmp_path, config(**settings)) as stage:
        replica = await stage.ready("chat-v1-1")
        assert replica.pid == pid
        await log.line(event="nobody-reads", replica="chat-v1-1", stream="stdout")
        assert [e.kind for e in stage.journal.events] == ["replica.adopted", "replica.ready"]
        await ask(replica, "print/still-here")
        await log.line(event="still-here", replica="chat-v1-1", stream="stdout")

        stage.manager.set_desired("chat", {"v1": 2})
        assert (await stage.ready("chat-v1-2")).port != replica.port
        kin = [int(kin) for kin in (await ask(replica, "kin")).split()]
        await ask(replica, "exit/5")
        assert (await stage.journal.first("exited")).message == "ended"
        assert [lives(pid) for pid in (pid, *kin)] == [False] * 3


async def test_an_adopted_one_is_stopped_like_any_other(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"chat": pool(agent(tmp_path, "children"))}
    (pid,) = await abandon(tmp_path, settings)
    async with staged(tmp_path, config(**settings)) as stage:
        replica = await stage.ready("chat-v1-1")
        kin = [int(kin) for kin in (await ask(replica, "kin")).split()]
        stage.manager.set_desired("chat", {"v1": 0})
        await stage.journal.first("stopped")
        assert [lives(pid) for pid in (pid, *kin)] == [False] * 3


REAPED = {
    "settings changed": ({"env": {"A": "1"}}, "chat", "its settings changed"),
    "pool gone": ({}, "talk", "its version is gone"),
}


@pytest.mark.parametrize(("change", "name", "reason"), REAPED.values(), ids=REAPED)
async def test_survivors_that_no_longer_fit_are_ended(
    tmp_path: Path, change: dict[str, object], name: str, reason: str
) -> None:
    settings = pool(agent(tmp_path, "children"))
    (pid,) = await abandon(tmp_path, {"chat": settings})
    changed: dict[str, Any] = {name: pool(agent(tmp_path, "children", **change))}
    async with staged(tmp_path, config(**changed)) as stage:
        assert len(stage.alive()) == 3
        reaped = await stage.journal.first("reaped")
        assert (reaped.replica, reaped.message) == ("chat-v1-1", reason)
        assert not lives(pid)
        assert stage.alive() == set()
        stage.manager.set_desired(name, {"v1": 1})
        await stage.ready("chat-v1-2" if name == "chat" else "talk-v1-1")


async def test_a_process_that_was_never_recorded_is_ended(tmp_path: Path) -> None:
    marks = {
        "HEADRACE_STATE_DIR": str((tmp_path / "state").resolve()),
        "HEADRACE_REPLICA": "chat-v1-1",
    }
    wait = "import signal; print(flush=True); signal.pause()"
    stray = await asyncio.create_subprocess_exec(
        sys.executable,
        "-S",
        "-c",
        wait,
        env={**os.environ, **marks},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert stray.stdout is not None
    await stray.stdout.readline()
    async with staged(tmp_path, config()) as stage:
        reaped = await stage.journal.first("reaped")
        assert reaped.message == "left behind without a leader on record"
        assert await stray.wait() == -signal.SIGTERM


async def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path, config()):
        with pytest.raises(StateDirInUseError):
            async with staged(tmp_path, config()):
                pass


def descriptors() -> list[str]:
    gc.collect()
    return sorted(
        target
        for fd in Path("/proc/self/fd").iterdir()
        if fd.is_symlink() and not (target := str(fd.readlink())).startswith("/proc")
    )


def children() -> set[str]:
    """Pids of this process's children, zombies included."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


async def test_nothing_is_left_after_stop(tmp_path: Path) -> None:
    before, others = descriptors(), children()
    async with staged(tmp_path, config(chat=pool(agent(tmp_path)))) as stage:
        stage.manager.set_desired("chat", {"v1": 3})
        for number in (1, 2, 3):
            await stage.ready(f"chat-v1-{number}")
        assert len(descriptors()) > len(before)
        assert len(children()) >= len(others) + 3
    assert descriptors() == before
    left = sorted(path.name for path in (tmp_path / "state" / "replicas").iterdir())
    assert left == ["lock", "names.json"]
    assert children() <= others
