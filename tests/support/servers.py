"""Real servers for tests, each on a port of its own, empty, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.processes import Spawned, spawned
from tests.support.waiting import wait_until


def program(name: str) -> str:
    """Path of an installed program; skips the test when there is none, and fails it in CI."""
    path = shutil.which(name)
    if path is not None:
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and in CI no integration test may be left out")
    pytest.skip(f"{name} is not installed")


def redis_client(url: str) -> Redis:
    """A client that fails at once instead of trying again."""
    return Redis.from_url(
        url, protocol=2, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0)
    )


async def answers(url: str) -> bool:
    """Whether a Redis answers there now."""
    async with redis_client(url) as redis:
        try:
            return bool(await redis.ping())
        except (RedisError, OSError):
            return False


@contextlib.asynccontextmanager
async def redis_server(
    directory: Path, *options: str, port: int | None = None
) -> AsyncIterator[tuple[str, Spawned]]:
    """A redis-server on TCP, without persistence: its URL and process."""
    port = port or free_port()
    command = (program("redis-server"), "--port", str(port), "--bind", "127.0.0.1")
    async with spawned(*command, "--save", "", "--dir", directory, *options) as server:
        url = f"redis://127.0.0.1:{port}/0"
        await wait_until(lambda: answers(url), "redis-server answers")
        yield url, server


@contextlib.asynccontextmanager
async def prometheus_server(
    directory: Path, targets: dict[str, str] | None = None, interval: str = "200ms"
) -> AsyncIterator[tuple[str, Spawned]]:
    """A Prometheus that scrapes `targets` (job to host:port): its URL and process."""
    scrapes = "".join(
        f"\n- job_name: {job}\n  static_configs: [{{targets: ['{target}']}}]"
        for job, target in (targets or {}).items()
    )
    config = directory / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
        f"scrape_configs: {scrapes or '[]'}\n"
    )
    port = free_port()
    async with (
        spawned(
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            cwd=directory,
        ) as server,
        aiohttp.ClientSession() as session,
    ):
        url = f"http://127.0.0.1:{port}"

        async def ready() -> bool:
            try:
                async with session.get(f"{url}/-/ready") as reply:
                    return reply.status == 200
            except aiohttp.ClientError:
                return False

        await wait_until(ready, "prometheus is ready", timeout=20)
        yield url, server
