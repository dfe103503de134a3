"""Live runs: agents, one gateway, an open loop; each gateway in turn, on the same agents."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import processes
from bench.balance import agents
from bench.balance.gateways import Gateway, headrace
from bench.balance.plan import Plan
from bench.peers.model import Setup, running
from bench.processes import await_served, free_port

HIGH = 0.1
"""Share of requests of the highest class in the overload work."""

TIMES = 5
"""Of the capacity are offered in the overload work."""

Figures = dict[str, float]


class LiveError(Exception):
    """A run gave no figures."""


class Bed:
    """Where live runs are made. `directory` is for logs and configurations."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def unequal(self, gateway: Gateway, program: str, plan: Plan, seed: int) -> Figures:
        """The unequal agents at `plan.load` of their capacity."""
        kind = "unequal"
        rate = plan.load * _capacity(kind, plan.agents)
        with (
            self._agents(kind, plan.agents, seed) as port,
            self._gateway(gateway, program, port, plan.agents) as door,
        ):
            return _load(door, rate, plan.seconds, seed, 0.0)

    def overload(self, program: str, plan: Plan, seed: int) -> Figures:
        """Headrace at half of the capacity and at `TIMES` of it, one after the other."""
        kind = "equal"
        capacity = _capacity(kind, plan.few)
        pool: dict[str, object] = {
            "concurrency": agents.STEADY.slots,
            "queue": {
                "limit": 16 * plan.few,
                "timeout": "2s",
                "classes": ["high", "low"],
                "priority": {"header": "X-Priority"},
            },
        }
        gateway = Gateway(headrace(pool), "")
        with (
            self._agents(kind, plan.few, seed) as port,
            self._gateway(gateway, program, port, plan.few) as door,
        ):
            before = _load(door, capacity / 2, plan.seconds, seed, HIGH)
            after = _load(door, capacity * TIMES, plan.seconds, seed, HIGH)
        return {
            "capacity": capacity,
            "offered": capacity * TIMES,
            **{f"unloaded_{key}": value for key, value in before.items()},
            **after,
        }

    @contextlib.contextmanager
    def _agents(self, kind: str, count: int, seed: int) -> Iterator[int]:
        port = free_port()
        command = [sys.executable, "-m", "bench.balance.serve", str(port), kind, str(count)]
        with TemporaryDirectory(dir=self._directory) as directory:
            log = Path(directory) / "log"
            process = processes.spawn([*command, str(seed)], log, {})
            try:
                await_served(process, port, log)
                yield port
            finally:
                processes.stop(process)

    @contextlib.contextmanager
    def _gateway(self, gateway: Gateway, program: str, port: int, count: int) -> Iterator[int]:
        endpoints = [(f"127.0.0.{number + 1}", port) for number in range(count)]
        with TemporaryDirectory(dir=self._directory) as directory:
            setup = Setup(Path(directory), free_port(), endpoints, policy=gateway.policy)
            with running(gateway.peer, program, setup, ()) as started:
                yield started.port


def _capacity(kind: str, count: int) -> float:
    return sum(profile.capacity for profile in agents.fleet(kind, count))


def _load(port: int, rate: float, seconds: float, seed: int, high: float) -> Figures:
    arguments = [str(port), str(rate), str(seconds), str(seed), str(high)]
    command = [sys.executable, "-m", "bench.load.arrivals", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 30
        )
        figures: Figures = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise LiveError(str(error)) from error
    return {"rate": rate, **figures}
