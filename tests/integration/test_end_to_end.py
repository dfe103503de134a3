"""The whole machine: gateway, scaler, drivers and store, with real agents under load."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.daemon import ROOT, Load, agent, complete, daemon, left_behind
from tests.support.ports import free_port
from tests.support.servers import prometheus_server, redis_client, redis_server
from tests.support.waiting import wait_until

SUPPORT = "/v1/support"


def one_pool(**pool: Any) -> dict[str, Any]:
    settings = {"driver": agent(), "health": {"interval": "200ms"}, **pool}
    routes = [{"match": {"path": "/v1"}, "pool": "support"}]
    return {"routes": routes, "pools": {"support": settings}}


def canary(v1: int, v2: int) -> dict[str, Any]:
    return one_pool(
        versions={"v1": {"weight": v1}, "v2": {"weight": v2}}, scale={"min": 2, "max": 4}
    )


async def test_traffic_is_split_as_weighted(tmp_path: Path) -> None:
    async with daemon(tmp_path, canary(95, 5)) as running:
        await running.until_ready("support", 2)
        load = await Load(running.url + SUPPORT).requests(1000, clients=16)
    assert load.failures == []
    assert load.served_by == {"support/v1": 950, "support/v2": 50}


async def test_a_weight_edited_under_load_takes_effect_within_a_second(tmp_path: Path) -> None:
    async with daemon(tmp_path, canary(95, 5)) as running:
        await running.until_ready("support", 2)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=8):
            await load.served(200)
            running.write(complete(canary(0, 100)))
            edited = asyncio.get_running_loop().time()
            await running.until(lambda s: s["generation"] == 2, "the new generation", timeout=1)
            took = asyncio.get_running_loop().time() - edited
            load.served_by.clear()
            await load.served(200)
            # what was on its way to v1 at that moment, at most one a client
            assert load.served_by["support/v1"] <= 8
            assert load.served_by["support/v2"] >= 192
    assert took < 1.0
    assert load.failures == []


async def test_weight_zero_is_reached_by_name_only(tmp_path: Path) -> None:
    async with daemon(tmp_path, canary(100, 0)) as running, aiohttp.ClientSession() as session:
        await running.until(lambda s: s["pools"][0]["versions"][0]["ready"] > 0, "v1 is ready")
        # v2 has no replica yet: the request waits while one starts
        body, named = {"question": "x"}, {"X-Headrace-Version": "v2"}
        async with session.post(running.url + SUPPORT, json=body, headers=named) as reply:
            assert (reply.status, reply.headers["X-Served-By"]) == (200, "support/v2")
        load = await Load(running.url + SUPPORT).requests(200, clients=8)
    assert load.served_by == {"support/v1": 200}


async def test_an_invalid_edit_keeps_the_last_good_generation(tmp_path: Path) -> None:
    async with daemon(tmp_path, canary(95, 5)) as running:
        await running.until_ready("support", 2)
        broken = complete(canary(95, 5))
        broken["pools"]["support"]["wieght"] = 1
        running.write(broken)
        await running.until(lambda s: s["rejected"], "the edit is rejected", timeout=2)
        status = await running.status()
        load = await Load(running.url + SUPPORT).requests(50, clients=4)
        metrics = await running.metrics()
        running.write(complete(canary(50, 50)))
        await running.until(lambda s: s["generation"] == 2, "the good edit applies", timeout=2)
        good = await running.status()
    assert status["generation"] == 1
    assert "headrace.yaml:" in status["rejected"] and "wieght" in status["rejected"]
    assert "headrace_config_last_reload_successful 0.0" in metrics
    assert load.failures == []
    assert good["rejected"] is None


async def test_load_beyond_capacity_adds_replicas_and_its_end_removes_them(tmp_path: Path) -> None:
    config = one_pool(
        driver=agent("--latency", "50ms", "--concurrency", "2"),
        concurrency=2,
        queue={"limit": 500, "timeout": "20s"},
        scale={"min": 1, "max": 4, "stabilization": "1s", "down": {"replicas": 4, "period": "1s"}},
    )
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 1)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=10):
            begin = asyncio.get_running_loop().time()
            await running.until(
                lambda s: s["pools"][0]["versions"][0]["ready"] >= 2, "more replicas", timeout=8
            )
            grew = asyncio.get_running_loop().time() - begin
            await running.until_ready("support", 4)
        await running.until_ready("support", 1, timeout=15)
        decisions = await running.decisions("support")
    assert grew < 5.0
    assert load.failures == []
    assert {"up", "down"} <= {d["direction"] for d in decisions}
    assert all(d["reason"] for d in decisions)


async def test_a_pool_at_zero_starts_for_the_first_request_and_goes_back(tmp_path: Path) -> None:
    config = one_pool(
        queue={"timeout": "15s"},
        scale={"min": 0, "max": 2, "stabilization": "1s", "down": {"replicas": 2, "period": "1s"}},
    )
    async with daemon(tmp_path, config) as running:
        load = await Load(running.url + SUPPORT).requests(5, clients=5)
        assert load.failures == []
        await running.until_ready("support", 0, timeout=20)


async def test_the_store_gone_and_back_under_load_loses_no_request(tmp_path: Path) -> None:
    port = free_port()
    config = {**canary(50, 50), "store": f"redis://127.0.0.1:{port}/0"}
    async with redis_server(tmp_path, port=port) as (_, store), daemon(tmp_path, config) as running:
        await running.until_ready("support", 2)
        await running.until(lambda s: s["store_connected"], "the store is connected")
        load = Load(running.url + SUPPORT)
        async with load.running(clients=8):
            await load.served(100)
            store.kill()
            await running.until(lambda s: not s["store_connected"], "the loss shows")
            await load.served(100)
            # decisions, reloads and the admin API go on without it
            running.write(complete({**config, "pools": canary(0, 100)["pools"]}))
            await running.until(lambda s: s["generation"] == 2, "a reload without the store")
            async with redis_server(tmp_path, port=port):
                await running.until(lambda s: s["store_connected"], "the store is back")
                await load.served(100)
                kinds = [event["kind"] for event in await running.events()]
    assert load.failures == []
    # what happened meanwhile was kept and delivered
    assert {"store.lost", "config.applied", "store.connected"} <= set(kinds)


async def test_the_embedded_store_killed_under_load_comes_back_with_its_journal(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / ".state/store/valkey.pid"
    async with daemon(tmp_path, canary(50, 50)) as running:
        await running.until_ready("support", 2)
        await running.until(lambda s: s["store_connected"], "the store is connected")
        before = int(pid_file.read_text())
        load = Load(running.url + SUPPORT)
        async with load.running(clients=8):
            await load.served(100)
            os.kill(before, signal.SIGKILL)

            def restarted() -> bool:
                text = pid_file.read_text().strip() if pid_file.exists() else ""
                return text.isdigit() and int(text) != before

            await wait_until(restarted, "another server")
            await load.served(100)
            await running.until(lambda s: s["store_connected"], "the store is back")
        kinds = [event["kind"] for event in await running.events()]
    assert load.failures == []
    assert kinds.count("replica.ready") == 2


async def test_a_killed_replica_is_replaced_and_the_other_serves_on(tmp_path: Path) -> None:
    config = one_pool(scale={"min": 2, "max": 2})
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 2)
        before = {r["name"]: r["pid"] for r in (await running.pool("support"))["replicas"]}
        victim = min(before)
        url = running.url + "/v1/stats"
        async with aiohttp.ClientSession() as session:
            os.kill(before[victim], signal.SIGKILL)
            # GET may be repeated, so none fails while a replica lives
            for _ in range(200):
                async with session.get(running.url + "/v1/none") as reply:
                    assert reply.status == 404, (url, await reply.text())

        def replaced(status: dict[str, Any]) -> bool:
            now = {r["name"]: r for r in status["pools"][0]["replicas"]}
            return now[victim]["pid"] not in (None, before[victim]) and (
                now[victim]["state"] == "ready"
            )

        await running.until(replaced, "the replica is back")
        kinds = {event["kind"] for event in await running.events()}
    assert {"replica.exited", "replica.backoff"} <= kinds


async def test_sigterm_finishes_streams_and_leaves_nothing(tmp_path: Path) -> None:
    config = one_pool(driver=agent("--latency", "800ms"))
    async with daemon(tmp_path, config) as running, aiohttp.ClientSession() as session:
        await running.until_ready("support", 1)
        body = {"question": "x", "stream": True}
        async with session.post(running.url + SUPPORT, json=body) as reply:
            first = await reply.content.readany()
            code = asyncio.create_task(running.stop())
            whole = first + await reply.read()
        assert whole.endswith(b"data: [DONE]\n\n")
        assert await code == 0
        assert left_behind(tmp_path) == []


async def test_replicas_outlive_a_killed_daemon_and_are_adopted(tmp_path: Path) -> None:
    config = one_pool(scale={"min": 2, "max": 2})
    async with daemon(tmp_path, config) as first:
        await first.until_ready("support", 2)
        before = {r["name"]: r["pid"] for r in (await first.pool("support"))["replicas"]}
        first.process.kill()
        await first.process.exit_code()
        async with daemon(tmp_path, config) as second:
            await second.until_ready("support", 2)
            after = {r["name"]: r["pid"] for r in (await second.pool("support"))["replicas"]}
            load = await Load(second.url + SUPPORT).requests(100, clients=4)
            assert await second.stop() == 0
        assert left_behind(tmp_path) == []
    assert after == before
    assert load.failures == []


async def test_a_killed_worker_is_replaced_on_the_same_socket(tmp_path: Path) -> None:
    async with daemon(tmp_path, one_pool()) as running:
        await running.until_ready("support", 1)
        pid = (await running.status())["workers"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        # connections made in between wait in the backlog: none is refused
        load = await Load(running.url + SUPPORT).requests(50, clients=4)
        status = await running.status()
    assert load.failures == []
    assert status["workers"][0]["pid"] != pid
    assert status["workers"][0]["restarts"] == 1


async def test_workers_of_a_queue_follow_the_backlog(tmp_path: Path) -> None:

    stream = {"stream": "jobs:summarize", "group": "workers", "per_replica": 5}
    config = {
        "pools": {
            "summarize": {
                "driver": {
                    "process": {
                        "command": [
                            sys.executable,
                            str(ROOT / "examples/worker.py"),
                            "--stream",
                            "jobs:summarize",
                            "--latency",
                            "100ms",
                        ],
                    }
                },
                "health": {"path": None},
                "scale": {
                    "min": 0,
                    "max": 3,
                    "signals": [{"redis": stream}],
                    "tick": "200ms",
                    "stabilization": "1s",
                    "down": {"replicas": 3, "period": "1s"},
                },
            }
        }
    }
    async with daemon(tmp_path, config) as running:
        await running.until(lambda s: s["store_connected"], "the store is connected")
        url = f"unix://{await _socket(tmp_path)}"
        async with redis_client(url) as redis:
            await redis.xgroup_create("jobs:summarize", "workers", id="0", mkstream=True)
            for number in range(40):
                await redis.xadd("jobs:summarize", {"text": f"job {number}: a long text."})
            await running.until(
                lambda s: s["pools"][0]["versions"][0]["ready"] >= 2, "workers start"
            )

            async def done() -> bool:
                groups = await redis.xinfo_groups("jobs:summarize")
                return groups[0]["pending"] == 0 and groups[0]["lag"] == 0

            await wait_until(done, "all jobs are done", timeout=20)
            await running.until_ready("summarize", 0, timeout=20)


async def _socket(directory: Path) -> Path:
    found = [path for path in (directory / ".state").rglob("*.sock*") if path.is_socket()]
    if found:
        return found[0]
    raise AssertionError("the store's socket is elsewhere: the path of the test is too long")


async def test_two_workers_serve_and_reload(tmp_path: Path) -> None:
    config = {**canary(50, 50), "workers": 2}
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 2)
        load = Load(running.url + SUPPORT)
        async with load.running(clients=16):
            await load.served(200)
            running.write(complete({**canary(0, 100), "workers": 2}))
            await running.until(
                lambda s: [w["generation"] for w in s["workers"]] == [2, 2], "both have it"
            )
            await load.served(200)
    assert load.failures == []


async def test_a_prometheus_query_sizes_a_pool_and_its_loss_shrinks_nothing(tmp_path: Path) -> None:
    queries = tmp_path / "prometheus"
    queries.mkdir()
    async with prometheus_server(queries) as (url, server):
        signal_ = {"prometheus": {"query": "vector(12)", "per_replica": 4}}
        config = {
            **one_pool(
                scale={
                    "min": 1,
                    "max": 5,
                    "signals": [signal_],
                    "tick": "100ms",
                    "stabilization": "0s",
                }
            ),
            "prometheus": url,
        }
        async with daemon(tmp_path, config) as running:
            await running.until_ready("support", 3)
            server.kill()
            await running.until(lambda s: s["pools"][0]["lost_signals"], "the loss shows")
            seen = (await running.version("support"))["decision"]["at"]

            def ticked(status: dict[str, Any]) -> bool:
                decision = status["pools"][0]["versions"][0]["decision"]
                return bool(decision["at"] > seen + 0.5)

            await running.until(ticked, "some ticks without the signal")
            assert (await running.version("support"))["desired"] == 3
            kinds = {event["kind"] for event in await running.events()}
            metrics = await running.metrics()
    assert "signal.lost" in kinds
    assert 'headrace_signal_lost{pool="support"} 1.0' in metrics
