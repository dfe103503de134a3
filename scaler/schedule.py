"""Floors by the clock. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fleet.config.floors import Schedule


def floor(schedules: Sequence[Schedule], at: float) -> int:
    """The largest floor in force at Unix time `at`; 0 without any."""
    minute = int(at // 60)
    return max((s.replicas for s in schedules if _holds(s, minute)), default=0)


@lru_cache(maxsize=4096)
def _holds(schedule: Schedule, minute: int) -> bool:
    """Whether its latest start lies after its latest end, the minute itself included."""
    began = _latest(schedule.start, schedule.timezone, minute)
    ended = _latest(schedule.end, schedule.timezone, minute)
    return began is not None and (ended is None or began > ended)


def _latest(cron: str, timezone: str, minute: int) -> datetime | None:
    after = datetime.fromtimestamp((minute + 1) * 60, UTC).astimezone(ZoneInfo(timezone))
    try:
        return next(CronSim(cron, after, reverse=True)).astimezone(UTC)
    except (CronSimError, StopIteration):
        return None
