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

LONGEST_BREAK: Final = 300.0
"""Seconds after which a saved state is too old to go on from: the world has moved on."""


class Wish(Struct, frozen=True, array_like=True):
    """A size that was wanted once."""

    at: float
    replicas: int


class Change(Struct, frozen=True, array_like=True):
    """A change of size that was made; always counted up from 0."""

    at: float
    replicas: int


class VersionState(Struct, frozen=True, kw_only=True):
    """What is remembered of one version."""

    desired: int = 0
    """The size applied last."""
    wishes: tuple[Wish, ...] = ()
    """Falling sizes over rising times: the sliding maximum of what was wanted."""
    ups: tuple[Change, ...] = ()
    downs: tuple[Change, ...] = ()
    memory: Mapping[str, float] = {}
    """The policy's own."""


class PoolState(Struct, frozen=True):
    """What is remembered of a pool, by version."""

    versions: Mapping[str, VersionState] = {}


class Saved(Struct, frozen=True, kw_only=True):
    """All pools at the moment of saving."""

    wall: float
    monotonic: float
    pools: Mapping[str, PoolState]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Saved).decode


def save(pools: Mapping[str, PoolState], *, wall: float, monotonic: float) -> bytes:
    """The state of all pools as JSON."""
    return _encode(Saved(wall=wall, monotonic=monotonic, pools=pools))


def load(data: bytes, *, wall: float, monotonic: float) -> dict[str, PoolState]:
    """What `save` wrote, in terms of the clocks now; empty when older than LONGEST_BREAK.

    A wall clock that was set back counts as no time passed. Raises msgspec.MsgspecError (a
    ValueError) when `data` is not a saved state.
    """
    saved = _decode(data)
    passed = max(0.0, wall - saved.wall)
    if passed > LONGEST_BREAK:
        return {}
    shift = monotonic - passed - saved.monotonic
    return {
        name: PoolState({v: _shifted(state, shift) for v, state in pool.versions.items()})
        for name, pool in saved.pools.items()
    }


def _shifted(state: VersionState, by: float) -> VersionState:
    return VersionState(
        desired=state.desired,
        wishes=tuple(Wish(w.at + by, w.replicas) for w in state.wishes),
        ups=tuple(Change(c.at + by, c.replicas) for c in state.ups),
        downs=tuple(Change(c.at + by, c.replicas) for c in state.downs),
        memory=state.memory,
    )
