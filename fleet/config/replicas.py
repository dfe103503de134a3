"""Replicas in the configuration: how they come to be, and how their health is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleet.config import patterns
from fleet.config.base import Model
from fleet.config.kinds import MAX_WEIGHT, Endpoint
from fleet.config.resilience import Circuit
from fleet.config.transport import UpstreamTls
from fleet.config.units import Duration, PositiveDuration


def _without_slash(weights: dict[str, float]) -> dict[str, float]:
    """As endpoints are kept."""
    return {endpoint.rstrip("/"): weight for endpoint, weight in weights.items()}


class ProcessDriver(Model):
    """Replicas are child processes of the daemon, on free ports of this host."""

    command: tuple[str, ...] = Field(
        (),
        description="Program and arguments. `{host}`, `{port}`, `{name}`, `{pool}` and "
        "`{version}` are replaced; the environment has PORT, HEADRACE_REPLICA, HEADRACE_POOL, "
        "HEADRACE_VERSION and HEADRACE_REDIS_URL too.",
    )
    env: dict[str, str] = Field({}, description="Environment added to the daemon's own.")
    cwd: Path | None = Field(
        None, description="Working directory; relative to the configuration file's. Default: that."
    )
    start_timeout: PositiveDuration = Field(
        60.0, description="A replica not healthy this long after its start is stopped and retried."
    )
    stop_timeout: Duration = Field(
        10.0, description="From SIGTERM to SIGKILL, once the replica is drained."
    )


class ProcessOverride(Model):
    """Parts of the pool's process driver that this version changes."""

    command: tuple[str, ...] | None = Field(None, description="Replaces the pool's.")
    env: dict[str, str] = Field({}, description="Merged over the pool's.")
    cwd: Path | None = Field(None, description="Replaces the pool's.")
    start_timeout: PositiveDuration | None = Field(None, description="Replaces the pool's.")
    stop_timeout: Duration | None = Field(None, description="Replaces the pool's.")


class StaticDriver(Model):
    """Replicas that exist already; they are checked and balanced, never started or stopped."""

    endpoints: tuple[Endpoint, ...] = Field(
        (),
        description="`http://host:port`, `https://host:port` or `unix:///path` of each replica.",
    )
    weights: Annotated[
        dict[str, Annotated[float, Field(ge=0.01, le=1000)]], AfterValidator(_without_slash)
    ] = Field(
        {},
        description="Weight of endpoints, as written there, among those of their version; 2 gets "
        "twice the requests of 1. Default of each: 1.",
    )
    tls: UpstreamTls = Field(default=UpstreamTls(), description="TLS to `https` endpoints.")


class Driver(Model):
    """How replicas come to be: exactly one of the keys."""

    process: ProcessDriver | None = Field(None, description="Child processes on this host.")
    static: StaticDriver | None = Field(None, description="Endpoints that exist already.")


class DriverOverride(Model):
    """What a version changes of its pool's driver, or the whole driver if the pool has none."""

    process: ProcessOverride | None = Field(None, description="Child processes on this host.")
    static: StaticDriver | None = Field(None, description="Endpoints that exist already.")


Concurrency = Annotated[int, Field(ge=1, le=100_000)] | Literal["auto"]


class Version(Model):
    """A named release of a pool."""

    weight: int = Field(
        100,
        ge=0,
        le=MAX_WEIGHT,
        description="Share of new requests, relative to the other versions. 0 drains the version: "
        "it serves only requests that name it in the version header.",
    )
    driver: DriverOverride | None = Field(None, description="Changes to the pool's driver.")
    concurrency: Concurrency | None = Field(
        None, description="Slots per replica, or `auto`. Default: the pool's."
    )
    circuit: Circuit | None = Field(
        None, description="Limits of this version alone. Default: only the pool's hold."
    )
    cost: float = Field(
        1.0, gt=0, le=1e6, description="What one replica takes of a budget that has a cost."
    )


class Health(Model):
    """Active checks of every replica."""

    path: str | None = Field(
        "/healthz",
        pattern=patterns.PATH,
        description="GET answered by 2xx or 3xx when healthy. null: a replica that accepts a "
        "connection (or, without an endpoint, whose process runs) is healthy.",
    )
    interval: PositiveDuration = Field(1.0, description="Between two checks of a replica.")
    timeout: PositiveDuration = Field(1.0, description="A check not answered in time has failed.")
    rise: int = Field(1, ge=1, description="Successes in a row that make a replica healthy.")
    fall: int = Field(3, ge=1, description="Failures in a row that make a replica unhealthy.")
