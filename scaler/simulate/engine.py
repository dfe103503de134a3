"""The discrete-event simulation of one pool: arrivals, slots, queues, starts, drains and ticks.

Pure: the workload, the controller and the seed decide everything; there is no clock and no I/O.

What is as in the daemon: a request takes a free slot of its version or waits, first come first
served, while the queue has room (`router.admission`); one that has waited for the queue's timeout
is sent away; a slot that comes free goes to the first waiter. The scaler ticks every
`scale.tick`, and at once when a queue forms, but KICK_GAP apart (`scaler.pool_loop`); it sees the
same `Observation`, with the readings of the same `RouterReadings`, and decides with the same
`decide_pool`. A replica chosen to leave takes nothing new and ends with its last request. A version
is drawn by its weight, and passed over while it has no ready replica and another has one. Versions
with static endpoints keep them.

What is not: replicas never fail, an admitted request never does, there is no affinity, all workers
share one queue, which has no classes, tenants or delays, and readings from outside (Redis,
Prometheus) and of the latencies of replies are absent (`scaler.simulate.omitted`).

The loop handles two kinds of events as fast as Python does, arrivals from an array and ends from
a heap, and stops for all others: ticks, and replicas that have started.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable
from random import Random
from typing import Final

from fleet.model import Observation
from fleet.telemetry.histogram import BOUNDS
from scaler.allocate import Share, allocate
from scaler.pool_loop import KICK_GAP
from scaler.signals import router_settings
from scaler.signals.router import RouterReadings
from scaler.simulate.controller import Controller
from scaler.simulate.run import Run, Series
from scaler.simulate.setup import Setup
from scaler.simulate.version import SimVersion
from scaler.simulate.workload import Workload, assigned

_NEVER: Final = float("inf")


def simulate(
    setup: Setup,
    workload: Workload,
    controller: Controller,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """One run of `workload`. The same arguments give the same run.

    `progress` is called now and then with the simulated seconds so far.
    """
    return _Simulation(setup, workload, controller, seed).run(progress)


class _Simulation:
    def __init__(self, setup: Setup, workload: Workload, controller: Controller, seed: int) -> None:
        self.setup = setup
        self.workload = workload
        self.controller = controller
        self.owners: list[SimVersion] = []
        rng = Random(f"{seed}: cold starts")
        self.versions = [
            SimVersion(
                version.name,
                weight=version.weight,
                slots=version.slots,
                cold_start=setup.cold_start,
                rng=rng,
                owners=self.owners,
            )
            for version in setup.versions
        ]
        self.fixed = {v.name: v.fixed for v in setup.versions if v.fixed is not None}
        self.scaled = [version for version in self.versions if version.name not in self.fixed]
        self.readings = {
            version.name: [RouterReadings(s) for s in router_settings(setup.scale.signals)]
            for version in self.scaled
        }
        self.chosen = assigned(
            len(workload.arrivals),
            {version.name: version.weight for version in self.versions},
            Random(f"{seed}: versions"),
        )
        self.spill = Random(f"{seed}: versions without a replica")
        self.arrivals = array("d", workload.arrivals)
        self.arrivals.append(_NEVER)
        self.next = 0
        """The next request to arrive."""
        self.ends: list[tuple[float, int, float]] = []
        """Heap of the requests in flight: end, replica, service time."""
        self.waits = array("d")
        self.late = self.shed = self.expired = 0
        self.series = Series(
            at=array("d"),
            arrived=array("q"),
            queued=array("q"),
            ready=array("q"),
            alive=array("q"),
            missed=array("q"),
        )
        self.changes: list[tuple[float, int]] = []

    def run(self, progress: Callable[[float], None] | None) -> Run:
        """Until the end of the workload."""
        end, tick = self.workload.end, self.setup.scale.tick
        self._begin()
        now, ticks = 0.0, 0
        next_ready = self._tick(now)
        next_tick, earliest = tick, KICK_GAP
        while True:
            formed = self._advance(min(next_tick, next_ready, end))
            if formed is not None:
                next_tick = min(next_tick, max(formed, earliest))
                continue
            now = min(next_tick, next_ready, end)
            if now >= end:
                return self._result()
            if next_ready <= now:
                next_ready = self._settle(now)
                continue
            next_ready = self._tick(now)
            next_tick, earliest = now + tick, now + KICK_GAP
            ticks += 1
            if progress is not None and ticks % 1024 == 0:
                progress(now)

    def _begin(self) -> None:
        total = self.setup.initial
        wanted = [
            Share(version=v.name, weight=v.weight, wanted=total, claim=total) for v in self.scaled
        ]
        sizes = {**allocate(wanted, low=total, high=total), **self.fixed}
        for version in self.versions:
            version.begin(sizes[version.name], 0.0)
        self.changes.append((0.0, sum(sizes.values())))

    def _advance(self, until: float) -> float | None:
        """Handle arrivals and ends before `until`.

        Returns at once, with the time, when a version's queue forms.
        """
        arrivals, services, ends = self.arrivals, self.workload.services, self.ends
        owners, versions, chosen = self.owners, self.versions, self.chosen
        only, timeout = versions[0], self.setup.queue_timeout
        push, pop, replace = heapq.heappush, heapq.heappop, heapq.heapreplace
        number = self.next
        while True:
            arrival = arrivals[number]
            end = ends[0][0] if ends else _NEVER
            if arrival <= end:
                if arrival >= until:
                    break
                version = versions[chosen[number]] if chosen else only
                if not version.ready and chosen:
                    version = self._instead(version)
                version.arrived += 1
                if version.free and not version.queue:
                    version.started += 1
                    service = services[number]
                    push(ends, (arrival + service, version.free.popleft(), service))
                    number += 1
                    continue
                number += 1
                if self._enqueue(version, number - 1, arrival):
                    self.next = number
                    return arrival
                continue
            if end >= until:
                break
            _, replica, service = ends[0]
            version = owners[replica]
            if replica not in version.ready:
                pop(ends)
                self._end_of_leaving(version, replica, end, service)
                continue
            version.served += 1
            version.busy_seconds += service
            queue = version.queue
            while queue and arrivals[queue[0]] + timeout <= end:
                self._expire(version)
            if queue:
                waiter = queue.popleft()
                self._admit(version, end - arrivals[waiter])
                service = services[waiter]
                replace(ends, (end + service, replica, service))
            else:
                pop(ends)
                version.free.append(replica)
        self.next = number
        return None

    def _instead(self, version: SimVersion) -> SimVersion:
        """The one that takes the requests of a version without a ready replica."""
        ready = [one for one in self.versions if one.ready and one.weight]
        if not ready:
            return version
        return self.spill.choices(ready, [one.weight for one in ready])[0]

    def _enqueue(self, version: SimVersion, number: int, now: float) -> bool:
        """Let a request wait, or refuse it; True when it is the first of a queue."""
        setup = self.setup
        self._expire_until(now)
        if sum(len(v.queue) for v in self.versions) >= setup.queue_limit:
            self.shed += 1
            return False
        version.queue.append(number)
        return len(version.queue) == 1

    def _admit(self, version: SimVersion, wait: float) -> None:
        version.started += 1
        version.waited += 1
        version.wait_counts[bisect_left(BOUNDS, wait)] += 1
        self.waits.append(wait)
        if wait > self.setup.slo:
            self.late += 1

    def _expire(self, version: SimVersion) -> None:
        version.queue.popleft()
        self.expired += 1
        self.waits.append(self.setup.queue_timeout)

    def _expire_until(self, now: float) -> None:
        timeout = self.setup.queue_timeout
        for version in self.versions:
            while version.queue and self.arrivals[version.queue[0]] + timeout <= now:
                self._expire(version)

    def _end_of_leaving(
        self, version: SimVersion, replica: int, now: float, service: float
    ) -> None:
        left = version.leaving.get(replica)
        if left is None or version.deadlines[replica] < now:
            return
        version.served += 1
        version.busy_seconds += service
        version.leaving[replica] = left - 1
        if left == 1:
            version.gone(replica, now)

    def _settle(self, now: float) -> float:
        """Let replicas become ready and serve those who wait; when the next one will be."""
        soonest = _NEVER
        for version in self.versions:
            next_ready = version.settle(now)
            if next_ready is not None:
                soonest = min(soonest, next_ready)
        self._expire_until(now)
        for version in self.versions:
            while version.queue and version.free:
                waiter, replica = version.queue.popleft(), version.free.popleft()
                self._admit(version, now - self.arrivals[waiter])
                service = self.workload.services[waiter]
                heapq.heappush(self.ends, (now + service, replica, service))
        return soonest

    def _tick(self, now: float) -> float:
        """Observe, decide and resize; returns when the next replica is ready."""
        next_ready = self._settle(now)
        sizes = self.controller([self._observe(version, now) for version in self.scaled])
        for version in self.scaled:
            size = sizes[version.name]
            if size != version.desired:
                ready = version.resize(size, now, self.setup.drain_timeout)
                next_ready = next_ready if ready is None else min(next_ready, ready)
        total = sum(version.desired for version in self.versions)
        if total != self.changes[-1][1]:
            self.changes.append((now, total))
        self._note(now)
        return next_ready

    def _observe(self, version: SimVersion, now: float) -> Observation:
        totals = version.totals()
        readings = tuple(
            reading
            for router in self.readings[version.name]
            for reading in router.read(
                totals, slots=version.slots, ready=len(version.ready), now=now
            )
        )
        at = self.workload.clock + self.workload.speed * now
        return version.observe(self.setup.pool, now, at, readings)

    def _note(self, now: float) -> None:
        series = self.series
        series.at.append(now)
        series.arrived.append(sum(version.arrived for version in self.versions))
        series.queued.append(sum(len(version.queue) for version in self.versions))
        series.ready.append(sum(len(version.ready) for version in self.versions))
        series.alive.append(sum(version.alive for version in self.versions))
        series.missed.append(self.late + self.shed + self.expired)

    def _result(self) -> Run:
        end, slo = self.workload.end, self.setup.slo
        self._settle(end)
        self._note(end)
        so_far = [end - self.arrivals[number] for v in self.versions for number in v.queue]
        return Run(
            arrived=sum(version.arrived for version in self.versions),
            admitted=sum(version.started for version in self.versions),
            late=self.late,
            shed=self.shed,
            expired=self.expired,
            waiting=len(so_far),
            overdue=sum(wait > slo for wait in so_far),
            cut=sum(version.cut for version in self.versions),
            waits=array("d", sorted(self.waits)),
            so_far=array("d", so_far),
            replica_seconds=sum(version.cost(end) for version in self.versions),
            starts=sum(version.starts for version in self.versions),
            changes=tuple(self.changes),
            end=end,
            series=self.series,
        )
