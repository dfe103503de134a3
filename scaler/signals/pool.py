"""All signals of one pool, put together into the readings of each version.

What the gateway and the replicas say is per version. What comes from outside is per pool and
shared over its versions by weight: of 40 items in a queue a version with 5 of 100 answers for 2. A
version without weight gets no part of it. A formula takes its inputs over the whole pool, and its
value is shared in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from msgspec import structs

from fleet.clock import Clock
from fleet.config.schema import Signal
from fleet.model import Reading
from fleet.telemetry.slab import VersionTotals
from scaler.signals import Inputs
from scaler.signals.answers import SILENCE
from scaler.signals.formula import computed
from scaler.signals.loss import Loss
from scaler.signals.poller import NOT_READ_YET, Poller
from scaler.signals.reported import Reports, summed
from scaler.signals.router import RouterReadings
from scaler.signals.standing import Measured, Situation, reading_of


class PoolSignals:
    """The signals of a pool. Sources are asked every `interval` seconds while `running`."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        clock: Clock,
        interval: float,
        on_event: Callable[[str, str], None],
    ) -> None:
        self._inputs = inputs
        self._on_event = on_event
        self._parts = inputs.parts
        self._pollers = [
            Poller(asked.source, asked.signal, clock, interval, on_event) for asked in inputs.asked
        ]
        self._versions: dict[str, list[RouterReadings]] = {}
        self._situations: dict[str, Situation] = {}
        self._reports: dict[str, Reports] = {}
        self._computed: dict[str, float] = {}
        """The last value of each formula."""
        self._losses: dict[tuple[str, str], Loss] = {}
        """Of what is not asked from here, by version and name; a formula is of no version."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask the sources in the background; at the end they are closed."""
        async with contextlib.AsyncExitStack() as stack:
            for poller in self._pollers:
                stack.push_async_callback(poller.source.close)
                name = f"signal {poller.source.name}"
                task = asyncio.create_task(poller.run(), name=name)
                stack.push_async_callback(asyncio.wait, [task])
                stack.callback(task.cancel)
                stack.callback(poller.end)
            yield

    def read(
        self,
        version: str,
        totals: VersionTotals,
        weights: Mapping[str, int],
        *,
        slots: int,
        desired: int,
        reports: Reports,
        now: float,
    ) -> tuple[Reading, ...]:
        """The readings of a version at monotonic time `now`; `weights` are all versions'."""
        if version not in self._versions:
            self._versions[version] = [RouterReadings(s) for s in self._inputs.router]
        situation = Situation(
            desired=desired,
            busy=totals.in_flight + totals.queued_now,
            per_replica=self._inputs.router[0].utilization * slots,
        )
        self._situations[version] = situation
        self._reports[version] = reports
        readings = [
            reading
            for router in self._versions[version]
            for reading in router.read(totals, slots=slots, ready=reports.ready, now=now)
        ]
        for measured, signal in self._loads(reports):
            # one that is not heard yet may have begun to serve a moment ago
            after = 0.0 if reports.loads else SILENCE
            self._loss(version, measured.name).note(
                measured.error, measured.value, now, after=after
            )
            if measured.name not in self._parts:
                readings.append(reading_of(measured, signal, 1.0, situation))
        if weights[version]:
            share = weights[version] / sum(weights.values())
            formulae = list(self._formulae())
            for measured, _ in formulae:
                self._loss("", measured.name).note(
                    measured.error, measured.value, now, after=SILENCE
                )
            readings += [
                reading_of(measured, signal, share, situation)
                for measured, signal in (*self._from_outside(), *formulae)
            ]
        return tuple(readings)

    def forget(self, kept: Mapping[str, object]) -> None:
        """Drop what is kept of versions not in `kept`."""
        self._versions = {v: r for v, r in self._versions.items() if v in kept}
        self._situations = {v: s for v, s in self._situations.items() if v in kept}
        self._reports = {v: r for v, r in self._reports.items() if v in kept}
        self._losses = {k: one for k, one in self._losses.items() if not k[0] or k[0] in kept}

    def lost(self) -> tuple[str, ...]:
        """The signals without a value of their own now, each with its error."""
        derived = [
            *(one for reports in self._reports.values() for one, _ in self._loads(reports)),
            *(one for one, _ in self._formulae()),
        ]
        asked = [poller.measured() for poller in self._pollers]
        return tuple(
            dict.fromkeys(
                f"{one.name}: {one.error}"
                for one in (*asked, *derived)
                if one.error is not None and not one.error.endswith(NOT_READ_YET)
            )
        )

    def _loss(self, version: str, name: str) -> Loss:
        known = self._losses.get((version, name))
        if known is None:
            shown = f"{name} of {version}" if version else name
            known = self._losses[version, name] = Loss(shown, self._on_event)
        return known

    def _loads(self, reports: Reports) -> Iterator[tuple[Measured, Signal]]:
        for one in self._inputs.loads:
            yield summed(reports, one.name, one.per_replica, one.stale), one.signal

    def _from_outside(self) -> Iterator[tuple[Measured, Signal]]:
        """The age of a queue that is not active says nothing, so that it can go to zero."""
        idle = set()
        for asked, poller in zip(self._inputs.asked, self._pollers, strict=True):
            measured = poller.measured()
            if (measured.value or 0.0) <= asked.signal.activation:
                idle.add(measured.name)
            if asked.within in idle:
                measured = structs.replace(measured, value=None)
            if measured.name not in self._parts:
                yield measured, asked.signal

    def _formulae(self) -> Iterator[tuple[Measured, Signal]]:
        if not self._inputs.formulae:
            return
        numbers, errors = self._whole()
        for one in self._inputs.formulae:
            measured = computed(one, numbers, errors)
            if measured.error is not None:
                measured = structs.replace(measured, value=self._computed.get(one.name))
            elif measured.value is not None:
                self._computed[one.name] = measured.value
            yield measured, one.signal

    def _whole(self) -> tuple[dict[str, float | None], dict[str, str]]:
        """Every input by its name, over the whole pool; and why those that are lost are."""
        seen = self._situations.values()
        whole = Situation(
            desired=sum(one.desired for one in seen),
            busy=sum(one.busy for one in seen),
            per_replica=max((one.per_replica for one in seen), default=1.0),
        )
        reports = Reports(
            ready=sum(one.ready for one in self._reports.values()),
            loads=tuple(load for one in self._reports.values() for load in one.loads),
        )
        measured = [
            *((poller.measured(), poller.signal) for poller in self._pollers),
            *self._loads(reports),
        ]
        readings = [reading_of(one, signal, 1.0, whole) for one, signal in measured]
        numbers: dict[str, float | None] = {one.signal: one.value for one in readings}
        if self._inputs.named_router is not None:
            numbers[self._inputs.named_router] = float(whole.busy)
        errors = {one.signal: one.error for one in readings if one.error is not None}
        return numbers, errors
