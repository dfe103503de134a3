"""Sizes that a pool does not fall below: by the clock, and by forecast."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from fleet.config.base import Model
from fleet.config.expected import ExpectedError
from fleet.config.units import PositiveDuration


def _cron(text: str) -> str:
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError:
        raise ExpectedError("a cron expression such as 0 8 * * 1-5", text) from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ExpectedError("a time zone such as UTC or Europe/Berlin", text) from None
    return text


class Schedule(Model):
    """A floor between two moments that come again and again."""

    start: Annotated[str, AfterValidator(_cron)] = Field(
        description="Cron expression (minute, hour, day, month, weekday) of when it begins."
    )
    end: Annotated[str, AfterValidator(_cron)] = Field(
        description="Cron expression of when it ends."
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="Time zone of both, such as `Europe/Berlin`."
    )
    replicas: int = Field(ge=0, description="The pool's least replicas meanwhile, up to `max`.")


class Predict(Model):
    """A floor from what the load was at this time of earlier seasons."""

    season: PositiveDuration = Field(86400.0, description="After which load repeats itself.")
    step: PositiveDuration = Field(300.0, description="Over which load is averaged.")
    ahead: PositiveDuration = Field(300.0, description="How far the forecast looks.")
    seasons: int = Field(7, ge=1, le=28, description="Seasons of history kept.")
    utilization: float = Field(0.7, gt=0, le=1, description="Wanted share of busy slots.")
