"""Members of a cluster on one real server, beat by beat, each with a clock moved by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from fleet.clock import SystemClock
from fleet.cluster import Role
from fleet.config.schema import Config
from fleet.errors import StoreUnavailableError
from fleet.store.client import Store
from fleet.store.cluster import ClusterStore, Lease, cluster_keys
from fleet.store.embedded import EmbeddedStore
from scaler.cluster.member import Member, Settings
from scaler.cluster.planning import bounds_of
from scaler.cluster.seat import Seat
from scaler.loop import ScalerLoop
from tests.support.servers import answers
from tests.support.waiting import wait_until
from tests.unit.scaler_policy.scaler_kit import FakeGateway, Fleet, Journal, config, totals

LEASE = 3.0
MOST = 8

SCALE = {"policy": "target", "min": 2, "max": MOST, "stabilization": "60s", "tick": "50ms"}
CONFIG = config({"p": {"scale": {**SCALE, "up": {"replicas": 20}}}})


class Time:
    """A clock whose two sides move apart."""

    def __init__(self, wall: float) -> None:
        self.now = 0.0
        self.unix = wall

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.unix

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.unix += seconds


class Line(ClusterStore):
    """A way to the store that can be cut, fail once, and be held up around a leader's write."""

    cut = False
    calls = 0
    fails_at = 0
    """The call that fails, counted from 1."""
    reply_lost = False
    """It fails only after the store has done it."""
    before_write: Callable[[], Awaitable[None]] | None = None
    after_write: Callable[[], None] | None = None

    async def _run(self, script: str, keys: list[str], arguments: list[bytes | str]) -> Any:
        self.calls += 1
        fails = self.calls == self.fails_at
        if self.cut or (fails and not self.reply_lost):
            raise StoreUnavailableError("cut")
        answer = await super()._run(script, keys, arguments)
        if fails:
            raise StoreUnavailableError("the reply is lost")
        return answer

    async def lead(
        self, lease: Lease, beat: int, *, plan: bytes, state: bytes, gone: Collection[str]
    ) -> bool:
        if (wait := self.before_write) is not None:
            self.before_write = None
            await wait()
        accepted = await super().lead(lease, beat, plan=plan, state=state, gone=gone)
        if (then := self.after_write) is not None:
            self.after_write = None
            then()
        return accepted


class Daemon:
    """One member with a fleet of its own."""

    def __init__(
        self,
        name: str,
        store: Store,
        time: Time,
        start: str = "1",
        of: Config = CONFIG,
        fleet: Fleet | None = None,
    ) -> None:
        self.name = name
        self.time = time
        self.traffic = FakeGateway()
        self.fleet = fleet or Fleet()
        self.journal = Journal()
        self.line = Line(store)
        self.overrides: list[bytes] = []
        self.seat = Seat(
            name,
            self.traffic,
            counts=self.fleet.counts,
            desired=lambda pool, version: self.fleet.sizes.get((pool, version)),
            apply=self.fleet.apply,
        )
        self.scaler = ScalerLoop(
            self.seat, self.journal, time, apply=self.seat.apply, counts=self.seat.counts
        )
        self.config = of
        self.member = Member(
            Settings(cluster="test", member=name, lease=LEASE),
            start,
            store=self.line,
            seat=self.seat,
            scaler=self.scaler,
            configure=lambda: self.scaler.configure(self.config, "unix:///none"),
            bounds=lambda pool: bounds_of(of.pools[pool].scale),
            on_overrides=self.overrides.append,
            recorder=self.journal,
            clock=time,
        )
        self.scaler.configure(self.config, "unix:///none")

    @property
    def size(self) -> int:
        return self.fleet.sizes.get(("p", "v1"), 0)

    @property
    def role(self) -> Role:
        return self.member.status().role

    @property
    def deciding(self) -> bool:
        """Its loops run."""
        return self.member._term.running

    def load(self, requests: int) -> None:
        """So many in flight; a replica is meant for 7."""
        self.traffic.load["p", "v1"] = totals(in_flight=requests)


class Cluster:
    """Daemons on one server, each with its clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.daemons: list[Daemon] = []

    def add(self, name: str, wall: float = 1_000_000.0, start: str = "1", **more: Any) -> Daemon:
        daemon = Daemon(name, self.store, Time(wall), start, **more)
        if self.daemons:
            daemon.time.now = self.daemons[0].time.now
        self.daemons.append(daemon)
        return daemon

    async def beats(self, *of: Daemon, count: int = 1, seconds: float = 0.5) -> None:
        """Rounds in turn, `seconds` apart; all clocks move."""
        for _ in range(count):
            for daemon in self.daemons:
                daemon.time.advance(seconds)
            for daemon in of or self.daemons:
                await daemon.member.beat()

    async def settled(self, met: Callable[[], object], what: str, *of: Daemon) -> None:
        """Beat without time passing, while the loops run, until something is so."""

        async def look() -> object:
            await self.beats(*of, seconds=0.0)
            return met()

        await wait_until(look, what)


@contextlib.asynccontextmanager
async def one_server(directory: Path) -> AsyncIterator[Cluster]:
    """A cluster without members, on a server of its own; members leave at the end."""
    embedded = EmbeddedStore(directory / "store", SystemClock())
    await embedded.start()
    store = Store(embedded.url, SystemClock(), keys=cluster_keys("test"))
    try:
        await wait_until(lambda: answers(embedded.url), "the server answers")
        made = Cluster(store)
        yield made
        for daemon in made.daemons:
            await daemon.member.leave()
    finally:
        await store.stop()
        await embedded.stop()
