"""Real daemons that were given the same keys of one redis-server by mistake."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster_kit import config as member
from tests.chaos.cluster_kit import held, role
from tests.chaos.daemon_kit import SUPPORT, one_pool
from tests.support.daemon import Daemon, Load, agent, daemon
from tests.support.servers import redis_client, redis_server
from tests.support.waiting import wait_until


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with redis_server(tmp_path) as (url, _):
        yield url


def config(url: str) -> dict[str, Any]:
    return {**one_pool(driver=agent(), scale={"min": 1, "max": 3}), "store": url}


def place(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir(exist_ok=True)
    return path


async def _taken(running: Daemon) -> str:
    """Wait until a daemon has told that its store is another's: what it said."""

    async def told() -> object:
        return [e for e in await running.events() if e["kind"] == "store.taken"]

    await wait_until(told, "the other daemon is noticed")
    return str((await running.events())[0]["message"])


async def test_a_second_daemon_on_one_store_says_so_serves_and_overwrites_nothing(
    tmp_path: Path, url: str
) -> None:
    async with daemon(place(tmp_path, "a"), config(url)) as first:
        await first.until(lambda s: s["store_connected"], "the store is connected")
        await held(first, 2)
        await first.until_ready("support", 2)
        async with daemon(place(tmp_path, "b"), config(url)) as second:
            message = await _taken(second)
            assert f"process {first.process.pid} on " in message
            assert "database of its own" in message
            status = await second.status()
            assert not status["store_connected"]
            assert str(first.process.pid) in status["store_owner"]
            await second.until_ready("support", 1)
            load = await Load(second.url + SUPPORT).requests(20, 2)
            assert load.failures == []
            await held(second, 3)
            await second.until_ready("support", 3)
            async with redis_client(url) as redis:
                assert '"replicas":2' in await redis.get("headrace:state:overrides")
                assert await redis.hlen("headrace:members:support") == 2
            assert (await first.status())["store_owner"] is None
            assert await first.stop() == 0
            await second.until(lambda s: s["store_connected"], "the store is the other's now")


async def test_a_daemon_that_was_killed_has_its_store_again_at_once(
    tmp_path: Path, url: str
) -> None:
    where = place(tmp_path, "a")
    async with daemon(where, config(url)) as first:
        await first.until(lambda s: s["store_connected"], "the store is connected")
        await held(first, 2)
        await first.until_ready("support", 2)
        first.process.kill()
        await first.process.exit_code(timeout=10)
        async with daemon(where, config(url)) as again:
            await again.until(lambda s: s["store_connected"], "the store is connected", timeout=3)
            await again.until_ready("support", 2)
            assert await again.decisions("support")
            assert "store.taken" not in [e["kind"] for e in await again.events()]


async def test_a_daemon_that_was_stopped_for_long_gives_way_when_it_wakes(
    tmp_path: Path, url: str
) -> None:
    async with daemon(place(tmp_path, "a"), config(url)) as first:
        await first.until(lambda s: s["store_connected"], "the store is connected")
        async with daemon(place(tmp_path, "b"), config(url)) as second:
            await _taken(second)
            first.process.process.send_signal(signal.SIGSTOP)
            try:
                await second.until(
                    lambda s: s["store_connected"], "the silent one is replaced", timeout=30
                )
            finally:
                first.process.process.send_signal(signal.SIGCONT)
            assert str(second.process.pid) in await _taken(first)
            assert (await second.status())["store_owner"] is None


async def test_a_second_member_of_one_name_stays_out_of_the_cluster(
    tmp_path: Path, url: str
) -> None:
    async with daemon(place(tmp_path, "a"), member(url, "a")) as first:
        await role(first, "leader")
        await first.until_ready("support", 2)
        async with daemon(place(tmp_path, "b"), member(url, "a")) as second:
            message = await _taken(second)
            assert "both are called a in cluster test" in message
            await role(second, "alone")
            await second.until_ready("support", 2)
            standing = (await first.status())["cluster"]
            assert (standing["role"], standing["members"]) == ("leader", ["a"])
            assert standing["leader_changes"] == 0


async def test_clusters_of_two_names_on_one_store_know_nothing_of_each_other(
    tmp_path: Path, url: str
) -> None:
    other = {**member(url, "a"), "cluster": {"name": "other", "member": "a", "lease": "2s"}}
    async with (
        daemon(place(tmp_path, "a"), member(url, "a")) as one,
        daemon(place(tmp_path, "b"), other) as two,
    ):
        await role(one, "leader")
        await role(two, "leader")
        await held(one, 3)
        await one.until_ready("support", 3)
        await two.until_ready("support", 2)
        kinds = [e["kind"] for e in await two.events()]
        assert "size.set" not in kinds
        assert "store.taken" not in kinds
