"""Several daemons that scale together: leaders that die, stop and wake, stores that go away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.cluster_kit import (
    PATIENCE,
    Watch,
    alive,
    cluster,
    config,
    desired,
    held,
    pids,
    role,
    standing,
    token,
)
from tests.chaos.daemon_kit import SUPPORT
from tests.support.daemon import Daemon, Load, daemon
from tests.support.ports import free_port
from tests.support.processes import Spawned
from tests.support.servers import redis_server
from tests.support.waiting import wait_until

FAILOVER = 5.0
"""Seconds within which another daemon must lead."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[str, Spawned]]:
    async with redis_server(tmp_path) as (url, server):
        yield url, server


async def _sizes(daemons: dict[str, Daemon]) -> list[int]:
    return [await desired(running) for running in daemons.values()]


async def _until_total(daemons: dict[str, Daemon], total: int) -> None:
    async def met() -> bool:
        ready = [len(await pids(running)) for running in daemons.values()]
        return sum(await _sizes(daemons)) == total and sum(ready) == total

    await wait_until(met, f"{total} replicas in all", PATIENCE)


async def _tells(running: Daemon, size: int) -> bool:
    """Whether it explains what was decided last, by whichever daemon leads."""
    return [d["desired"] for d in await running.explained("support")] == [size]


async def test_one_leads_and_all_together_have_the_size_that_was_set_at_any(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with cluster(tmp_path, store[0], ["a", "b", "c"]) as daemons:
        roles = [(await standing(running))["role"] for running in daemons.values()]
        assert roles == ["leader", "follower", "follower"]
        await held(daemons["b"], 5)
        await _until_total(daemons, 5)
        assert all(1 <= size <= 3 for size in await _sizes(daemons))
        await held(daemons["c"], None)
        await _until_total(daemons, 2)
        assert {(await standing(running))["leader"] for running in daemons.values()} == {"a"}
        for name, running in daemons.items():
            await wait_until(lambda of=running: _tells(of, 2), f"{name} explains", PATIENCE)


async def test_another_leads_soon_after_the_leader_is_killed_and_every_replica_lives_on(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    url = store[0]
    async with cluster(tmp_path, url, ["a", "b"]) as daemons:
        a, b = daemons["a"], daemons["b"]
        await held(a, 4)
        await _until_total(daemons, 4)
        before = await pids(a) | await pids(b)
        async with Load(b.url + SUPPORT).running(2) as load, Watch(url).running() as watch:
            await load.served(1)
            killed = time.monotonic()
            a.process.kill()
            at, leader = await watch.taken_by_other_than("a")
            assert leader == "b"
            assert at - killed <= FAILOVER
            assert alive(before) == before
            status = await role(b, "leader")
            assert (status["token"], status["leader_changes"]) == (2, 1)
            # what was decided goes on: the size held by hand, now all of it at the one left
            await wait_until(lambda: _is(b, 4), "b has it all", PATIENCE)
            async with daemon(tmp_path / "a", config(url, "a")) as again:
                adopted = {r["pid"] for r in (await again.pool("support"))["replicas"]}
                assert adopted <= before
                await role(again, "follower")
                await _until_total({"a": again, "b": b}, 4)
                await load.served(1)
        assert load.failures == []
        kinds = [event["kind"] for event in await b.events()]
        assert "cluster.leader" in kinds


async def _is(running: Daemon, size: int) -> bool:
    return await desired(running) == size


async def test_a_leader_that_was_stopped_writes_and_scales_no_more_when_it_wakes(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with (
        cluster(tmp_path, store[0], ["a", "b"]) as daemons,
        Watch(store[0]).running() as watch,
    ):
        await _until_total(daemons, 2)
        leader = daemons["a"].process.pid
        os.kill(leader, signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            at, _ = await watch.taken_by_other_than("a")
            assert at - stopped <= FAILOVER
            await role(daemons["b"], "leader")
            await held(daemons["b"], 6)
            await wait_until(lambda: _is(daemons["b"], 6), "b has it all", PATIENCE)
            assert token(watch.plans[-1]) == 2
        finally:
            os.kill(leader, signal.SIGCONT)
        await role(daemons["a"], "follower")
        await _until_total(daemons, 6)
        assert [name for _, name in watch.leaders] == ["a", "b"]
        assert [token(plan) for plan in watch.plans] == sorted(map(token, watch.plans))


async def test_without_the_store_every_replica_stays_and_with_an_empty_one_it_goes_on(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        async with redis_server(tmp_path, port=port) as (url, server):
            daemons = await stack.enter_async_context(cluster(tmp_path, url, ["a", "b"]))
            await held(daemons["b"], 4)
            await _until_total(daemons, 4)
            before = [await pids(running) for running in daemons.values()]
            server.kill()
            for running in daemons.values():
                await role(running, "alone")
            assert "headrace_leader 0.0" in await daemons["a"].metrics()
        assert [await pids(running) for running in daemons.values()] == before
        async with redis_server(tmp_path, port=port), Watch(url).running() as watch:
            await wait_until(lambda: _roles(daemons, "follower", "leader"), "one leads", PATIENCE)
            await _until_total(daemons, 4)
            assert [await pids(running) for running in daemons.values()] == before
            assert len(watch.leaders) == 1


async def _roles(daemons: dict[str, Daemon], *wanted: str) -> bool:
    found = [(await standing(running))["role"] for running in daemons.values()]
    return sorted(found) == sorted(wanted)


async def test_a_store_that_hangs_makes_no_second_leader(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    url, server = store
    async with cluster(tmp_path, url, ["a", "b"]) as daemons, Watch(url).running() as watch:
        await held(daemons["a"], 4)
        await _until_total(daemons, 4)
        before = [await pids(running) for running in daemons.values()]
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for running in daemons.values():
                await role(running, "alone")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await wait_until(lambda: _roles(daemons, "follower", "leader"), "one leads", PATIENCE)
        await _until_total(daemons, 4)
        assert [await pids(running) for running in daemons.values()] == before
        plans = [token(plan) for plan in watch.plans]
        assert plans == sorted(plans)
