"""Several daemons that scale together: leaders that die, stop and wake, stores that go away."""

from __future__ import annotations

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
    desired,
    held,
    pids,
    role,
    standing,
    token,
)
from tests.support.daemon import Daemon
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


async def test_another_leads_soon_after_the_leader_is_killed_and_every_replica_lives_on(
    tmp_path: Path, store: tuple[str, Spawned]
) -> None:
    async with cluster(tmp_path, store[0], ["a", "b"]) as daemons:
        await held(daemons["a"], 4)
        await _until_total(daemons, 4)
        before = await pids(daemons["a"]) | await pids(daemons["b"])
        async with Watch(store[0]).running() as watch:
            killed = time.monotonic()
            daemons["a"].process.kill()
            at, leader = await watch.taken_by_other_than("a")
        assert leader == "b"
        assert at - killed <= FAILOVER
        assert alive(before) == before
        status = await role(daemons["b"], "leader")
        assert (status["token"], status["leader_changes"]) == (2, 1)
        # what was decided goes on: the size held by hand, now all of it at the one that is left
        await wait_until(lambda: _is(daemons["b"], 4), "b has it all", PATIENCE)


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
