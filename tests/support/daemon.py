"""A whole daemon under test: `headrace run` with real agents, asked over its own admin API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.processes import ROOT, Spawned, spawned
from tests.support.waiting import DEADLINE, wait_until

AGENT = [sys.executable, str(ROOT / "examples/agent.py"), "--port", "{port}"]


def agent(*arguments: str) -> dict[str, Any]:
    """A process driver that runs the example agent, as light as it can be."""
    command = [*AGENT, "--work", "0s", "--latency", "1ms", *arguments]
    return {"process": {"command": command, "stop_timeout": "5s"}}


class Daemon:
    """One running daemon and the configuration file it was given."""

    def __init__(self, process: Spawned, path: Path, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.path = path
        self.url = ""
        self.admin = ""
        self._session = session

    async def started(self) -> None:
        line = await self.process.line(r'"message": ?"running"', timeout=20)
        fields = json.loads(line.string)
        self.url = f"http://{fields['listen'][0]}"
        self.admin = f"http://{fields['admin']}"

    def write(self, config: dict[str, Any]) -> None:
        """Edit the file the way editors do: a new one moved over the old."""
        new = self.path.with_suffix(".new")
        new.write_text(yaml.safe_dump(config, sort_keys=False))
        new.replace(self.path)

    async def status(self) -> dict[str, Any]:
        async with self._session.get(f"{self.admin}/v1/status") as reply:
            assert reply.status == 200, await reply.text()
            status: dict[str, Any] = await reply.json()
            return status

    async def pool(self, name: str) -> dict[str, Any]:
        status = await self.status()
        return next(pool for pool in status["pools"] if pool["pool"] == name)

    async def version(self, pool: str, version: str = "v1") -> dict[str, Any]:
        of_pool = await self.pool(pool)
        return next(v for v in of_pool["versions"] if v["version"] == version)

    async def events(self) -> list[dict[str, Any]]:
        async with self._session.get(f"{self.admin}/v1/events?limit=1000") as reply:
            events: list[dict[str, Any]] = await reply.json()
            return events

    async def decisions(self, pool: str) -> list[dict[str, Any]]:
        url = f"{self.admin}/v1/decisions?pool={pool}&limit=1000"
        async with self._session.get(url) as reply:
            decisions: list[dict[str, Any]] = await reply.json()
            return decisions

    async def explained(self, pool: str) -> list[dict[str, Any]]:
        async with self._session.get(f"{self.admin}/v1/pools/{pool}/explain") as reply:
            assert reply.status == 200, await reply.text()
            decisions: list[dict[str, Any]] = await reply.json()
            return decisions

    async def metrics(self) -> str:
        async with self._session.get(f"{self.admin}/metrics") as reply:
            return await reply.text()

    async def until(
        self, condition: Callable[[dict[str, Any]], object], what: str, timeout: float = DEADLINE
    ) -> None:
        """Wait for something of the status."""

        async def met() -> object:
            return condition(await self.status())

        await wait_until(met, what, timeout)

    async def until_ready(self, pool: str, count: int, timeout: float = DEADLINE) -> None:
        """Wait until exactly `count` replicas of a pool are ready, over all versions."""

        def met(status: dict[str, Any]) -> bool:
            versions = next(p for p in status["pools"] if p["pool"] == pool)["versions"]
            return bool(sum(v["ready"] for v in versions) == count)

        await self.until(met, f"{count} ready in {pool}", timeout)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return await self.process.exit_code(timeout=20)


@contextlib.asynccontextmanager
async def daemon(directory: Path, config: dict[str, Any], **env: str) -> AsyncIterator[Daemon]:
    """Run a daemon on free ports with its state in `directory`; killed at the end if need be,
    and then whatever it has left.
    """
    path = directory / "headrace.yaml"
    whole = complete(config)
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    command = (sys.executable, "-m", "headrace", "run", path)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
        spawned(*command, env=env) as process,
    ):
        running = Daemon(process, path, session)
        try:
            await running.started()
            yield running
        finally:
            if process.process.returncode is None:
                process.terminate()
                with contextlib.suppress(AssertionError):
                    await process.exit_code(timeout=15)
            end_left_behind(directory)


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A test's configuration with free ports and readable logs."""
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "log": {"format": "json", "access": {"enabled": False}},
        "drain_timeout": "5s",
        **config,
    }


def left_behind(directory: Path) -> list[int]:
    """Processes that carry the mark of a daemon whose state is in `directory`."""
    mark = f"HEADRACE_STATE_DIR={directory / '.state'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                marks = (entry / "environ").read_bytes().split(b"\0")
                if mark in marks and state not in ("Z", "X"):
                    found.append(int(entry.name))
    return found


def end_left_behind(directory: Path) -> None:
    """SIGKILL to whatever `left_behind` finds."""
    for pid in left_behind(directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Load:
    """Clients that each send the next request once they have a reply, until stopped."""

    def __init__(self, url: str, body: dict[str, Any] | None = None) -> None:
        self._url = url
        self._body = json.dumps(body or {"question": "What is a headrace?"})
        self.statuses: Counter[int] = Counter()
        self.served_by: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = asyncio.Event()

    @property
    def done(self) -> int:
        return self.statuses.total()

    def stop(self) -> None:
        self._stop.set()

    async def send(self, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        try:
            async with session.post(self._url, data=self._body, headers=headers) as reply:
                text = await reply.text()
                self.statuses[reply.status] += 1
                self.served_by[reply.headers.get("X-Served-By", "-")] += 1
                if reply.status != 200:
                    self.failures.append(f"{reply.status} {text}")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(repr(error))

    async def _client(self, session: aiohttp.ClientSession, total: list[int] | None) -> None:
        headers = {"Content-Type": "application/json"}
        while not self._stop.is_set():
            if total is not None:
                if total[0] == 0:
                    return
                total[0] -= 1
            await self.send(session, headers)

    @contextlib.asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[Load]:
        """Load from `clients` clients for as long as the block runs."""
        async with _session() as session, asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(session, None))
            try:
                yield self
            finally:
                self.stop()

    async def requests(self, count: int, clients: int) -> Load:
        """`count` requests from `clients` clients."""
        left = [count]
        async with _session() as session, asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(session, left))
        return self

    async def served(self, count: int, timeout: float = DEADLINE) -> None:
        """Wait until `count` more requests have been answered."""
        target = self.done + count
        await wait_until(lambda: self.done >= target, f"{count} more replies", timeout)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30)
    )
