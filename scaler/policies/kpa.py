"""`kpa`: as the autoscaler of Knative: a stable window, a panic window, rates of what is ready.

Source: knative `pkg/autoscaler/scaling/autoscaler.go` (`Scale`). The load is requests in flight
and queued; one replica should carry `target_utilization` of its slots. From and to zero:
`scaler.policies.kpa_stage`.
"""

from __future__ import annotations

import math
from typing import Self

from msgspec import Struct, structs

from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies.kpa_measure import by_second, exponential, linear, most_lately, targets
from scaler.policies.kpa_stage import Stage, entered, sized
from scaler.policies.memory import NEVER, Memory
from scaler.policies.metrics import Load, loads_moved, noted
from scaler.policies.want import Want
from scaler.windows import Wish, wishes_moved

GRANULARITY = 2.0
"""Seconds of a bucket of the scale-down delay."""


class KpaSpec(Struct, frozen=True, kw_only=True):
    """What one decision needs of the settings; rates are factors, times are seconds."""

    target: float
    stable_window: float = 60.0
    panic_threshold: float = 2.0
    max_up_rate: float = 1000.0
    max_down_rate: float = 2.0
    activation_scale: int = 0
    scale_down_delay: float = 0.0
    reachable: bool = True
    """Whether traffic may come; one that gets none may shrink at any rate."""


class KpaPast(Struct, frozen=True, kw_only=True):
    """Panic and delayed decisions; times are monotonic."""

    panic_since: float | None = None
    max_panic: int = 0
    delayed: tuple[Wish, ...] = ()

    @classmethod
    def begun(cls, ready: int, now: float) -> KpaPast:
        """A new autoscaler panics if there is something to lose."""
        return cls(panic_since=now if ready > 1 else None, max_panic=ready)


class KpaMemory(Memory, frozen=True, kw_only=True, tag="kpa"):
    """Loads of the stable window, when a decision was made, and how far the version is."""

    decided: float = NEVER
    stage: Stage
    loads: tuple[Load, ...] = ()
    past: KpaPast = KpaPast()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        since = self.past.panic_since
        return structs.replace(
            self,
            decided=self.decided + by,
            stage=structs.replace(self.stage, since=self.stage.since + by),
            loads=loads_moved(self.loads, by),
            past=structs.replace(
                self.past,
                panic_since=None if since is None else since + by,
                delayed=wishes_moved(self.past.delayed, by),
            ),
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, KpaMemory]:
    """See the module."""
    seen, kpa, now = observation, settings.kpa, observation.monotonic
    if not isinstance(memory, KpaMemory):
        memory = KpaMemory(stage=Stage("activating", now), past=KpaPast.begun(seen.ready, now))
    load = Load(now, float(seen.in_flight + seen.queued))
    memory = structs.replace(memory, loads=noted(memory.loads, load, kpa.stable_window))
    if now - memory.decided < kpa.tick - 1e-9 and (seen.desired or not load.value):
        return _want(seen.desired, "between two ticks", None), memory
    target, _ = targets(seen.slots, kpa.target_utilization, asked=kpa.target, capacity=seen.slots)
    spec = KpaSpec(
        target=target,
        stable_window=kpa.stable_window,
        panic_threshold=kpa.panic_threshold_percentage / 100,
        max_up_rate=kpa.max_scale_up_rate,
        max_down_rate=kpa.max_scale_down_rate,
        activation_scale=kpa.activation_scale,
        scale_down_delay=kpa.scale_down_delay,
        reachable=seen.weight > 0,
    )
    panic_window = kpa.stable_window * kpa.panic_window_percentage / 100
    loads, first = by_second(memory.loads), memory.loads[0].at
    if kpa.aggregation == "exponential":
        stable = exponential(loads, kpa.stable_window, now)
        panic = exponential(loads, panic_window, now)
    else:
        stable = linear(loads, first, kpa.stable_window, now)
        panic = linear(loads, first, panic_window, now)
    replicas, past = scale(spec, memory.past, now, seen.ready, stable, panic)
    mode = "stable" if past.panic_since is None else "panic"
    reason = (
        f"{mode}: {stable:.3g} over {kpa.stable_window:.0f}s and {panic:.3g} lately ask for "
        f"{replicas} at {spec.target:.3g} each"
    )
    replicas, stage, note = _staged(replicas, seen, memory.stage, settings)
    memory = structs.replace(memory, decided=now, stage=stage, past=past)
    return _want(replicas, reason + note, replicas), memory


def _staged(
    wanted: int, seen: Observation, stage: Stage, settings: Scale
) -> tuple[int, Stage, str]:
    """The size with regard to where the version is, the stage after that, and a note if it counts.

    A version is created with its initial size, and goes to zero only where the pool may; unless
    nothing leads to it.
    """
    kpa = settings.kpa
    initial = kpa.initial_scale if seen.weight else 0
    if not stage.begun and not seen.desired:
        wanted = max(wanted, initial)
    answer, applied = sized(
        wanted,
        seen.desired,
        stage,
        seen.monotonic,
        stable_window=kpa.stable_window,
        grace=max(kpa.scale_to_zero_grace_period, kpa.scale_to_zero_pod_retention_period),
        initial=initial,
        least=1 if settings.min and seen.weight else 0,
    )
    after = entered(stage, answer, seen.ready, initial, seen.monotonic)
    size = seen.desired if answer is None or not applied else answer
    if size == wanted:
        return size, after, ""
    return size, after, f", {size} while {stage.name}"


def scale(
    spec: KpaSpec, past: KpaPast, now: float, ready: int, stable: float, panic: float
) -> tuple[int, KpaPast]:
    """One decision of Knative's autoscaler, from the two averages of a total load.

    Worked: 10 ready, target 1, stable 11, panic 25: 25 / 10 is over the threshold of 2, so panic
    begins and 25 are wanted, which then is the least until panic is over.
    """
    there = max(1, ready)
    most = math.ceil(spec.max_up_rate * there)
    least = math.floor(there / spec.max_down_rate) if spec.reachable else 0
    for_stable, for_panic = math.ceil(stable / spec.target), math.ceil(panic / spec.target)
    wanted = min(max(for_stable, least), most)
    urgent = min(max(for_panic, least), most)
    if spec.activation_scale > 1:
        wanted = max(wanted, spec.activation_scale) if for_stable > 0 else wanted
        urgent = max(urgent, spec.activation_scale) if for_panic > 0 else urgent
    since, highest = past.panic_since, past.max_panic
    if for_panic / there >= spec.panic_threshold:
        since = now
    elif since is not None and since + spec.stable_window < now:
        since, highest = None, 0
    if since is not None:
        highest = max(highest, wanted, urgent)
        wanted = highest
    delayed = past.delayed if spec.scale_down_delay > 0 else ()
    if spec.reachable and spec.scale_down_delay > 0:
        delayed = most_lately(delayed, Wish(now, wanted), spec.scale_down_delay, GRANULARITY)
        wanted = delayed[0].replicas
    return wanted, KpaPast(panic_since=since, max_panic=highest, delayed=delayed)


def _want(replicas: int, reason: str, proposed: int | None) -> Want:
    proposal = Proposal(signal="concurrency", replicas=proposed, reason=reason)
    return Want(replicas=replicas, reason=reason, proposals=(proposal,))
