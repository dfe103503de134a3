"""How long the scaler's decisions take: one tick of 1,000 pools with 10,000 replicas in all.

    python -m bench.tick [--pools N] [--replicas N] [--ticks N]

Everything of a tick but what goes out of the process: counters are summed from a real slab of two
workers, replicas are counted in a real roster, and real policies, guardrails, allocation and
packing decide. Each tick moves the load of every pool, so that nothing can be kept from the last.
The figures are CPU time, which other work on the machine disturbs less than the clock on the wall.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import structlog

from fleet.clock import ManualClock
from fleet.config.schema import Config
from fleet.model import Decision, Event, Replica, ReplicaState
from fleet.telemetry import slab as words
from fleet.telemetry.slab import BLOCK_WORDS, Slab, VersionTotals
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


def measured(policy: str, pools: int, replicas: int, ticks: int) -> list[float]:
    """Seconds of CPU of each tick, the first ones left out."""
    names = [f"p{number}" for number in range(pools)]
    config, clock, recorder = configuration(names, policy), ManualClock(1000.0), Counted()
    gateway, random = SlabGateway(names), Random(7)
    roster = Roster(gateway, recorder, clock)
    settings = resolve(config, config_dir=Path(), redis_url=None)
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
    for _ in range(ticks + 5):
        clock.advance(1.0)
        for name in names:
            busy = random.randrange(10, 60)
            served[name] += busy
            gateway.set_load(name, busy // 2, served[name])
        start = time.process_time()
        scaler.tick()
        took.append(time.process_time() - start)
    return took[5:]


async def main() -> None:
    """Measure every policy and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=30)
    given = parser.parse_args()
    structlog.configure(processors=[_silent])
    print(f"{given.pools} pools, {given.replicas} replicas, {given.ticks} ticks")
    print(f"{'policy':8} {'median ms':>10} {'worst ms':>10}")
    for policy in POLICIES:
        took = measured(policy, given.pools, given.replicas, given.ticks)
        print(f"{policy:8} {statistics.median(took) * 1e3:10.1f} {max(took) * 1e3:10.1f}")


def _silent(logger: object, name: str, event: object) -> str:
    raise structlog.DropEvent


if __name__ == "__main__":
    asyncio.run(main())
