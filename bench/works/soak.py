"""Memory over a long mixed run: streams, bodies, websockets, clients that leave, reloads."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench.accounting import rss
from bench.load.wrk import LoadError
from bench.peers.headrace import CANARY, CONFIG
from bench.peers.model import Running
from bench.processes import StartError, load, pinned
from bench.stand import HOSTS, Stand
from bench.trend import trend

WORK = "soak"
PEER = "headrace"

RELOAD_EVERY = 5.0
"""Seconds between two changes of the file: weights, and a route that comes and goes."""

WARM_UP = 1 / 3
"""Share of the run that the slope leaves out: arenas and caches fill."""

READINGS = 600


@dataclass
class Memory:
    """Resident bytes of the worker and of control, with the times they were read at."""

    times: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    control: list[float] = field(default_factory=list)

    def read(self, at: float, peer: Running) -> None:
        """One more reading; control is the process that was started, without its store."""
        assert peer.process is not None
        self.times.append(at)
        self.worker.append(float(rss(peer.workers)))
        self.control.append(float(rss([peer.process.pid])))

    def figures(self) -> dict[str, float]:
        """Slopes in bytes a second with their intervals, and the last reading."""
        since = int(len(self.times) * WARM_UP)
        figures: dict[str, float] = {}
        for name, values in (("worker", self.worker), ("control", self.control)):
            found = trend(self.times[since:], values[since:])
            figures |= {
                f"slope_{name}": found.slope,
                f"slope_{name}_low": found.low,
                f"slope_{name}_high": found.high,
                f"rss_{name}": values[-1],
            }
        return figures


def soak(stand: Stand) -> None:
    """Headrace alone, for `Plan.soak_seconds`."""
    seconds = stand.plan.soak_seconds
    if seconds <= 0 or PEER not in stand.programs:
        return

    with stand.upstream() as upstream:
        try:
            with stand.peer(PEER, [(host, upstream) for host in HOSTS]) as peer:
                stand.take(WORK, PEER, 0, lambda: _measure(stand, peer, seconds))
        except (LoadError, OSError, StartError, ValueError, subprocess.SubprocessError) as error:
            stand.failed(WORK, PEER, error)


def _measure(stand: Stand, peer: Running, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load.soak", str(peer.port), str(seconds)]
    memory = Memory()
    assert peer.directory is not None
    reloads = _Reloads(peer.directory / CONFIG)
    with load(pinned(command, stand.load_cpus), seconds + 60) as clients:
        assert clients.stdout is not None
        begin = time.monotonic()
        while (at := time.monotonic() - begin) < seconds and clients.poll() is None:
            memory.read(at, peer)
            if at >= (reloads.made + 1) * RELOAD_EVERY:
                reloads.make()
            time.sleep(seconds / READINGS)
        line = clients.stdout.readline()
    if not line:
        raise LoadError("the clients ended early")
    found = json.loads(line)
    if found["errors"]:
        stand.failures[f"{WORK} errors"] = found["example"]
    stand.series[WORK] = {"times": memory.times, "worker": memory.worker, "control": memory.control}
    return {
        "seconds": seconds,
        "pieces": float(sum(found["done"].values())),
        "errors": float(found["errors"]),
        "reloads": float(reloads.made),
        "taken": float(reloads.taken()),
        **memory.figures(),
    }


class _Reloads:
    """Changes of the daemon's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._config = yaml.safe_load(path.read_text())
        self.made = 0
        self._before = self._generation()

    def make(self) -> None:
        """One more, as editors do it: a new file moved over the old."""
        self.made += 1
        odd = self.made % 2
        versions = self._config["pools"]["bench"]["versions"]
        versions["v1"]["weight"] = 100 - CANARY - odd
        versions["v2"]["weight"] = CANARY + odd
        decoy = {"match": {"path": "/v1/decoy"}, "pool": "bench"}
        routes = [decoy] * odd + self._config["routes"]
        new = self._path.with_suffix(".new")
        new.write_text(yaml.safe_dump({**self._config, "routes": routes}, sort_keys=False))
        new.replace(self._path)

    def taken(self) -> int:
        """How many of them took effect."""
        return self._generation() - self._before

    def _generation(self) -> int:
        url = f"http://{self._config['admin']['listen']}/v1/status"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return int(json.load(reply)["generation"])
