"""What holds for one version, or one route: its own settings over its pool's, or over all's."""

from __future__ import annotations

from typing import Final

from fleet.config.replicas import Concurrency
from fleet.config.schema import (
    Config,
    Limits,
    Pool,
    ProcessDriver,
    ProcessOverride,
    Route,
    StaticDriver,
    Timeouts,
)

AUTO_SLOTS: Final = 100
"""The most slots of a replica with `concurrency: auto`."""


def effective_process(pool: Pool, version: str) -> ProcessDriver | None:
    """The process driver of `version`; None when its replicas are not processes.

    A version's `env` is merged over the pool's, every other key given replaces the pool's. A
    version whose driver is of another kind than the pool's has nothing of the pool's driver.
    Raises KeyError for an unknown version.
    """
    own = pool.versions[version].driver
    shared = pool.driver.process if pool.driver is not None else None
    if own is None:
        return shared
    if own.process is None:
        return None
    return _merged(shared or ProcessDriver(), own.process)


def effective_static(pool: Pool, version: str) -> StaticDriver | None:
    """The static driver of `version`, its own or else its pool's; None: not static.

    Raises KeyError for an unknown version.
    """
    own = pool.versions[version].driver
    if own is not None:
        return own.static
    return pool.driver.static if pool.driver is not None else None


def effective_concurrency(pool: Pool, version: str) -> int:
    """Slots of one replica of `version`, the most if they are found out. Raises KeyError for an
    unknown version.
    """
    slots = _concurrency(pool, version)
    return AUTO_SLOTS if slots == "auto" else slots


def is_adaptive(pool: Pool, version: str) -> bool:
    """Whether the slots of a replica of `version` are found out (`concurrency: auto`). Raises
    KeyError for an unknown version.
    """
    return _concurrency(pool, version) == "auto"


def _concurrency(pool: Pool, version: str) -> Concurrency:
    own = pool.versions[version].concurrency
    return pool.concurrency if own is None else own


def effective_timeouts(config: Config, route: Route) -> Timeouts:
    """Time limits of requests that take `route`: each key it gives replaces the one for all."""
    return config.timeouts.model_copy(update=route.timeouts.model_dump(exclude_none=True))


def effective_limits(config: Config, route: Route) -> Limits:
    """Size limits of requests that take `route`: each key it gives replaces the one for all."""
    return config.limits.model_copy(update=route.limits.model_dump(exclude_none=True))


def _merged(shared: ProcessDriver, own: ProcessOverride) -> ProcessDriver:
    given = {
        key: value
        for key in ("command", "cwd", "start_timeout", "stop_timeout")
        if (value := getattr(own, key)) is not None
    }
    return shared.model_copy(update={**given, "env": {**shared.env, **own.env}})
