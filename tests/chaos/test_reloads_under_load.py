"""Reloads by the dozen, and reloads that turn everything over, while requests run."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from tests.chaos.daemon_kit import SUPPORT, ask, descriptors, one_pool, static_pool
from tests.support.daemon import Daemon, Load, agent, complete, daemon
from tests.support.ports import free_port


async def _applied(running: Daemon, config: dict[str, Any]) -> None:
    """Edit the file and have it reloaded, without waiting for the watch."""
    running.write(complete(config))
    status, said = await ask(running, "POST", "/v1/reload")
    assert (status, said["applied"]) == (200, True), said


def _weighted(v1: int, v2: int) -> dict[str, Any]:
    versions = {"v1": {"weight": v1}, "v2": {"weight": v2}}
    return one_pool(versions=versions, scale={"min": 2, "max": 2})


async def test_a_storm_of_edits_and_signals_loses_no_request_and_leaks_nothing(
    tmp_path: Path,
) -> None:
    async with daemon(tmp_path, _weighted(50, 50)) as running:
        await running.until_ready("support", 2)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=4):
            await load.served(50)
            worker = (await running.status())["workers"][0]["pid"]
            before = descriptors(running.process.pid), descriptors(worker)
            for number in range(50):
                broken = number % 10 == 5
                running.write(complete(_weighted(-1 if broken else 50, number)))
                os.kill(running.process.pid, signal.SIGHUP)
                await load.served(2)
            await running.until(
                lambda s: s["pools"][0]["versions"][1]["weight"] == 49, "the last edit applies"
            )
            await running.until_ready("support", 2)
            await load.served(50)
            # the last of the signals may still be at work
            await running.until(lambda s: s["ready"] and s["rejected"] is None, "it is quiet")
            status = await running.status()
            after = descriptors(running.process.pid), descriptors(worker)
    assert load.failures == []
    assert status["workers"][0]["restarts"] == 0
    # connections of probes and clients come and go
    assert max(now - then for now, then in zip(after, before, strict=True)) <= 6


async def test_addresses_that_come_and_go_leave_no_socket_behind(tmp_path: Path) -> None:
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    config = one_pool()
    async with daemon(tmp_path, config | {"listen": first}) as running:
        await running.until_ready("support", 1)
        for addresses in ([second], [first], [first, second], [second], [first]) * 3:
            await _applied(running, config | {"listen": addresses})
            for address in (first, second):
                if address in addresses:
                    load = await Load(f"http://{address}{SUPPORT}").requests(2, clients=1)
                    assert load.failures == []
                else:
                    assert not await _answers(address)
        assert (await running.status())["listen"] == [first]


async def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_renamed_versions_pools_and_other_drivers_lose_no_request(tmp_path: Path) -> None:
    async with daemon(tmp_path / "", one_pool()) as upstream:
        await upstream.until_ready("support", 1)
        own = tmp_path / "own"
        own.mkdir()
        renamed = one_pool(versions={"v9": {"weight": 1}})
        moved = {
            "routes": [{"match": {"path": "/"}, "pool": "other"}],
            "pools": {"other": renamed["pools"]["support"]},
        }
        fixed = one_pool(driver={"static": {"endpoints": [upstream.url]}})
        async with daemon(own, one_pool()) as running:
            await running.until_ready("support", 1)
            load = Load(running.url + SUPPORT)
            async with load.running(clients=4):
                for config in (renamed, one_pool(), fixed, one_pool(), moved, fixed):
                    await load.served(20)
                    await _applied(running, config)
                await load.served(20)
            status = await running.status()
    # a pool that vanishes sends away who waits in its queue, and says why
    assert [f for f in load.failures if "pool_removed" not in f] == []
    assert [p["pool"] for p in status["pools"]] == ["support"]


async def test_a_stream_outlives_the_removal_and_return_of_its_version(tmp_path: Path) -> None:
    both = one_pool(
        driver=agent("--latency", "1500ms"),
        versions={"v1": {"weight": 0}, "v2": {"weight": 100}},
        scale={"min": 1, "max": 2},
    )
    alone = one_pool(driver=agent("--latency", "1500ms"), versions={"v1": {"weight": 100}})
    for config in (both, alone):
        # at SIGTERM this agent would finish; killed at once it cannot
        config["pools"]["support"]["driver"]["process"]["stop_timeout"] = "1ms"
    async with daemon(tmp_path, both) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 1)
        body = {"question": "x", "stream": True}
        async with session.post(running.url + SUPPORT, json=body) as reply:
            text = await reply.content.readany()
            await _applied(running, alone)
            await _applied(running, both)
            text += await reply.read()
    assert text.endswith(b"data: [DONE]\n\n")


def _restarted(times: int, status: dict[str, Any]) -> bool:
    return bool(status["ready"] and sum(w["restarts"] for w in status["workers"]) == times)


async def test_two_workers_killed_in_turn_keep_one_slot_one_slot(tmp_path: Path) -> None:
    config = one_pool(
        driver=agent("--latency", "5ms", "--concurrency", "8"),
        concurrency=1,
        queue={"limit": 500, "timeout": "5s"},
        scale={"min": 1, "max": 1},
    ) | {"workers": 2}
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 1)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=8):
            for turn in range(4):
                await load.served(20)
                workers = (await running.status())["workers"]
                os.kill(workers[turn % 2]["pid"], signal.SIGKILL)
                await running.until(partial(_restarted, turn + 1), "it is back")
        after = await Load(running.url + SUPPORT).requests(60, clients=6)
        url = running.url + "/stats"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            stats = await reply.json()
        await running.until(
            lambda s: all(v["in_flight"] == v["queued"] == 0 for v in s["pools"][0]["versions"]),
            "all is given back",
        )
    # none was lost: else nothing would be served any more
    assert after.failures == []
    # none was given back twice; a request whose worker died may still run at the agent
    assert stats["most_running"] <= 3


async def test_slots_raised_and_lowered_under_load_end_as_configured(tmp_path: Path) -> None:
    def config(slots: int) -> dict[str, Any]:
        driver = agent("--latency", "5ms", "--concurrency", "16")
        pool = one_pool(driver=driver, concurrency=slots, scale={"min": 1, "max": 1})
        return pool | {"workers": 2}

    async with daemon(tmp_path, config(4)) as running:
        await running.until_ready("support", 1)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=8):
            for slots in (1, 8, 2, 6, 1):
                await load.served(20)
                await _applied(running, config(slots))
        # asked of the agent itself, beside the gateway: a sum over two workers' rows is no snapshot
        port = (await running.pool("support"))["replicas"][0]["port"]
        slow = Load(running.url + SUPPORT)
        seen = 0
        async with slow.running(clients=8), aiohttp.ClientSession() as session:
            for _ in range(20):
                await slow.served(2)
                async with session.get(f"http://127.0.0.1:{port}/stats") as reply:
                    stats = await reply.json()
                seen = max(seen, stats["running"] + stats["waiting"])
        status = await running.version("support")
    assert load.failures == [] and slow.failures == []
    assert (status["slots"], seen) == (1, 1)


async def test_the_log_changes_its_form_and_level_with_the_file(tmp_path: Path) -> None:
    config = static_pool()
    async with daemon(tmp_path, config) as running:
        await _applied(running, config | {"log": {"format": "console"}})
        await running.process.line(r"INFO +event: generation \d+ replaces")
        await _applied(running, config | {"log": {"format": "console", "level": "error"}})
        quiet = len(running.process.lines)
        await _applied(running, config | {"drain_timeout": "4s", "log": {"level": "error"}})
        assert [line for line in running.process.lines[quiet:] if "drain" in line] == []
        assert await running.stop() == 0
    assert "stopped" not in running.process.lines[-1]
