"""What the scaler remembers between ticks, as plain data that goes through JSON.

Times inside are monotonic seconds. A monotonic clock means nothing to another boot, so what is
kept for a restart carries both clocks of the moment it was saved, and is moved on by the wall
time that has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from scaler.forecast import Forecast
from scaler.policies import AnyMemory
from scaler.windows import Change, Wish, changes_moved, wishes_moved

LONGEST_BREAK: Final = 300.0
"""Seconds after which a saved state is too old to go on from: the world has moved on."""


class VersionState(Struct, frozen=True, kw_only=True):
    """What is remembered of one version."""

    desired: int = 0
    """The size applied last."""
    wishes: tuple[Wish, ...] = ()
    """Falling sizes over rising times: the sliding maximum of what was wanted."""
    ups: tuple[Change, ...] = ()
    downs: tuple[Change, ...] = ()
    memory: AnyMemory | None = None
    """The policy's own."""
    spare: int = 0
    """Replicas of `desired` beyond the need: its part of `scale.standby`."""
    busy_at: float | None = None
    """When it last had work; None: it has not been seen yet."""
    arrived: int = 0
    """Requests for it until then, as the gateway counts them."""


class PoolState(Struct, frozen=True):
    """What is remembered of a pool, by version."""

    versions: Mapping[str, VersionState] = {}
    forecasts: Mapping[str, Forecast] = {}
    """Their times are Unix seconds, and they outlive any break."""


class Saved(Struct, frozen=True, kw_only=True):
    """All pools at the moment of saving."""

    wall: float
    monotonic: float
    pools: Mapping[str, PoolState]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Saved).decode


def save(pools: Mapping[str, PoolState], *, wall: float, monotonic: float) -> bytes:
    """The state of all pools as JSON; `wall` (Unix time) and `monotonic` are the clocks now."""
    return _encode(Saved(wall=wall, monotonic=monotonic, pools=pools))


def load(
    data: bytes, *, wall: float, monotonic: float, age: float | None = None
) -> dict[str, PoolState]:
    """What `save` wrote, in terms of the clocks now; only forecasts when
    older than LONGEST_BREAK.

    `age` is how many seconds ago it was saved; without it the wall clock tells, and one that was
    set back counts as no time passed. Raises msgspec.MsgspecError (a ValueError) when `data` is
    not a saved state.
    """
    saved = _decode(data)
    passed = max(0.0, wall - saved.wall if age is None else age)
    if passed > LONGEST_BREAK:
        forecasts = {n: pool.forecasts for n, pool in saved.pools.items() if pool.forecasts}
        return {name: PoolState({}, kept) for name, kept in forecasts.items()}
    shift = monotonic - passed - saved.monotonic
    return {
        name: PoolState(
            {v: _shifted(state, shift) for v, state in pool.versions.items()}, pool.forecasts
        )
        for name, pool in saved.pools.items()
    }


def _shifted(state: VersionState, by: float) -> VersionState:
    return VersionState(
        desired=state.desired,
        wishes=wishes_moved(state.wishes, by),
        ups=changes_moved(state.ups, by),
        downs=changes_moved(state.downs, by),
        memory=state.memory and state.memory.moved(by),
        spare=state.spare,
        busy_at=None if state.busy_at is None else state.busy_at + by,
        arrived=state.arrived,
    )
