"""Weights that wait, dry runs and the way to zero, on a real daemon with real agents."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.daemon import Load, agent, complete, daemon
from tests.support.waiting import wait_until

PATH = "/v1/support"


def one_pool(**pool: Any) -> dict[str, Any]:
    settings = {"driver": agent(), "health": {"interval": "200ms"}, **pool}
    routes = [{"match": {"path": "/v1"}, "pool": "support"}]
    return {"routes": routes, "pools": {"support": settings}}


def shifting(v1: int, v2: int, **scale: Any) -> dict[str, Any]:
    """Two slots a replica, and requests that take 100 ms."""
    return one_pool(
        driver=agent("--latency", "100ms", "--concurrency", "2"),
        concurrency=2,
        versions={"v1": {"weight": v1}, "v2": {"weight": v2}},
        queue={"limit": 500, "timeout": "20s"},
        scale={"min": 4, "max": 12, "policy": "target", "tick": "200ms", **scale},
    )


async def test_a_canary_has_its_replicas_before_its_weight_moves(tmp_path: Path) -> None:
    async with daemon(tmp_path, shifting(100, 0)) as running:
        await running.until_ready("support", 4)
        load = Load(running.url + PATH)
        async with load.running(clients=6):
            await load.served(30)
            running.write(complete(shifting(50, 50)))
            await running.until(lambda s: s["generation"] == 2, "the new generation")

            def in_force(status: dict[str, Any]) -> bool:
                return bool(status["pools"][0]["versions"][1]["effective_weight"] == 50)

            await running.until(in_force, "the weight moves")
            ready = (await running.version("support", "v2"))["ready"]
            load.served_by.clear()
            await load.served(40)
        events = await running.events()
    moves = [e for e in events if e["kind"].startswith("weights.")]
    assert [e["kind"] for e in moves] == ["weights.moved", "weights.waiting"]
    assert "of" in moves[1]["message"] and "ready" in moves[1]["message"]
    assert ready >= 2
    assert load.failures == []
    assert load.served_by["support/v2"] >= 10


async def test_a_weight_that_waits_too_long_moves_and_says_so(tmp_path: Path) -> None:
    """v2 never becomes healthy; its share then waits in the queue no longer than for v1."""
    broken = {"weight": 0, "driver": {"process": {"command": ["sleep", "1000"]}}}
    config = shifting(100, 0, shift_timeout="500ms")
    config["pools"]["support"]["versions"]["v2"] = broken
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 4)
        url = f"{running.admin}/v1/pools/support/weights"
        async with session.put(url, json={"v2": 100}) as reply:
            pool = await reply.json()
        assert pool["weights_waiting"] == "v2 (0 of 1 ready)"

        async def moved() -> bool:
            return (await running.pool("support"))["weights_waiting"] == ""

        await wait_until(moved, "the weights move")
        events = await running.events()
        load = await Load(running.url + PATH).requests(20, clients=4)
    message = next(e["message"] for e in events if e["kind"] == "weights.moved")
    assert message == "v1=100 v2=100 are in force though v2 (0 of 1 ready) took too long"
    assert load.served_by == {"support/v1": 20}, "a version without a replica is passed over"


async def test_a_dry_run_decides_and_changes_nothing(tmp_path: Path) -> None:
    config = one_pool(
        driver=agent("--latency", "50ms", "--concurrency", "1"),
        concurrency=1,
        queue={"limit": 100, "timeout": "20s"},
        scale={"min": 1, "max": 4, "policy": "target", "tick": "200ms", "dry_run": True},
    )
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 1)
        load = Load(running.url + PATH)
        async with load.running(clients=8):

            def decided(status: dict[str, Any]) -> bool:
                return bool(status["pools"][0]["versions"][0]["decided"] > 1)

            await running.until(decided, "more is decided")
            await load.served(10)
            version = await running.version("support")
            metrics = await running.metrics()
        decisions = await running.decisions("support")
        async with session.get(f"{running.admin}/v1/pools/support/explain") as reply:
            (explained,) = await reply.json()
        at = explained["at"] + 1
        async with session.get(f"{running.admin}/v1/pools/support/explain?at={at}") as reply:
            (journalled,) = await reply.json()
    assert (version["desired"], version["ready"], len(version["decision"]["proposals"])) == (
        1,
        1,
        1,
    )
    assert 'headrace_scale_dry_run{pool="support"} 1.0' in metrics
    assert 'headrace_replicas_desired{pool="support",version="v1"} 1.0' in metrics
    marked = [d for d in decisions if d["dry_run"]]
    assert marked and all(d["seen"]["queued"] >= 0 for d in marked)
    assert explained["dry_run"] and explained["seen"]["slots"] == 1
    assert journalled["at"] <= at and journalled["seen"] is not None
    assert load.failures == []


async def test_no_request_is_lost_when_the_last_replica_goes(tmp_path: Path) -> None:
    """Requests come about as often as the pool closes, so that many meet it closing."""
    config = one_pool(
        queue={"limit": 100, "timeout": "20s"},
        scale={
            "min": 0,
            "max": 1,
            "policy": "target",
            "tick": "100ms",
            "stabilization": "0s",
            "idle": "200ms",
        },
    )
    statuses = []
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        body = json.dumps({"question": "x"})
        headers = {"Content-Type": "application/json"}
        for step in range(12):
            async with session.post(running.url + PATH, data=body, headers=headers) as reply:
                statuses.append(reply.status)
            await asyncio.sleep(0.2 + step * 0.02)
        await running.until_ready("support", 0)
        downs = [d for d in await running.decisions("support") if d["desired"] == 0]
    assert statuses == [200] * 12
    assert downs, "the pool has closed"


async def test_packed_requests_leave_idle_victims_that_go_at_once(tmp_path: Path) -> None:
    """Spread, the three requests would keep every replica busy; packed, two have none."""
    config = one_pool(
        driver=agent("--latency", "6s", "--concurrency", "4"),
        concurrency=4,
        scale={"min": 3, "max": 3, "policy": "target", "pack": "always"},
    )
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 3)
        oldest = min(r["name"] for r in (await running.pool("support"))["replicas"])
        load = Load(running.url + PATH)
        requests = asyncio.create_task(load.requests(3, clients=3))

        async def busy() -> bool:
            return bool((await running.version("support"))["in_flight"] == 3)

        await wait_until(busy, "three requests are under way")
        url = f"{running.admin}/v1/pools/support/scale"
        async with session.put(url, json={"replicas": 1}) as reply:
            assert reply.status == 200

        async def gone() -> bool:
            return len((await running.pool("support"))["replicas"]) == 1

        await wait_until(gone, "the victims are gone")
        pool = await running.pool("support")
        await requests
    assert pool["versions"][0]["in_flight"] == 3, "they went while the requests ran"
    assert [r["name"] for r in pool["replicas"]] == [oldest]
    assert load.failures == []
