"""What an operator has set by hand over the configuration file, kept in the store.

A weight override holds until the file's weights of that pool change (the newer word wins) or it
is reset; a size override until it ends or is reset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from msgspec import DecodeError, Struct
from msgspec.json import Decoder, Encoder

from fleet.config.schema import MAX_REPLICAS, MAX_WEIGHT, Config, Pool
from fleet.errors import InvalidRequestError, UnknownNameError


class WeightOverride(Struct, frozen=True):
    """Weights of one pool."""

    weights: dict[str, int]
    """Only the versions that were named."""
    file: dict[str, int]
    """What the file said at that time."""


class SizeOverride(Struct, frozen=True):
    """Total size of one pool."""

    replicas: int
    until: float | None
    """Unix time; None: until reset."""

    def holds(self, now: float) -> bool:
        """Whether it is in force at Unix time `now`."""
        return self.until is None or now < self.until


class Overrides(Struct, frozen=True):
    """All overrides, by pool. Changed by making another."""

    weights: dict[str, WeightOverride] = {}
    sizes: dict[str, SizeOverride] = {}

    def size_of(self, pool: str, now: float) -> SizeOverride | None:
        """The size that a pool is held at, at Unix time `now`."""
        size = self.sizes.get(pool)
        return size if size is not None and size.holds(now) else None

    def with_weights(self, pool: str, override: WeightOverride | None) -> Overrides:
        """With another weight override for `pool`, or none."""
        return Overrides(_with(self.weights, pool, override), self.sizes)

    def with_size(self, pool: str, override: SizeOverride | None) -> Overrides:
        """With another size override for `pool`, or none."""
        return Overrides(self.weights, _with(self.sizes, pool, override))

    def fitting(self, config: Config, now: float) -> Overrides:
        """Those that still hold under `config` at Unix time `now`, and make sense."""
        return Overrides(
            {
                pool: override
                for pool, override in self.weights.items()
                if pool in config.pools
                and override.file == file_weights(config, pool)
                and override.weights.keys() <= override.file.keys()
                and all(0 <= weight <= MAX_WEIGHT for weight in override.weights.values())
            },
            {
                pool: override
                for pool, override in self.sizes.items()
                if pool in config.pools
                and override.holds(now)
                and 0 <= override.replicas <= MAX_REPLICAS
            },
        )

    def over(self, older: Overrides, weights: Collection[str], sizes: Collection[str]) -> Overrides:
        """These, and of `older` those of other pools than `weights` and `sizes`."""
        return Overrides(
            {**{p: o for p, o in older.weights.items() if p not in weights}, **self.weights},
            {**{p: o for p, o in older.sizes.items() if p not in sizes}, **self.sizes},
        )

    def weights_by_pool(self, config: Config) -> dict[str, dict[str, int]]:
        """The weights wanted, of every pool of `config`."""
        return {pool: self.weights_of(config, pool) for pool in config.pools}

    def weights_of(self, config: Config, pool: str) -> dict[str, int]:
        """The weights wanted of a pool's versions."""
        override = self.weights.get(pool)
        return {**file_weights(config, pool), **(override.weights if override else {})}


_T = TypeVar("_T")

_encoder = Encoder()
_decoder = Decoder(Overrides)


def encode(overrides: Overrides) -> bytes:
    """For the store."""
    return _encoder.encode(overrides)


def decode(data: bytes | None) -> Overrides:
    """From the store; what cannot be read counts as none."""
    if not data:
        return Overrides()
    try:
        return _decoder.decode(data)
    except (DecodeError, UnicodeDecodeError):  # the latter for keys that are not UTF-8
        return Overrides()


def file_weights(config: Config, pool: str) -> dict[str, int]:
    """The weights the file gives a pool's versions."""
    return {name: version.weight for name, version in config.pools[pool].versions.items()}


def new_weights(
    config: Config, pool: str, weights: Mapping[str, int], before: WeightOverride | None
) -> WeightOverride:
    """`weights` over those set before. Raises UnknownNameError and InvalidRequestError."""
    if not weights:
        raise InvalidRequestError("give at least one version=weight")
    for version, weight in weights.items():
        require_version(pool, config.pools[pool], version)
        if not 0 <= weight <= MAX_WEIGHT:
            raise InvalidRequestError(f"weight of {version} must be 0..{MAX_WEIGHT}")
    return WeightOverride(
        {**(before.weights if before else {}), **weights}, file_weights(config, pool)
    )


def new_size(replicas: int | None, seconds: float | None, now: float) -> SizeOverride | None:
    """A size set at Unix time `now` for so many seconds, None: until reset. Without `replicas` it
    is the reset. Raises InvalidRequestError.
    """
    if replicas is not None and not 0 <= replicas <= MAX_REPLICAS:
        raise InvalidRequestError(f"replicas must be 0..{MAX_REPLICAS}")
    if seconds is not None and seconds <= 0:
        raise InvalidRequestError("the time must be above 0")
    if replicas is None:
        return None
    return SizeOverride(replicas, None if seconds is None else now + seconds)


def require_version(pool: str, settings: Pool, version: str) -> None:
    """Raises UnknownNameError when the pool has no such version."""
    if version not in settings.versions:
        known = ", ".join(settings.versions)
        raise UnknownNameError(f"pool {pool} has no version {version} (has: {known})")


def _with(current: Mapping[str, _T], pool: str, value: _T | None) -> dict[str, _T]:
    changed = {name: old for name, old in current.items() if name != pool}
    if value is not None:
        changed[pool] = value
    return changed
