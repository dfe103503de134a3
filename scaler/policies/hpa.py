"""`hpa`: as the HorizontalPodAutoscaler of Kubernetes, its behaviour included.

Every `sync_period` each reading proposes a size, the largest counts, one without a value blocks
shrinking; then the stabilization windows and the rates of each direction. Between two syncs the
size stays. The types of metrics:

| reading | type |
|---|---|
| a total | AverageValue |
| a ratio that the replicas make, such as a wait | of pods: the mean over those that are ready |
| a ratio from outside, such as a queue's age | Value |
"""

from __future__ import annotations

from typing import Self

from msgspec import Struct, structs

from fleet.config.policies import Hpa
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal, Reading
from scaler.policies import hpa_replicas as rules
from scaler.policies.hpa_replicas import Pod, Sized, Tolerance
from scaler.policies.memory import NEVER, Memory
from scaler.policies.want import Want
from scaler.windows import Change, Wish, changes_moved, wishes_moved


class HpaPast(Struct, frozen=True, kw_only=True):
    """Recommendations and changes that still count."""

    synced: float = NEVER
    """Monotonic time of the last decision."""
    asked: tuple[int, int] | None = None
    """The size at that time and the one that it gave, until the next look tells what came of it."""
    wishes: tuple[Wish, ...] = ()
    ups: tuple[Change, ...] = ()
    downs: tuple[Change, ...] = ()

    @classmethod
    def begun(cls, seen: Observation) -> HpaPast:
        """A new autoscaler takes the present size as recommended."""
        return cls(wishes=(Wish(seen.monotonic, seen.desired),))

    def followed(self, size: int) -> Self:
        """After a look at what came of the last decision: what was made of it is a change."""
        if self.asked is None:
            return self
        before, after = self.asked
        least, most = sorted((0, after - before))
        made = max(least, min(size - before, most))
        change = (Change(self.synced, abs(made)),)
        return structs.replace(
            self,
            asked=None,
            ups=self.ups + change if made > 0 else self.ups,
            downs=self.downs + change if made < 0 else self.downs,
        )

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(
            self,
            synced=self.synced + by,
            wishes=wishes_moved(self.wishes, by),
            ups=changes_moved(self.ups, by),
            downs=changes_moved(self.downs, by),
        )


class HpaMemory(Memory, frozen=True, kw_only=True, tag="hpa"):
    """What HPA keeps."""

    past: HpaPast = HpaPast()

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(self, past=self.past.moved(by))


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, HpaMemory]:
    """See the module."""
    past = memory.past if isinstance(memory, HpaMemory) else HpaPast.begun(observation)
    want, past = sync(observation, settings.hpa, past)
    return want, HpaMemory(past=past)


def sync(seen: Observation, settings: Hpa, past: HpaPast) -> tuple[Want, HpaPast]:
    """One look; it decides when the sync period is over or the version has no replicas."""
    past = past.followed(seen.desired)
    tolerance = tolerance_of(settings)
    proposals = tuple(propose(reading, seen, tolerance) for reading in seen.readings)
    now = seen.monotonic
    if now - past.synced < settings.sync_period - rules.ROUNDING and seen.desired:
        why = f"next sync in {settings.sync_period - (now - past.synced):.0f}s"
        return Want(replicas=seen.desired, reason=why, proposals=proposals), past
    known = [r for r in seen.readings if r.value is not None or r.error is not None]
    found = {p.signal: p.replicas for p in proposals}
    wanted = rules.largest([found[r.signal] for r in known], seen.desired)
    replicas, past = behave(wanted, seen.desired, now, settings, past)
    reason = next((p.reason for p in proposals if p.replicas == wanted), "no signal has a value")
    if replicas != wanted:
        reason = f"{replicas} of {wanted} wanted, by the behaviour of hpa: {reason}"
    return Want(replicas=replicas, reason=reason, proposals=proposals), past


def behave(
    wanted: int, current: int, now: float, settings: Hpa, past: HpaPast
) -> tuple[int, HpaPast]:
    """Stabilization and rates.

    A wish within a window holds the size back, and never turns growth into shrinking or back.
    """
    up, down = settings.scale_up, settings.scale_down
    steady = rules.stabilized(
        wanted, current, past.wishes, up.stabilization_window, down.stabilization_window, now
    )
    if wanted >= current:
        most = rules.up_limit(current, up, past.ups, past.downs, now)
        replicas = min(max(steady, current), most)
    else:
        least = rules.down_limit(current, down, past.ups, past.downs, now)
        replicas = max(min(steady, current), least)
    longest = max(up.stabilization_window, down.stabilization_window)
    period = max((p.period for p in (*up.policies, *down.policies)), default=0.0)
    return replicas, HpaPast(
        synced=now,
        asked=(current, replicas),
        wishes=(*(w for w in past.wishes if w.at > now - longest), Wish(now, wanted)),
        ups=tuple(change for change in past.ups if now - change.at < period),
        downs=tuple(change for change in past.downs if now - change.at < period),
    )


def tolerance_of(settings: Hpa) -> Tolerance:
    """That of each direction."""
    up, down = settings.scale_up.tolerance, settings.scale_down.tolerance
    return Tolerance(
        up=settings.tolerance if up is None else up,
        down=settings.tolerance if down is None else down,
    )


def propose(reading: Reading, seen: Observation, tolerance: Tolerance) -> Proposal:
    """What one reading asks for; None for one without a value, or without replicas to measure."""
    if reading.value is None:
        why = f"lost: {reading.error}" if reading.error else "no samples"
        return Proposal(
            signal=reading.signal, replicas=None, reason=f"{reading.signal} has no value ({why})"
        )
    sized = _sized(reading, reading.value, seen, tolerance)
    shown = reading.detail or f"{reading.value:.6g}"
    if sized is None:
        reason = f"{reading.signal} {shown} says nothing, no replica is ready"
        return Proposal(signal=reading.signal, replicas=None, reason=reason)
    return Proposal(
        signal=reading.signal,
        replicas=sized.replicas,
        reason=f"{reading.signal} {shown}, {sized.observed / rules.UNITS:.4g} each, at "
        f"{reading.target:.4g} asks for {sized.replicas}",
    )


def _sized(reading: Reading, value: float, seen: Observation, tolerance: Tolerance) -> Sized | None:
    measured, target = rules.whole(value), max(1, rules.whole(reading.target))
    if not reading.ratio:
        return rules.from_total_per_replica(measured, target, seen.desired, tolerance)
    if seen.desired and not seen.ready:
        return None
    if reading.outside:
        return rules.from_total(measured, target, seen.desired, seen.ready, tolerance)
    away = max(0, seen.desired - seen.ready - seen.starting)
    pods = [
        *[Pod(value=measured, full=target)] * seen.ready,
        *[Pod(value=None, full=target, ignored=True)] * seen.starting,
        *[Pod(value=None, full=target)] * away,
    ]
    return rules.from_pods(pods, target, seen.desired, tolerance)
