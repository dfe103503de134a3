"""The test stand: upstreams, the peers that are there, their places on the cores, and samples."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench import processes
from bench.accounting import Strangers
from bench.certificates import Pair, self_signed
from bench.load import wrk
from bench.peers import PEERS
from bench.peers.model import TLS, Peer, Running, Setup, running
from bench.plan import Plan
from bench.processes import StartError, await_served, free_port

DIRECT = "direct"
"""The upstream itself, where a proxy would be."""

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
"""The replicas: four addresses of one upstream."""


@dataclass(frozen=True)
class Sample:
    """One measurement. `figures` are in base units: seconds, bytes, a second."""

    work: str
    peer: str
    round: int
    figures: dict[str, float]
    strangers: float = 0.0
    """CPU seconds of other processes of the machine meanwhile."""
    stolen: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


Measure = Callable[[str, Running], dict[str, float]]


class Stand:
    """See the module. `programs` are the programs of the peers that are there."""

    def __init__(self, plan: Plan, programs: dict[str, str], directory: Path) -> None:
        self.plan = plan
        self.programs = programs
        self.directory = directory
        self.samples: list[Sample] = []
        self.failures: dict[str, str] = {}
        """By work and peer: why a peer has no figures there."""
        self.series: dict[str, dict[str, list[float]]] = {}
        """By work: what was followed over time."""
        self._numbers = itertools.count()
        self._strangers = Strangers()
        self._pair: Pair | None = None
        cores = sorted(os.sched_getaffinity(0))
        self._proxy_cpus: Sequence[int] = cores[-1:] if len(cores) > 1 else ()
        self.load_cpus: Sequence[int] = cores[:-1] if len(cores) > 1 else ()

    def _certificate(self) -> Pair:
        if self._pair is None:
            try:
                self._pair = self_signed(self.directory)
            except (OSError, subprocess.CalledProcessError) as error:
                raise StartError(f"no certificate: {error}") from error
        return self._pair

    def _folder(self, name: str) -> Path:
        folder = self.directory / f"{next(self._numbers):03}-{name}"
        folder.mkdir()
        return folder

    @contextlib.contextmanager
    def upstream(self, interval: float = 0.02) -> Iterator[int]:
        """An agent on all loopback addresses; gives its port."""
        port = free_port()
        log = self._folder("upstream") / "log"
        arguments = [sys.executable, "-m", "bench.upstream", str(port), "--interval", str(interval)]
        process = processes.spawn(processes.pinned(arguments, self.load_cpus), log, {})
        try:
            await_served(process, port, log)
            yield port
        finally:
            processes.stop(process)

    @contextlib.contextmanager
    def peer(
        self,
        name: str,
        endpoints: Sequence[tuple[str, int]],
        *,
        workers: int = 1,
        routes: int = 1,
        tls: bool = False,
        check_interval: int = 5,
    ) -> Iterator[Running]:
        """One peer, started and serving. Raises StartError."""
        setup = Setup(
            directory=self._folder(name),
            port=free_port(),
            endpoints=endpoints,
            workers=workers,
            routes=routes,
            tls=self._certificate() if tls else None,
            check_interval=check_interval,
        )
        cpus = self._proxy_cpus if workers == 1 else ()
        with running(PEERS[name], self.programs[name], setup, cpus) as started:
            yield started

    @contextlib.contextmanager
    def peers(
        self,
        work: str,
        upstream: int,
        *,
        workers: int = 1,
        direct: bool = False,
        needs: str | None = None,
    ) -> Iterator[dict[str, Running]]:
        """All of them; those that cannot what is needed, or be started, are noted in `failures`."""
        endpoints = [(host, upstream) for host in HOSTS]
        started: dict[str, Running] = {DIRECT: Running(upstream)} if direct else {}
        with contextlib.ExitStack() as stack:
            for name in self.programs:
                if workers > self.spec(name).max_workers:
                    self.failures[f"{work} {name}"] = f"cannot use {workers} workers"
                    continue
                if needs is not None and needs not in self.spec(name).can:
                    self.failures[f"{work} {name}"] = f"no {needs}"
                    continue
                try:
                    started[name] = stack.enter_context(
                        self.peer(name, endpoints, workers=workers, tls=needs == TLS)
                    )
                except StartError as error:
                    self.failed(work, name, error)
            yield started

    def spec(self, name: str) -> Peer:
        """The peer of that name."""
        return PEERS[name]

    def in_turns(self, work: str, peers: dict[str, Running], rounds: int, measure: Measure) -> None:
        """Measure each peer once a round, so that a slow moment meets all alike."""
        for number in range(rounds):
            for name, peer in list(peers.items()):
                try:
                    self.take(work, name, number, partial(measure, name, peer))
                except (OSError, ValueError, wrk.LoadError, subprocess.SubprocessError) as error:
                    self.failed(work, name, error)
                    del peers[name]

    def take(
        self, work: str, peer: str, number: int, measure: Callable[[], dict[str, float]]
    ) -> None:
        """One measurement."""
        self._strangers.since()
        figures = measure()
        strangers, stolen = self._strangers.since()
        self.samples.append(Sample(work, peer, number, figures, strangers, stolen))
        shown = "  ".join(f"{key}={value:.6g}" for key, value in figures.items())
        print(f"{work:<14} {peer:<14} {number + 1}  {shown}", flush=True)

    def warm(
        self, work: str, peers: dict[str, Running], name: str, load: Callable[[], object]
    ) -> None:
        """Some load before the measurements; a peer that cannot bear it is left out."""
        try:
            load()
        except (OSError, wrk.LoadError, subprocess.SubprocessError) as error:
            self.failed(work, name, error)
            del peers[name]

    def failed(self, work: str, peer: str, error: Exception) -> None:
        """Note why a peer has no figures."""
        self.failures[f"{work} {peer}"] = str(error)
        print(f"{work:<14} {peer:<14} FAILED: {error}", flush=True)

    def figure(self, work: str, peer: str, figure: str) -> list[float]:
        """Its values over the rounds so far."""
        return [
            s.figures[figure]
            for s in self.samples
            if s.work == work and s.peer == peer and figure in s.figures
        ]
