"""What was set by hand: over restarts, edits of the file, late stores and garbage in the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace import overrides
from headrace.overrides import Overrides, SizeOverride, WeightOverride
from tests.chaos.daemon_kit import ROUTES, ask, one_pool, static_pool
from tests.chaos.gateway_kit import config
from tests.support.daemon import complete, daemon
from tests.support.ports import free_port
from tests.support.servers import redis_client, redis_server

NOW = 1_000_000.0
FILE = {"v1": 95, "v2": 5}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param(b'{"weights":{"\xff":{"weights":{},"file":{}}}}', id="a key not in UTF-8"),
        pytest.param(b"[" * 5000, id="nested too deep"),
        pytest.param(b'{"weights":[]}', id="another shape"),
        pytest.param(
            b'{"weights":{"a":{"weights":{"v1":-5},"file":{"v1":95,"v2":5}}}}',
            id="a weight below 0",
        ),
        pytest.param(
            b'{"weights":{"a":{"weights":{"v9":5},"file":{"v1":95,"v2":5}}}}',
            id="a version that is not there",
        ),
        pytest.param(b'{"sizes":{"a":{"replicas":-3,"until":null}}}', id="a size below 0"),
        pytest.param(b'{"sizes":{"a":{"replicas":999999,"until":null}}}', id="a size too large"),
        pytest.param(b'{"sizes":{"z":{"replicas":1,"until":null}}}', id="a pool that is gone"),
        pytest.param(b'{"sizes":{"a":{"replicas":1,"until":1.0}}}', id="one that has ended"),
    ],
)
def test_what_makes_no_sense_in_the_store_counts_as_none(data: bytes) -> None:
    assert overrides.decode(data).fitting(config(FILE), NOW) == Overrides()


def test_what_was_set_since_the_start_outranks_what_was_set_before() -> None:
    def weight(v1: int) -> WeightOverride:
        return WeightOverride({"v1": v1}, FILE)

    older = Overrides(
        {"a": weight(1), "b": weight(2), "c": weight(3)}, {"a": SizeOverride(1, None)}
    )
    since = Overrides({"a": weight(7)}, {"b": SizeOverride(2, None)})
    merged = since.over(older, weights={"a", "c"}, sizes={"b"})
    assert merged.weights == {"a": weight(7), "b": weight(2)}
    assert merged.sizes == {"a": SizeOverride(1, None), "b": SizeOverride(2, None)}


def _two_versions(v1: int, v2: int) -> dict[str, Any]:
    whole = static_pool()
    whole["pools"]["support"]["versions"] = {"v1": {"weight": v1}, "v2": {"weight": v2}}
    return whole


async def test_weights_set_by_hand_survive_a_restart_and_lose_to_an_edit_for_good(
    tmp_path: Path,
) -> None:
    async def overridden() -> tuple[bool, int]:
        pool = await running.pool("support")
        return pool["weights_overridden"], pool["versions"][0]["weight"]

    async with daemon(tmp_path, _two_versions(95, 5)) as running:
        await running.until(lambda s: s["store_connected"], "the store is connected")
        assert (await ask(running, "PUT", "/v1/pools/support/weights", {"v1": 10}))[0] == 200
    async with daemon(tmp_path, _two_versions(95, 5)) as running:
        await running.until(lambda s: s["pools"][0]["weights_overridden"], "it is taken up")
        assert await overridden() == (True, 10)
        running.write(complete(_two_versions(90, 10)))
        await running.until(lambda s: s["generation"] == 2, "the edit applies")
        assert await overridden() == (False, 90)
        running.write(complete(_two_versions(95, 5)))
        await running.until(lambda s: s["generation"] == 3, "the edit is taken back")
        assert await overridden() == (False, 95)
    async with daemon(tmp_path, _two_versions(95, 5)) as running:
        await running.process.line("overrides taken up")
        assert (await ask(running, "PUT", "/v1/pools/support/weights", {"v2": 6}))[0] == 200
        assert await overridden() == (True, 95)


async def test_a_size_held_by_hand_goes_with_its_pool(tmp_path: Path) -> None:
    config = one_pool(scale={"min": 1, "max": 3, "stabilization": "0s", "tick": "100ms"})
    without: dict[str, Any] = {"routes": [], "pools": {}}
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 1)
        await ask(running, "PUT", "/v1/pools/support/scale", {"replicas": 2})
        await running.until_ready("support", 2)
        running.write(complete(without))
        await running.until(lambda s: s["generation"] == 2, "the pool is removed")
        running.write(complete(config))
        await running.until(lambda s: s["generation"] == 3, "the pool is back")
        await running.until_ready("support", 1)
        decisions = await running.decisions("support")
        assert (await running.pool("support"))["scale_override"] is None
    assert "by hand" not in decisions[0]["reason"]


async def test_overrides_of_a_store_that_comes_late_are_taken_up(tmp_path: Path) -> None:
    port = free_port()
    whole = {**_two_versions(95, 5), "store": f"redis://127.0.0.1:{port}/0"}
    stored = Overrides({"support": WeightOverride({"v1": 33}, FILE)})
    async with daemon(tmp_path, whole) as running:
        await running.process.line("store.lost")
        await ask(running, "PUT", "/v1/pools/support/scale", {"replicas": 1})
        async with redis_server(tmp_path, port=port) as (url, _), redis_client(url) as redis:
            await redis.set("headrace:state:overrides", overrides.encode(stored))
            await running.until(lambda s: s["pools"][0]["weights_overridden"], "taken up")
            pool = await running.pool("support")
    assert [v["weight"] for v in pool["versions"]] == [33, 5]


async def test_a_store_that_comes_late_leaves_weights_that_wait_alone(tmp_path: Path) -> None:
    port, away = free_port(), free_port()
    sleeping = {"process": {"command": ["sleep", "600", "{port}"], "start_timeout": "10m"}}
    here = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", away)

    def split(v2: int) -> dict[str, Any]:
        static = {"static": {"endpoints": [f"http://127.0.0.1:{away}"]}}
        versions = {
            "v1": {"weight": 100, "driver": static},
            "v2": {"weight": v2, "driver": sleeping},
        }
        pool = {"versions": versions, "scale": {"min": 0}, "health": {"path": None}}
        whole = {"routes": ROUTES, "pools": {"support": pool}}
        return {**whole, "store": f"redis://127.0.0.1:{port}/0"}

    async with here, daemon(tmp_path, split(0)) as running:
        await running.until_ready("support", 1)
        running.write(complete(split(100)))
        await running.until(lambda s: s["pools"][0]["weights_waiting"], "the edit waits")
        async with redis_server(tmp_path, port=port):
            await running.process.line("overrides taken up")
            assert (await running.pool("support"))["weights_waiting"]


async def test_garbage_in_the_store_stops_nothing(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as (url, _), redis_client(url) as redis:
        await redis.set("headrace:state:overrides", b'{"weights":{"\xff":{}}}')
        await redis.set("headrace:state:scaler", b'{"wall":1,"monotonic":1,"pools":{"\xff":{}}}')
        await redis.xadd("headrace:events", {"id": b"\xff", "json": b"{"})
        await redis.set("headrace:members:support", b"no hash")
        async with daemon(tmp_path, {**one_pool(), "store": url}) as running:
            await running.until_ready("support", 1)
            await running.until(lambda s: s["store_connected"], "the store is connected")
            kinds = {event["kind"] for event in await running.events()}
            assert await running.stop() == 0
    assert "replica.ready" in kinds
    assert "a part of the daemon failed" not in running.process.output
