"""What a pool has at least, whatever its versions want. Pure.

The largest of these counts: `min`; a schedule that holds now; the need and `standby` replicas
more; and one replica while a pool that could go to zero has not been idle for long enough.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from fleet.config.schema import Scale
from fleet.config.units import format_duration
from scaler import schedule
from scaler.guardrails import Limit


class Floor(Struct, frozen=True):
    """The least size of a pool, and which rule sets it."""

    rule: str
    replicas: int
    detail: str

    @property
    def limit(self) -> Limit:
        """As a guard that bit."""
        return Limit(self.rule, self.detail)


def lowest(
    settings: Scale, *, at: float, needed: int, idle_for: float, resting: bool = False
) -> Floor:
    """The floor at Unix time `at`, for a pool whose versions need `needed` replicas.

    `idle_for`: seconds that it must stay idle until its last replica may go; 0: none. `resting`:
    all its versions rest, so that the need may be below `min`.
    """
    scheduled = schedule.floor(settings.schedule, at)
    least = min(settings.min, needed) if resting else settings.min
    floors = [
        Floor("min", least, f"the pool has at least {least}"),
        Floor("schedule", scheduled, f"the pool has at least {scheduled} now"),
    ]
    if settings.standby:
        floors.append(
            Floor("standby", needed + settings.standby, f"{settings.standby} beyond the need")
        )
    if idle_for > 0:
        floors.append(Floor("idle", 1, f"idle for another {format_duration(round(idle_for, 1))}"))
    floor = max(floors, key=lambda floor: floor.replicas)
    return Floor(floor.rule, min(floor.replicas, settings.max), floor.detail)


def idle_of(settings: Scale, default: float) -> float:
    """Seconds without work after which the last replica may go.

    `default` is the policy's, 0 if it has a rule of its own. Whoever asks for a stabilization and
    for no idle time means that.
    """
    if settings.idle is not None:
        return settings.idle
    if default and settings.stabilization is not None:
        return settings.stabilization
    return default


def idle_wait(busy_at: Sequence[float], now: float, idle: float) -> float:
    """Seconds until a pool whose versions had work at these monotonic times counts as idle."""
    return max(0.0, max(busy_at) + idle - now)
