"""Budgets in the configuration: what several pools share."""

from __future__ import annotations

from pydantic import Field

from fleet.config.base import Model
from fleet.config.kinds import MAX_REPLICAS


class SharedBudget(Model):
    """What its pools may have together: exactly one of the keys."""

    replicas: int | None = Field(None, ge=1, le=MAX_REPLICAS, description="Replicas in all.")
    cost: float | None = Field(
        None, gt=0, le=1e9, description="Sum of the `cost` of the versions of all replicas."
    )
