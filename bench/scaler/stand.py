"""A gateway with process replicas under the requests of a workload, in real time."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
import yaml
from msgspec import Struct

from bench import processes
from fleet.config.load import load_text
from fleet.config.schema import Config
from scaler.simulate.workload import Workload

SLOTS: Final = 4
ALIVE: Final = ("ready", "starting", "unhealthy", "draining")
START_DEADLINE: Final = 90.0
"""Seconds."""
SAMPLE: Final = 0.5
"""Seconds between two looks at the pool."""


class Live(Struct, frozen=True, kw_only=True):
    """What came of a run."""

    responses: tuple[float, ...]
    """Seconds from sending to the reply of each request, in the order of arrival."""
    waits: tuple[float, ...]
    """The same less its service time."""
    failed: int
    """Requests without a reply of 200."""
    replica_hours: float
    """Ready, starting and draining."""
    start_seconds: float
    """Mean of the starts measured by the scaler; 0 without one."""
    peak: int
    """Most replicas at once."""

    def miss_ratio(self, slo: float) -> float:
        """The share that waited longer than `slo` seconds, or failed."""
        late = sum(wait > slo for wait in self.waits)
        return (late + self.failed) / (len(self.waits) + self.failed)

    @property
    def mean_response(self) -> float:
        """Seconds."""
        return fmean(self.responses)


def config_of(start: float, scale: dict[str, Any]) -> dict[str, Any]:
    """One pool of agents that need `start` seconds before they listen."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "bench.scaler.agent", "{port}", "--start", str(start)]
    process = {"command": command, "cwd": str(root), "stop_timeout": "5s"}
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "log": {"format": "json", "access": {"enabled": False}},
        "drain_timeout": "60s",
        "routes": [{"match": {"path": "/"}, "pool": "agents"}],
        "pools": {
            "agents": {
                "driver": {"process": process},
                "concurrency": SLOTS,
                "queue": {"limit": 10000, "timeout": "60s"},
                "health": {"path": None, "interval": "250ms"},
                "scale": scale,
            }
        },
    }


def parsed(config: dict[str, Any]) -> Config:
    """As the daemon reads it."""
    return load_text(yaml.safe_dump(config), Path("headrace.yaml"))


def run(config: dict[str, Any], workload: Workload, initial: int) -> Live:
    """All requests of `workload` at their times, once `initial` replicas are ready."""
    with TemporaryDirectory() as name:
        path, log = Path(name) / "headrace.yaml", Path(name) / "log"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "headrace", "run", str(path)]
        process = processes.spawn(command, log, {})
        try:
            url, admin = _addresses(log)
            return asyncio.run(_loaded(url, admin, workload, initial))
        finally:
            processes.stop(process)


async def _loaded(url: str, admin: str, workload: Workload, initial: int) -> Live:
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        gateway = Gateway(session, url, f"{admin}/v1")
        await gateway.begun(initial)
        begin = time.monotonic()
        sampling = asyncio.create_task(gateway.sizes(begin + workload.end))
        replies = await asyncio.gather(
            *(
                gateway.sent(begin + at, service)
                for at, service in zip(workload.arrivals, workload.services, strict=True)
            )
        )
        sizes = await sampling
        starts = await gateway.starts()
    responses = [response for response in replies if response is not None]
    return Live(
        responses=tuple(responses),
        waits=tuple(
            response - service
            for response, service in zip(replies, workload.services, strict=True)
            if response is not None
        ),
        failed=len(replies) - len(responses),
        replica_hours=fmean(sizes) * workload.end / 3600,
        start_seconds=fmean(starts) if starts else 0.0,
        peak=max(sizes),
    )


class Gateway:
    """A running one, asked over its two addresses."""

    def __init__(self, session: aiohttp.ClientSession, url: str, admin: str) -> None:
        self._session = session
        self._url = url
        self._admin = admin

    async def begun(self, size: int) -> None:
        """Held at `size` until so many are ready, then let go."""
        held = f"{self._admin}/pools/agents/scale"
        async with self._session.put(held, json={"replicas": size}) as reply:
            reply.raise_for_status()
        deadline = time.monotonic() + START_DEADLINE
        while (version := await self._version())["ready"] != size:
            if time.monotonic() > deadline:
                raise processes.StartError(f"{version['ready']} of {size} replicas are ready")
            await asyncio.sleep(SAMPLE)
        async with self._session.delete(held) as reply:
            reply.raise_for_status()

    async def sent(self, at: float, service: float) -> float | None:
        """Seconds until the reply to a request sent at `at`; None when it failed."""
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        sent = time.monotonic()
        try:
            headers = {"X-Service": f"{service:.4f}"}
            async with self._session.get(self._url, headers=headers) as reply:
                await reply.read()
                return time.monotonic() - sent if reply.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def sizes(self, end: float) -> list[int]:
        """Replicas that live, as often as SAMPLE, until `end`."""
        found = []
        while time.monotonic() < end:
            version = await self._version()
            found.append(sum(version[state] for state in ALIVE))
            await asyncio.sleep(SAMPLE)
        return found

    async def starts(self) -> list[float]:
        """Seconds of the starts that the scaler has measured last."""
        async with self._session.get(f"{self._admin}/decisions?pool=agents&limit=1000") as reply:
            decisions = await reply.json()
        seen = [decision.get("seen", {}).get("start_seconds", []) for decision in decisions]
        return max(seen, key=len, default=[])

    async def _version(self) -> dict[str, Any]:
        async with self._session.get(f"{self._admin}/status") as reply:
            status = await reply.json()
        version: dict[str, Any] = status["pools"][0]["versions"][0]
        return version


def _addresses(log: Path) -> tuple[str, str]:
    """Of requests and of the administration, from the log of a daemon that has started."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if '"running"' in line:
                fields = json.loads(line)
                return f"http://{fields['listen'][0]}", f"http://{fields['admin']}"
        time.sleep(0.1)
    raise processes.StartError(f"does not serve: {log.read_text()[-600:]}")
