"""How long the scaler's decisions take: one tick of 1,000 pools with 10,000 replicas in all.

    python -m bench.tick [--pools N] [--replicas N] [--ticks N] [--unsettled]

Everything of a tick but what goes out of the process: counters are summed from a real slab of two
workers, replicas are counted in a real roster, and real policies, guardrails, allocation and
packing decide. Each tick moves the load of every pool, so that nothing can be kept from the last.
The figures are CPU time, which other work on the machine disturbs less than the clock on the wall;
the worst tick is given by both. `collector` is the most that garbage collections took of one tick,
with the heap settled before as the daemon does (`--unsettled`: without).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import structlog

from fleet.clock import ManualClock
from fleet.config.schema import Config
from fleet.model import Decision, Event, Replica, ReplicaState
from fleet.telemetry import slab as words
from fleet.telemetry.slab import BLOCK_WORDS, Slab, VersionTotals
from headrace import heap
from scaler.loop import ScalerLoop
from scaler.members import Member
from scaler.replica_settings import resolve
from scaler.roster import Roster

POLICIES = ("slo", "target", "kpa")
SLOTS = 8


class SlabGateway:
    """The counters of a gateway, without its workers."""

    def __init__(self, pools: Sequence[str]) -> None:
        self.slab = Slab.create(2)
        self._blocks = {pool: number + 1 for number, pool in enumerate(pools)}

    def set_load(self, pool: str, in_flight: int, served: int) -> None:
        """A pool has served so many requests and has so many in flight, in each worker."""
        at = self._blocks[pool] * BLOCK_WORDS
        for worker in range(2):
            row = self.slab.row(worker)
            row[at + words.STARTED] = row[at + words.LEASED] = served + in_flight
            row[at + words.RELEASED] = served
            row[at + words.LEASE_MICROSECONDS] = served * 500_000

    def totals(self, pool: str, version: str) -> VersionTotals:
        """See `fleet.ports.Gateway`."""
        return self.slab.version(self._blocks[pool])

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        """See `fleet.ports.Gateway`."""
        return SLOTS

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        """See `fleet.ports.Gateway`."""

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        """See `fleet.ports.Gateway`."""

    def loads(self, pool: str, loads: Mapping[str, float]) -> None:
        """See `fleet.ports.Gateway`."""

    async def drained(self, replica: str) -> None:
        """See `fleet.ports.Gateway`."""

    def in_flight(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return 0

    def sessions(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return 0

    def lent(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return 0

    def allocate_cell(self) -> int:
        """See `fleet.ports.Gateway`."""
        return 0

    def free_cell(self, cell: int) -> None:
        """See `fleet.ports.Gateway`."""


class Counted:
    """A recorder that only counts."""

    def __init__(self) -> None:
        self.decisions = 0

    def decision(self, decision: Decision) -> None:
        """See `fleet.ports.Recorder`."""
        self.decisions += 1

    def event(self, event: Event) -> None:
        """See `fleet.ports.Recorder`."""


def configuration(pools: Sequence[str], policy: str) -> Config:
    """Pools of one version that share a budget, ten to each."""
    driver = {"process": {"command": ["agent"]}}
    budgets = {f"b{number}": {"replicas": 1000} for number in range(0, len(pools), 10)}
    return Config.model_validate(
        {
            "budgets": budgets,
            "pools": {
                name: {
                    "driver": driver,
                    "concurrency": SLOTS,
                    "scale": {
                        "min": 1,
                        "max": 100,
                        "policy": policy,
                        "budget": f"b{number - number % 10}",
                        "pack": "shrinking",
                    },
                }
                for number, name in enumerate(pools)
            },
        }
    )


class Took(NamedTuple):
    """What one tick took, in seconds."""

    cpu: float
    wall: float
    collector: float
    """CPU time."""


class Collections:
    """CPU time of garbage collections, in seconds, summed since `begin`."""

    def __init__(self) -> None:
        self.took = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        """As `gc.callbacks` are called."""
        if phase == "start":
            self._began = time.process_time()
        else:
            self.took += time.process_time() - self._began

    def begin(self) -> None:
        """Count from here."""
        self.took = 0.0


def measured(policy: str, pools: int, replicas: int, ticks: int, *, settled: bool) -> list[Took]:
    """Every tick, the first one included."""
    names = [f"p{number}" for number in range(pools)]
    config, clock, recorder = configuration(names, policy), ManualClock(1000.0), Counted()
    gateway, random = SlabGateway(names), Random(7)
    roster = Roster(gateway, recorder, clock)
    settings = resolve(config, config_dir=Path(), redis_url=None)
    if settled:
        heap.settle()
    for number in range(replicas):
        pool = names[number % pools]
        member = Member(
            name=f"{pool}-v1-{number}",
            pool=pool,
            version="v1",
            cell=0,
            settings=settings[pool]["v1"],
            spec="x",
            born=0.0,
        )
        roster.add(member)
        roster.move(member, ReplicaState.READY, "")
        roster.started(member, 4.0)
    scaler = ScalerLoop(
        gateway, recorder, clock, apply=lambda pool, desired: None, counts=roster.counts
    )
    scaler.configure(config, "redis://127.0.0.1:1/0")
    served, took = dict.fromkeys(names, 0), []
    collections = Collections()
    gc.callbacks.append(collections)
    for _ in range(ticks):
        clock.advance(1.0)
        for name in names:
            busy = random.randrange(10, 60)
            served[name] += busy
            gateway.set_load(name, busy // 2, served[name])
        collections.begin()
        cpu, wall = time.process_time(), time.perf_counter()
        scaler.tick()
        took.append(Took(time.process_time() - cpu, time.perf_counter() - wall, collections.took))
    gc.callbacks.remove(collections)
    return took


async def main() -> None:
    """Measure every policy and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=40)
    parser.add_argument("--unsettled", action="store_true")
    given = parser.parse_args()
    structlog.configure(processors=[_silent])
    print(f"{given.pools} pools, {given.replicas} replicas, {given.ticks} ticks")
    print(f"{'policy':8} {'median ms':>10} {'worst ms':>10} {'on the wall':>12} {'collector':>10}")
    for policy in POLICIES:
        took = measured(
            policy, given.pools, given.replicas, given.ticks, settled=not given.unsettled
        )
        cpu, wall, collector = (max(values) * 1e3 for values in zip(*took, strict=True))
        median = statistics.median(tick.cpu for tick in took) * 1e3
        print(f"{policy:8} {median:10.1f} {cpu:10.1f} {wall:12.1f} {collector:10.1f}")


def _silent(logger: object, name: str, event: object) -> str:
    raise structlog.DropEvent


if __name__ == "__main__":
    asyncio.run(main())
