"""Resilience in the configuration: retries, hedges, deadlines and circuit limits."""

from __future__ import annotations

from pydantic import Field

from fleet.config.base import Model
from fleet.config.units import Duration, PositiveDuration, Size


class Budget(Model):
    """What retries and hedges may add to a pool's requests over any 10 s, per worker. A quarter
    of it while the scaler has started all the replicas it may.
    """

    share: float = Field(
        0.2, ge=0, le=1, allow_inf_nan=False, description="Extra tries as a share of the requests."
    )
    floor: float = Field(
        10.0,
        ge=0,
        le=10_000,
        allow_inf_nan=False,
        description="Extra tries a second that are allowed however few requests there are.",
    )


class Retry(Model):
    """When a request is sent again, as long as no byte of a reply has gone out."""

    attempts: int = Field(
        3,
        ge=0,
        le=10,
        description="Times a request is sent again at most. Replicas that cannot be connected to "
        "do not count.",
    )
    body: Size = Field(
        65536,
        le=16 << 20,
        description="Bytes of a request body kept for a repeat; longer ones are not repeated.",
    )
    backoff: Duration = Field(
        0.025,
        description="Longest wait before the first repeat; doubles with each up to ten times "
        "this. The wait is drawn at random below it, and timed to 50ms.",
    )
    idempotency_key: bool = Field(
        False,
        description="Requests with an `Idempotency-Key` may be repeated (and hedged) whatever "
        "their method.",
    )
    budget: Budget = Field(default=Budget(), description="Bounds the extra load of the pool.")


class RetryOverride(Model):
    """What a route changes of its pool's `retry`."""

    attempts: int | None = Field(None, ge=0, le=10, description="Replaces the pool's.")
    body: Size | None = Field(None, le=16 << 20, description="Replaces the pool's.")
    backoff: Duration | None = Field(None, description="Replaces the pool's.")
    idempotency_key: bool | None = Field(None, description="Replaces the pool's.")


class Hedge(Model):
    """A second try on another replica when the first is late; the first answer wins."""

    quantile: float = Field(
        0.95,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="Late is later than this quantile of the time to first byte, taken over the "
        "last 20 s of the version in this worker; without 20 replies in them nothing is hedged.",
    )
    least: PositiveDuration = Field(0.05, description="Never earlier than this.")


class Circuit(Model):
    """Limits on what there may be at once, per worker; above them 503 `circuit_open`."""

    connections: int | None = Field(
        None, ge=1, description="Connections to replicas, kept ones included. Default: no limit."
    )
    pending: int | None = Field(
        None, ge=0, description="Requests that wait for a slot. Default: no limit."
    )
    requests: int | None = Field(
        None, ge=1, description="Requests that hold a slot. Default: no limit."
    )
