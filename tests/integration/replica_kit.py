"""What the replica tests share: a gateway and a journal to look into, an agent, a daemon to kill.

Run as a program it is that daemon: `replica_kit.py STATE_DIR CONFIG_JSON` starts a manager, wants
one replica of every version, and prints `ready PID` for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from fleet.clock import SystemClock
from fleet.config.schema import Config
from fleet.model import Decision, Event, Replica, ReplicaState
from fleet.telemetry.slab import VersionTotals
from scaler.drivers.procfs import look, scan
from scaler.drivers.state_files import Record
from scaler.replicas import ReplicaManager

DEADLINE = 20.0

AGENT = """
import http.server, os, signal, subprocess, sys, threading

SLEEP = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
flags = set(sys.argv[2:])
if "ignore-term" in flags:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
kin = []
if "children" in flags:
    kin.append(subprocess.Popen(SLEEP).pid)
    kin.append(subprocess.Popen(SLEEP, start_new_session=True).pid)
name = os.environ["HEADRACE_REPLICA"]
sick = "sick" in flags

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global sick
        verb, _, argument = self.path[1:].partition("/")
        if verb == "exit":
            os._exit(int(argument))
        if verb == "print":
            print(argument, flush=True)
        if verb == "sick":
            sick = True
        body = {
            "kin": " ".join(map(str, kin)),
            "env": os.environ.get(argument, ""),
        }.get(verb, "ok").encode()
        self.send_response(500 if sick and verb == "healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts):
        pass

print("out of", name, flush=True)
print("err of", name, file=sys.stderr, flush=True)
if "worker" in flags:
    signal.pause()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Told:
    """Something whose changes can be waited for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Return what `holds` returns as soon as that is true; fails after DEADLINE."""
        async with asyncio.timeout(DEADLINE):
            while not (result := holds()):
                self._changed.clear()
                await self._changed.wait()
        return result


class FakeGateway(Told):
    """The data plane: remembers what was published, drains when told."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[str, tuple[Replica, ...]]] = []
        self.now: dict[str, tuple[Replica, ...]] = {}
        self.busy: dict[str, int] = defaultdict(int)
        self.visitors: dict[str, int] = defaultdict(int)
        self.borrowers: dict[str, int] = defaultdict(int)
        self.cells: set[int] = set()
        self._next_cell = 0

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        self.published.append((pool, tuple(replicas)))
        self.now[pool] = tuple(replicas)
        self.tell()

    async def drained(self, replica: str) -> None:
        states = [r.state for pool in self.now.values() for r in pool if r.name == replica]
        assert states == [ReplicaState.DRAINING], "published as draining before it is awaited"
        await self.until(lambda: self.busy[replica] == 0)

    def finish(self, replica: str) -> None:
        """Let the last request of `replica` end."""
        self.busy[replica] = 0
        self.tell()

    def in_flight(self, replica: Replica) -> int:
        return self.busy[replica.name]

    def sessions(self, replica: Replica) -> int:
        return self.visitors[replica.name]

    def lent(self, replica: Replica) -> int:
        return self.borrowers[replica.name]

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        return None

    def totals(self, pool: str, version: str) -> VersionTotals:
        raise NotImplementedError

    def allocate_cell(self) -> int:
        self._next_cell += 1
        self.cells.add(self._next_cell)
        return self._next_cell

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        raise NotImplementedError

    def free_cell(self, cell: int) -> None:
        used = {r.cell for pool in self.now.values() for r in pool}
        assert cell not in used, "published without the replica before its cell is freed"
        self.cells.remove(cell)

    def states(self, pool: str) -> dict[str, ReplicaState]:
        return {replica.name: replica.state for replica in self.now.get(pool, ())}


class Journal(Told):
    """The recorder."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def decision(self, decision: Decision) -> None:
        raise NotImplementedError

    def event(self, event: Event) -> None:
        self.events.append(event)
        self.tell()

    def of(self, kind: str, replica: str | None = None) -> list[Event]:
        return [
            e for e in self.events if e.kind == f"replica.{kind}" and replica in (None, e.replica)
        ]

    async def first(self, kind: str, replica: str | None = None) -> Event:
        """The first event of a kind, as soon as there is one."""
        found: list[Event] = await self.until(lambda: self.of(kind, replica))
        return found[0]


class LogTap(Told):
    """A structlog processor that keeps every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def __call__(self, logger: object, method: str, entry: Any) -> Any:
        self.lines.append({**entry, "level": method})
        self.tell()
        raise structlog.DropEvent

    async def line(self, **fields: str) -> dict[str, Any]:
        """The first line with these fields, as soon as there is one."""
        found: list[dict[str, Any]] = await self.until(
            lambda: [entry for entry in self.lines if fields.items() <= entry.items()]
        )
        return found[0]


@contextlib.contextmanager
def tapped_log() -> Any:
    """Send all log lines to a `LogTap`; none at level error may be left unexpected."""
    before = structlog.get_config()
    tap = LogTap()
    structlog.configure(processors=[tap], cache_logger_on_first_use=False)
    try:
        yield tap
    finally:
        structlog.configure(**before)
    assert [line for line in tap.lines if line["level"] == "error"] == []


class Stage:
    """A manager with all that surrounds it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.gateway = FakeGateway()
        self.journal = Journal()
        self.manager = ReplicaManager(
            self.gateway,
            self.journal,
            SystemClock(),
            state_dir=self.state_dir,
            config_dir=directory,
            redis_url="redis://127.0.0.1:1/0",
        )

    def alive(self) -> set[int]:
        """Pids of all processes that carry the marks of this state directory."""
        return {p.pid for p in scan(str(self.state_dir.resolve())) if p.replica and not p.zombie}

    async def ready(self, replica: str) -> Replica:
        """The replica, published as ready."""
        found: list[Replica] = await self.gateway.until(
            lambda: [
                r
                for pool in self.gateway.now.values()
                for r in pool
                if r.name == replica and r.state is ReplicaState.READY
            ]
        )
        return found[0]


@contextlib.asynccontextmanager
async def staged(directory: Path, config: Config, *, finish: bool = True) -> AsyncIterator[Stage]:
    """A started manager; at the end it is stopped, and nothing may be left of its replicas.

    `finish`: requests still in flight end before that.
    """
    stage = Stage(directory)
    await stage.manager.start(config)
    try:
        yield stage
    finally:
        for name in list(stage.gateway.busy) if finish else ():
            stage.gateway.finish(name)
        async with asyncio.timeout(DEADLINE):
            await stage.manager.stop()
    assert stage.alive() == set()
    assert stage.gateway.cells == set()
    assert all(replicas == () for replicas in stage.gateway.now.values())


def agent(directory: Path, *flags: str, **process: Any) -> dict[str, Any]:
    """The process driver of the test agent."""
    program = directory / "agent.py"
    if not program.exists():
        program.write_text(AGENT)
    return {
        "process": {
            "command": [sys.executable, "-S", str(program), "{port}", *flags],
            "stop_timeout": "10s",
            **process,
        }
    }


def pool(driver: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A pool that is checked often."""
    return {"driver": driver, "health": {"interval": "50ms"}, **settings}


def config(*, routed: bool = True, drain_timeout: str = "10s", **pools: Any) -> Config:
    """A configuration of these pools, each with a route."""
    routes = [{"pool": name} for name in pools] if routed else []
    return Config.model_validate({"pools": pools, "routes": routes, "drain_timeout": drain_timeout})


async def ask(replica: Replica | Record, path: str) -> str:
    """GET from a replica; empty when it ends without a reply."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE)) as session:
        with contextlib.suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            async with session.get(f"http://127.0.0.1:{replica.port}/{path}") as reply:
                return await reply.text()
    return ""


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    process = look(pid)
    return process is not None and not process.zombie


async def abandon(directory: Path, pools: dict[str, Any]) -> list[int]:
    """Run a daemon until all its replicas are ready, then SIGKILL it; returns their pids."""
    daemon = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        str(directory),
        json.dumps(pools),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert daemon.stdout is not None
    pids: list[int] = []
    try:
        async with asyncio.timeout(DEADLINE):
            while len(pids) < len(pools):
                line = await daemon.stdout.readline()
                assert line, "the daemon ended by itself"
                pids.append(int(line.split()[1]))
    finally:
        daemon.kill()
        await daemon.wait()
    return pids


async def _daemon(directory: Path, pools: dict[str, Any]) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stage = Stage(directory)
    await stage.manager.start(config(**pools))
    for name in pools:
        stage.manager.set_desired(name, {"v1": 1})
        pid = (await stage.ready(f"{name}-v1-1")).pid
        sys.stdout.write(f"ready {pid}\n")
        sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_daemon(Path(sys.argv[1]), json.loads(sys.argv[2])))
