"""What a peer is, and how one is started and looked at."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import accounting, processes
from bench.accounting import Cpu
from bench.certificates import Pair


@dataclass(frozen=True)
class Setup:
    """What a peer is to do."""

    directory: Path
    """Its own, for configuration and logs."""
    port: int
    endpoints: Sequence[tuple[str, int]]
    workers: int = 1
    routes: int = 1
    tls: Pair | None = None
    """Serve TLS with this certificate, HTTP/1.1 and HTTP/2 by ALPN."""
    policy: str = ""
    """How to balance, in the peer's own words; empty: two at random, the less busy one."""
    check_interval: int = 5
    """Seconds between two health checks of a replica, where the peer checks."""


TLS = "TLS"
WEBSOCKET = "websockets"


@dataclass(frozen=True)
class Peer:
    """A proxy. `find()` gives its program or None; `command(program, setup)` writes what
    configuration it needs and gives the command line.
    """

    find: Callable[[], str | None]
    version: Callable[[str], str]
    command: Callable[[str, Setup], list[str]]
    absent: str
    """How to get it."""
    env: Callable[[Setup], Mapping[str, str]] = lambda _: {}
    worker_mark: str = ""
    """Text in the command line of its data-plane processes; empty: all its processes are."""
    max_workers: int = 64
    can: frozenset[str] = frozenset()
    """Of `TLS` and `WEBSOCKET`."""


@dataclass
class Running:
    """A started peer."""

    port: int
    process: subprocess.Popen[bytes] | None = None
    """None: the upstream itself, asked directly."""
    worker_mark: str = ""
    started: float = 0.0
    """Seconds from its start to the first reply."""
    tls: bool = False
    directory: Path | None = None
    """Where its configuration is."""

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return accounting.tree(self.process.pid) if self.process is not None else []

    @property
    def workers(self) -> list[int]:
        """Its data-plane processes."""
        return [pid for pid in self.pids if self.worker_mark in accounting.command_line(pid)]

    def cpu(self) -> tuple[Cpu, Cpu]:
        """Of the data plane, and of all processes."""
        pids = self.pids
        plane = [pid for pid in pids if self.worker_mark in accounting.command_line(pid)]
        return accounting.cpu(plane), accounting.cpu(pids)


@contextlib.contextmanager
def running(peer: Peer, program: str, setup: Setup, cpus: Sequence[int]) -> Iterator[Running]:
    """Started and serving. Raises StartError."""
    log = setup.directory / "log"
    command = processes.pinned(peer.command(program, setup), cpus)
    begin = time.monotonic()
    process = processes.spawn(command, log, peer.env(setup))
    try:
        processes.await_served(process, setup.port, log, tls=setup.tls is not None)
        yield Running(
            setup.port,
            process,
            peer.worker_mark,
            time.monotonic() - begin,
            setup.tls is not None,
            setup.directory,
        )
    finally:
        processes.stop(process)
