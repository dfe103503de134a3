"""What pools share stays within its total over all members, whatever happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random

import pytest

from fleet.cluster import Role
from fleet.config.schema import Config
from scaler.cluster.unseen import LOST_FOR
from scaler.members import Counts
from tests.integration.member_kit import Cluster, Daemon, one_server
from tests.unit.scaler_policy.scaler_kit import Fleet, config, totals

BUDGET = 6


def shared(**budget: float) -> Config:
    """Two pools of one budget, decided only when told to."""
    scale = {
        "min": 1,
        "max": 8,
        "tick": "2h",
        "stabilization": "0s",
        "up": {"replicas": 20},
        "budget": "gpu",
    }
    return config(
        {
            "p": {"scale": {**scale, "priority": 1}, "versions": {"v1": 50, "v2": 50}},
            "q": {"scale": scale},
        },
        budgets={"gpu": budget or {"replicas": BUDGET}},
    )


class SlowFleet(Fleet):
    """Replicas that take a few beats to end."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._ends: list[tuple[str, str, int]] = []
        self._now = 0

    def apply(self, pool: str, desired: Mapping[str, int]) -> None:
        for version, size in desired.items():
            for _ in range(self.sizes.get((pool, version), 0) - size):
                self._ends.append((pool, version, self._now + self._random.randrange(1, 8)))
        super().apply(pool, desired)

    def counts(self, pool: str, version: str) -> Counts:
        going = sum((of, name) == (pool, version) for of, name, _ in self._ends)
        return Counts(ready=self.sizes.get((pool, version), 0), draining=going)

    def elapse(self) -> None:
        self._now += 1
        self._ends = [end for end in self._ends if end[2] > self._now]

    @property
    def taken(self) -> int:
        return sum(self.sizes.values()) + len(self._ends)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with one_server(tmp_path) as made:
        yield made


class Walk:
    """Daemons under a load that jumps about; after each step the total is looked at."""

    def __init__(self, cluster: Cluster, seed: int, names: str = "abc") -> None:
        self.random = Random(seed)
        self.cluster = cluster
        self.config = shared()
        self.fleets = {name: SlowFleet(self.random) for name in names}
        self.starts = 0
        for name in names:
            self.start(name)

    def start(self, name: str) -> Daemon:
        """Let a daemon start, again perhaps, over what the one before left running."""
        self.starts += 1
        return self.cluster.add(
            name, start=str(self.starts), of=self.config, fleet=self.fleets[name]
        )

    def load(self, daemon: Daemon) -> None:
        for key in (("p", "v1"), ("p", "v2"), ("q", "v1")):
            daemon.traffic.load[key] = totals(in_flight=self.random.choice([0, 0, 7, 21, 70]))

    @property
    def leader(self) -> Daemon | None:
        return next((d for d in self.cluster.daemons if d.role is Role.LEADER), None)

    @property
    def taken(self) -> int:
        return sum(fleet.taken for fleet in self.fleets.values())

    async def step(self) -> None:
        """A beat of everyone, in any order, then a decision."""
        for fleet in self.fleets.values():
            fleet.elapse()
        daemons = list(self.cluster.daemons)
        for daemon in self.random.sample(daemons, len(daemons)):
            await self.cluster.beats(daemon, seconds=0.5 / len(daemons))
            await asyncio.sleep(0)
            assert self.taken <= BUDGET
        if self.leader is not None and self.leader.deciding:
            self.leader.scaler.tick()


@pytest.mark.parametrize("seed", range(8))
async def test_the_total_holds_while_load_and_sizes_move_about(cluster: Cluster, seed: int) -> None:
    walk = Walk(cluster, seed)
    most = 0
    for step in range(150):
        if step % 12 == 0:
            for daemon in cluster.daemons:
                walk.load(daemon)
        await walk.step()
        most = max(most, walk.taken)
    assert most == BUDGET


@pytest.mark.parametrize("seed", range(8))
async def test_the_total_holds_while_leaders_die_and_start_again(
    cluster: Cluster, seed: int
) -> None:
    walk = Walk(cluster, seed)
    away: tuple[int, str] | None = None
    for step in range(220):
        if step % 12 == 0:
            for daemon in cluster.daemons:
                walk.load(daemon)
        if step % 60 == 30 and (leader := walk.leader) is not None:
            cluster.daemons.remove(leader)
            away = step + walk.random.randrange(0, 25), leader.name
        if away is not None and step >= away[0]:
            walk.load(walk.start(away[1]))
            away = None
        await walk.step()
    assert walk.taken >= 3


async def test_what_a_lost_member_had_is_made_up_for_once_it_counts_no_longer(
    cluster: Cluster,
) -> None:
    walk = Walk(cluster, 1, "ab")
    for daemon in cluster.daemons:
        daemon.traffic.load["p", "v1"] = totals(in_flight=70)
    for _ in range(60):
        await walk.step()
    gone = next(d for d in cluster.daemons if d.role is Role.FOLLOWER)
    assert walk.fleets[gone.name].taken > 0
    cluster.daemons.remove(gone)
    for _ in range(int(LOST_FOR)):
        await walk.step()
    left = cluster.daemons[0]
    assert walk.taken <= BUDGET
    del walk.fleets[gone.name]
    for _ in range(int(LOST_FOR) + 20):
        await walk.step()
    assert walk.fleets[left.name].taken == BUDGET


async def test_without_the_store_members_do_not_grow_beyond_the_total(cluster: Cluster) -> None:
    walk = Walk(cluster, 2, "ab")
    for _ in range(20):
        await walk.step()
    for daemon in cluster.daemons:
        daemon.line.cut = True
        for key in (("p", "v1"), ("q", "v1")):
            daemon.traffic.load[key] = totals(in_flight=70)
    for _ in range(20):
        await walk.step()
        for daemon in cluster.daemons:
            daemon.scaler.tick()
    assert [d.role for d in cluster.daemons] == [Role.ALONE, Role.ALONE]
    assert walk.taken <= BUDGET
