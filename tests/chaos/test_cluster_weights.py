"""Weights set by hand at one member of a cluster, and what the others make of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster_kit import config as member
from tests.chaos.cluster_kit import role
from tests.chaos.daemon_kit import ask
from tests.support.daemon import Daemon, complete, daemon
from tests.support.servers import redis_server


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[str]:
    async with redis_server(tmp_path) as (url, _):
        yield url


def config(url: str, name: str, v2: int = 0, **scale: Any) -> dict[str, Any]:
    """v1 is ready everywhere, since it is whatever listens at the store's port; v2 nowhere."""
    whole = member(url, name, **{"min": 0, "max": 1, **scale})
    pool = whole["pools"]["support"]
    listening = url.replace("redis://", "http://").removesuffix("/0")
    sleeping = {"process": {"command": ["sleep", "600", "{port}"], "start_timeout": "10m"}}
    pool["versions"] = {
        "v1": {"weight": 100, "driver": {"static": {"endpoints": [listening]}}},
        "v2": {"weight": v2, "driver": sleeping},
    }
    del pool["driver"]
    pool["health"] = {"path": None, "interval": "200ms"}
    return whole


def place(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir()
    return path


async def begun(running: Daemon) -> None:
    """Wait until a daemon is a member, and v1 is ready and has all requests."""
    await running.until(lambda s: len(s["cluster"]["members"]) == 2, "both are members")
    await running.until_ready("support", 1)
    await split(running, {"v1": 100, "v2": 0})


async def split(running: Daemon, weights: dict[str, int]) -> None:
    """Wait until a daemon's workers split by these."""

    def met(status: dict[str, Any]) -> bool:
        versions = status["pools"][0]["versions"]
        return {v["version"]: v["effective_weight"] for v in versions} == weights

    await running.until(met, f"{running.path.parent.name} splits by {weights}")


async def set_weights(running: Daemon, weights: dict[str, int]) -> None:
    status, answer = await ask(running, "PUT", "/v1/pools/support/weights", weights)
    assert status == 200, answer


async def test_weights_set_at_another_member_stay_over_a_reload(tmp_path: Path, store: str) -> None:
    async with (
        daemon(place(tmp_path, "a"), config(store, "a", shift_timeout="0s")) as a,
        daemon(place(tmp_path, "b"), config(store, "b", shift_timeout="60s")) as b,
    ):
        await role(a, "leader")
        await begun(b)
        await set_weights(a, {"v1": 0, "v2": 100})
        await split(b, {"v1": 0, "v2": 100})
        b.write(complete({**config(store, "b", shift_timeout="60s"), "drain_timeout": "4s"}))
        await b.until(lambda s: s["generation"] == 2 and s["ready"], "the file is read again")
        await split(b, {"v1": 0, "v2": 100})
        assert "weights.waiting" not in {event["kind"] for event in await b.events()}


async def test_weights_set_at_another_member_end_those_that_wait_here(
    tmp_path: Path, store: str
) -> None:
    edited = config(store, "b", v2=50, shift_timeout="3s")
    async with (
        daemon(place(tmp_path, "a"), config(store, "a", v2=50, shift_timeout="0s")) as a,
        daemon(place(tmp_path, "b"), config(store, "b", shift_timeout="3s")) as b,
    ):
        await role(a, "leader")
        await begun(b)
        b.write(complete(edited))
        await b.until(lambda s: s["pools"][0]["weights_waiting"], "the edit waits")
        await set_weights(a, {"v1": 0, "v2": 100})
        await split(b, {"v1": 0, "v2": 100})
        assert not (await b.pool("support"))["weights_waiting"]
