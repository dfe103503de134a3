"""What is simulated: a pool as it is configured, and how long its replicas take to start."""

from __future__ import annotations

from msgspec import Struct

from fleet.config.merge import effective_concurrency, effective_static
from fleet.config.schema import Config, Pool, Scale
from fleet.errors import HeadraceError
from scaler.simulate.distribution import Distribution
from scaler.simulate.omitted import left_out


class VersionSetup(Struct, frozen=True, kw_only=True):
    """One version."""

    name: str
    weight: int
    slots: int
    """Of one replica."""
    fixed: int | None = None
    """Replicas it has all the time, its static endpoints; None: it is scaled."""


class Setup(Struct, frozen=True, kw_only=True):
    """A pool and its circumstances. Times in seconds."""

    pool: str
    versions: tuple[VersionSetup, ...]
    scale: Scale
    queue_limit: int
    """Requests that may wait, over all workers."""
    queue_timeout: float
    drain_timeout: float
    cold_start: Distribution
    """From the decision to start a replica until it is ready."""
    slo: float
    """A request that waits longer than this for its slot is a miss."""
    initial: int
    """Ready replicas at the start, over all versions that are scaled."""
    left_out: tuple[str, ...] = ()
    """What of the configuration is not as in the daemon, in words."""


def setup_of(
    config: Config,
    pool: str | None,
    *,
    cold_start: Distribution,
    slo: float,
    initial: int | None = None,
) -> Setup:
    """The pool named `pool`, or the only one, as `config` has it.

    Without `initial` the run begins with `scale.min` replicas, at least 1. Raises
    HeadraceError for a pool that is not there, or that no version of has a weight.
    """
    if pool is None:
        if len(config.pools) != 1:
            names = ", ".join(config.pools) or "none"
            raise HeadraceError(f"name one pool with --pool; the configuration has {names}")
        (pool,) = config.pools
    if pool not in config.pools:
        names = ", ".join(config.pools) or "none"
        raise HeadraceError(f"there is no pool {pool!r}; the configuration has {names}")
    found = config.pools[pool]
    if not any(version.weight for version in found.versions.values()):
        raise HeadraceError(f"no version of the pool {pool!r} has a weight above 0")
    return Setup(
        pool=pool,
        versions=tuple(
            VersionSetup(
                name=name,
                weight=version.weight,
                slots=effective_concurrency(found, name),
                fixed=_endpoints(found, name),
            )
            for name, version in found.versions.items()
        ),
        scale=found.scale,
        queue_limit=found.queue.limit * config.workers,
        queue_timeout=found.queue.timeout,
        drain_timeout=found.drain_timeout,
        cold_start=cold_start,
        slo=slo,
        initial=max(1, found.scale.min) if initial is None else initial,
        left_out=left_out(found),
    )


def _endpoints(pool: Pool, version: str) -> int | None:
    static = effective_static(pool, version)
    return None if static is None else len(static.endpoints)
