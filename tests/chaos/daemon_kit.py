"""What the tests of whole daemons share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.daemon import Daemon, agent, complete
from tests.support.processes import Spawned, spawned

SUPPORT = "/v1/support"
ROUTES = [{"match": {"path": "/"}, "pool": "support"}]


def one_pool(**pool: Any) -> dict[str, Any]:
    """A daemon's configuration with the pool `support` behind every path."""
    settings = {"driver": agent(), "health": {"interval": "200ms"}, **pool}
    return {"routes": ROUTES, "pools": {"support": settings}}


def static_pool(endpoint: str = "http://127.0.0.1:9", **top: Any) -> dict[str, Any]:
    """The same with an endpoint that exists already."""
    pool = {"driver": {"static": {"endpoints": [endpoint]}}, "health": {"interval": "200ms"}}
    return {"routes": ROUTES, "pools": {"support": pool}, **top}


@contextlib.asynccontextmanager
async def command(directory: Path, config: dict[str, Any], *shell: str) -> AsyncIterator[Spawned]:
    """`headrace run` that need not come up; `shell` is put before it."""
    path = directory / "headrace.yaml"
    path.write_text(yaml.safe_dump(complete(config), sort_keys=False))
    async with spawned(*shell, sys.executable, "-m", "headrace", "run", path) as process:
        yield process


async def ask(running: Daemon, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One admin request: its status and JSON."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, running.admin + path, json=body) as reply,
    ):
        return reply.status, await reply.json()


def standard_output(pid: int) -> str:
    """What a process has as its standard output."""
    return str(Path(f"/proc/{pid}/fd/1").readlink())


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
