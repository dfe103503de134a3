"""The loop over all pools, in real time but never waiting long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scaler_kit import FakeGateway, Fleet, Journal, config, totals

from fleet.clock import Clock, ManualClock, SystemClock
from fleet.telemetry.slab import VersionTotals
from scaler.loop import ScalerLoop
from scaler.state import LONGEST_BREAK
from tests.support.ports import free_port
from tests.support.waiting import wait_until

STORE = "redis://127.0.0.1:1/0"
HOUR = "1h"
"""A tick that never comes within a test: what happens, happens by a kick."""


class Daemon:
    """A scaler and what is around it."""

    def __init__(self, clock: Clock | None = None, fleet: Fleet | None = None) -> None:
        self.gateway, self.journal = FakeGateway(), Journal()
        self.fleet = fleet or Fleet()
        self.scaler = ScalerLoop(
            self.gateway,
            self.journal,
            clock or SystemClock(),
            apply=self.fleet.apply,
            counts=self.fleet.counts,
            pack=self.gateway.pack,
        )

    def configure(self, pools: dict[str, Any], **more: Any) -> None:
        self.scaler.configure(config(pools), STORE, **more)

    def size(self, pool: str = "support", version: str = "v1") -> int | None:
        return self.fleet.sizes.get((pool, version))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.scaler.run(stop))
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await task


def pool(minimum: int = 1, **settings: Any) -> dict[str, Any]:
    scale = {"min": minimum, "max": 20, "tick": HOUR, **settings.pop("scale", {})}
    return {"scale": scale, **settings}


async def test_the_first_tick_comes_at_once_and_brings_the_minimum() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(2)})
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 2, "min is applied")
    decision = daemon.scaler.latest("support", "v1")
    assert decision is not None
    assert decision.reason == "up 0 -> 2: wanted 0, set by min (the pool has at least 2)"
    assert daemon.journal.decisions == [decision]


async def test_a_tick_comes_by_itself() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(scale={"tick": "10ms"})})
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 1, "the first tick")
        daemon.gateway.load["support", "v1"] = totals(20)
        await wait_until(lambda: daemon.size() == 3, "a tick without a kick")


async def test_a_queue_that_forms_is_answered_at_once() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(0)})
    async with daemon.running():
        await wait_until(lambda: daemon.scaler.latest("support", "v1"), "the first tick")
        daemon.gateway.load["support", "v1"] = totals(queued=1)
        daemon.scaler.kick("support")
        await wait_until(lambda: daemon.size() == 1, "the kick is answered", timeout=1)
    assert daemon.journal.reasons()[-1].startswith("up 0 -> 1: router.in_flight 0 + queue 1")


async def test_many_kicks_make_few_ticks() -> None:
    ticks = 0

    class CountingGateway(FakeGateway):
        def slots_per_replica(self, pool: str, version: str) -> int | None:
            return None

        def totals(self, pool: str, version: str) -> VersionTotals:
            nonlocal ticks
            ticks += 1
            return super().totals(pool, version)

    daemon = Daemon()
    gateway = CountingGateway()
    scaler = ScalerLoop(
        gateway,
        daemon.journal,
        SystemClock(),
        apply=daemon.fleet.apply,
        counts=daemon.fleet.counts,
    )
    scaler.configure(config({"support": pool()}), STORE)
    stop = asyncio.Event()
    running = asyncio.create_task(scaler.run(stop))
    loop = asyncio.get_running_loop()
    start = loop.time()
    while loop.time() < start + 0.12 or (ticks < 2 and loop.time() < start + 10):
        scaler.kick("support")
        await asyncio.sleep(0)
    elapsed = loop.time() - start
    stop.set()
    await running
    assert 2 <= ticks <= elapsed / 0.05 + 2


async def test_a_kick_for_an_unknown_pool_is_ignored() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool()})
    daemon.scaler.kick("nobody")
    assert daemon.scaler.latest("nobody", "v1") is None
    assert daemon.scaler.lost("nobody") == ()


async def test_sizes_are_applied_only_when_they_change() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(scale={"tick": "1ms"})})
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 1, "the first tick")
        first = daemon.scaler.latest("support", "v1")
        await wait_until(lambda: daemon.scaler.latest("support", "v1") is not first, "a later tick")
    assert daemon.fleet.applied == [("support", {"v1": 1})]


async def test_an_override_holds_the_size_until_it_is_lifted() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(scale={"stabilization": "0s"})})
    async with daemon.running():
        daemon.scaler.set_override("support", 7, None)
        await wait_until(lambda: daemon.size() == 7, "the size is held")
        daemon.scaler.set_override("support", None, None)
        await wait_until(lambda: daemon.size() == 1, "the scaler decides again")


async def test_an_override_may_come_before_the_pool_and_stays_over_a_reload() -> None:
    daemon = Daemon()
    daemon.scaler.set_override("support", 3, None)
    daemon.configure({"support": pool()})
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 3, "the size is held")
        daemon.configure({"support": pool(5, scale={"tick": "2h"})})
        before = len(daemon.fleet.applied)
        await wait_until(lambda: len(daemon.fleet.applied) > before, "the reload is applied")
    assert daemon.size() == 3


async def test_a_reload_goes_on_from_the_present_sizes() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool()})
    daemon.gateway.load["support", "v1"] = totals(25)
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 4, "grown")
        daemon.gateway.load["support", "v1"] = totals(0)
        daemon.configure({"support": pool(2), "other": pool()})
        await wait_until(lambda: daemon.size("other") == 1, "the new pool is there")
        await wait_until(lambda: len(daemon.fleet.applied) == 3, "the old pool decided again")
    assert daemon.size() == 4, "kept by the stabilization of before the reload"


async def test_a_new_canary_and_a_weight_raised_from_zero_have_a_replica_at_once() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(versions={"v1": 100, "v2": 0})})
    async with daemon.running():
        await wait_until(lambda: daemon.size("support", "v2") == 0, "no weight, no replica")
        daemon.configure(
            {"support": pool(versions={"v1": 100, "v2": 0, "v3": 1})},
            weights={"support": {"v2": 5}},
        )
        await wait_until(lambda: daemon.size("support", "v2") == 1, "raised from zero")
        await wait_until(lambda: daemon.size("support", "v3") == 1, "newly added")


async def test_a_pool_that_is_gone_is_no_longer_scaled() -> None:
    daemon = Daemon()
    daemon.configure({"support": pool(), "other": pool()})
    async with daemon.running():
        await wait_until(lambda: daemon.size("other") == 1, "both run")
        daemon.configure({"support": pool()})
        assert daemon.scaler.latest("other", "v1") is None


async def test_static_replicas_are_not_scaled() -> None:
    static: dict[str, Any] = {"driver": {"static": {"endpoints": ["http://127.0.0.1:1"]}}}
    daemon = Daemon()
    daemon.configure(
        {
            "fixed": pool(**static),
            "mixed": pool(2, versions={"v1": 50, "old": {"weight": 50, **static}}),
        }
    )
    async with daemon.running():
        await wait_until(lambda: daemon.size("mixed") == 2, "the process version is scaled")
    assert daemon.fleet.applied == [("mixed", {"v1": 2})]


async def test_one_pools_fault_is_not_anothers(capsys: pytest.CaptureFixture[str]) -> None:
    daemon = Daemon()

    def counts(name: str, version: str) -> Any:
        if name == "broken":
            raise RuntimeError("a fault")
        return daemon.fleet.counts(name, version)

    scaler = ScalerLoop(
        daemon.gateway, daemon.journal, SystemClock(), apply=daemon.fleet.apply, counts=counts
    )
    scaler.configure(config({"broken": pool(), "support": pool()}), STORE)
    stop = asyncio.Event()
    running = asyncio.create_task(scaler.run(stop))
    await wait_until(lambda: daemon.size() == 1, "the sound pool is scaled")
    stop.set()
    await running
    assert daemon.size("broken") is None
    assert "tick failed" in capsys.readouterr().out


async def test_a_signal_nobody_answers_is_lost_and_does_not_delay_the_first_tick() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    daemon = Daemon()
    signals = [{"redis": {"list": "jobs", "url": url}}]
    daemon.configure({"support": pool(scale={"signals": signals}), "other": pool()})
    async with daemon.running():
        await wait_until(lambda: daemon.size() == 1 and daemon.size("other") == 1, "both run")
        await wait_until(lambda: daemon.scaler.lost("support"), "the signal is lost")
        assert daemon.scaler.lost("other") == ()
    assert daemon.journal.kinds() == ["signal.lost"]
    assert daemon.scaler.lost("support")[0].startswith("redis:jobs: ")


async def test_a_reload_with_the_same_signals_leaves_them_alone() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    signals = {"signals": [{"redis": {"list": "jobs", "url": url}}]}
    daemon = Daemon()
    daemon.configure({"support": pool(scale=signals)})
    async with daemon.running():
        await wait_until(lambda: daemon.scaler.lost("support"), "the signal is lost")
        daemon.configure({"support": pool(2, scale=signals)})
        assert daemon.scaler.lost("support"), "still known, without another read"
        await wait_until(lambda: daemon.size() == 2, "the reload is applied")
        daemon.configure({"support": pool(2)})
        assert daemon.scaler.lost("support") == (), "the signal is gone"
    assert daemon.journal.kinds() == ["signal.lost"]


def ticked(daemon: Daemon, fleet_load: int) -> None:
    """One tick of every pool, without a loop."""
    daemon.gateway.load["support", "v1"] = totals(fleet_load)
    for loop in daemon.scaler._pools.values():
        loop.tick()


@pytest.mark.parametrize(
    ("away", "size"),
    [
        pytest.param(10.0, 4, id="soon: what was wanted lately still counts"),
        pytest.param(70.0, 1, id="later: what was wanted is forgotten"),
        pytest.param(LONGEST_BREAK + 1, 0, id="much later: it begins with the replicas found"),
    ],
)
def test_a_restart_goes_on_where_the_last_daemon_ended(away: float, size: int) -> None:
    clock = ManualClock(1000.0)
    before = Daemon(clock)
    before.configure({"support": pool(0)})
    ticked(before, 25)
    assert before.size() == 4
    state = before.scaler.state()
    clock.advance(away)

    after = Daemon(clock)
    after.scaler.restore(state)
    after.configure({"support": pool(0)})
    ticked(after, 1 if size else 0)
    assert after.size() == size


def test_a_state_that_cannot_be_read_is_left_out() -> None:
    daemon = Daemon(ManualClock(1000.0), Fleet())
    daemon.fleet.sizes["support", "v1"] = 4
    daemon.scaler.restore(b"not a state")
    daemon.configure({"support": pool()})
    ticked(daemon, 0)
    assert daemon.size() == 4, "the replicas found are kept until their load is known"


def test_a_dry_run_asks_for_the_present_size_and_is_told_once() -> None:
    daemon = Daemon(ManualClock(1000.0))
    daemon.configure({"support": pool(scale={"dry_run": True})})
    for _ in range(3):
        ticked(daemon, 40)
    assert daemon.size() == 1
    assert all(d.dry_run for d in daemon.journal.decisions)
    told = [d.desired for d in daemon.journal.decisions]
    assert told[-1] > 1
    assert len(told) == len(set(told)), "each size once"


def test_the_last_replica_stays_when_a_request_comes_between_the_look_and_the_cut() -> None:
    class LateGateway(FakeGateway):
        late = False
        asked = 0

        def totals(self, pool: str, version: str) -> VersionTotals:
            self.asked += 1
            # a tick looks once for its observation, and once more before the cut
            busy = self.late and self.asked % 2 == 0
            return totals(in_flight=1 if busy else 0)

    daemon = Daemon(ManualClock(1000.0))
    gateway = daemon.gateway = LateGateway()
    daemon.scaler._gateway = gateway
    settings = {"idle": "0s", "stabilization": "0s"}
    daemon.fleet.sizes["support", "v1"] = 1
    daemon.configure({"support": pool(0, scale=settings)})
    loop = daemon.scaler._pools["support"]
    gateway.late = True
    loop.tick()
    assert daemon.size() == 1
    assert daemon.fleet.applied == []
    gateway.late = False
    loop.tick()
    assert daemon.size() == 0


def test_pools_of_one_budget_never_have_more_than_it() -> None:
    daemon = Daemon(ManualClock(1000.0))
    fast = {"up": {"replicas": 50}, "stabilization": "0s", "budget": "gpu"}
    first = pool(scale={**fast, "priority": 1})
    pools = {"a": first, "b": pool(scale=fast)}
    daemon.scaler.configure(config(pools, budgets={"gpu": {"replicas": 6}}), STORE)
    daemon.gateway.load["b", "v1"] = totals(90)
    for load in (0, 0, 30, 90, 90, 10, 0, 0):
        daemon.gateway.load["a", "v1"] = totals(load)
        for loop in daemon.scaler._pools.values():
            loop.tick()
        assert sum(daemon.fleet.sizes.values()) <= 6
    assert (daemon.size("a"), daemon.size("b")) == (1, 5)


async def test_a_term_begins_with_what_every_pool_holds_by_then() -> None:
    daemon = Daemon()
    scale = {"up": {"replicas": 50}, "budget": "gpu"}
    pools = {"a": pool(scale={**scale, "priority": 1}), "b": pool(scale=scale)}
    daemon.scaler.configure(config(pools, budgets={"gpu": {"replicas": 6}}), STORE)
    daemon.fleet.sizes["b", "v1"] = 5
    for name in ("a", "b"):
        daemon.gateway.load[name, "v1"] = totals(90)
    async with daemon.running():
        await wait_until(lambda: len(daemon.fleet.applied) >= 2, "both are decided")
    assert daemon.fleet.applied[0] == ("a", {"v1": 1})


async def test_what_a_weight_waits_for_is_still_wanted_in_a_new_term() -> None:
    daemon = Daemon()
    pools = {"support": pool(versions={"v1": 100, "v2": 0})}
    daemon.configure(pools)
    daemon.scaler.set_minimums("support", {"v2": 3})
    daemon.scaler.begin_anew()
    daemon.configure(pools)
    async with daemon.running():
        await wait_until(lambda: daemon.size(version="v2") == 3, "the minimum is applied")


def test_requests_are_packed_while_the_pool_is_larger_than_wanted() -> None:
    daemon = Daemon(ManualClock(1000.0))
    daemon.configure({"support": pool(scale={"pack": "shrinking"})})
    ticked(daemon, 40)
    assert daemon.gateway.packed == {}
    ticked(daemon, 3)
    assert daemon.gateway.packed == {"support": {"v1"}}
    # a reload with other signals makes another loop, which has to know
    daemon.configure({"support": pool(scale={"pack": "shrinking", "tick": "2h"})})
    ticked(daemon, 40)
    assert daemon.gateway.packed == {"support": frozenset()}
