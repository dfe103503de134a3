"""Random lengths of time as people write them: `10s`, `exponential:500ms`, `lognormal:23s,42s`."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from fleet.config.units import parse_positive_duration
from fleet.errors import HeadraceError

_P90: Final = 1.2815515655446004
"""The standard normal distribution's 90 % quantile."""


class Distribution(Struct, frozen=True):
    """Lengths of time in seconds, all above 0."""

    text: str
    """As it was written."""
    shape: str
    """A key of SHAPES."""
    parameters: tuple[float, ...]
    """Seconds."""

    def sample(self, rng: Random) -> float:
        """One length, in seconds."""
        return SHAPES[self.shape].draw(rng, *self.parameters)

    def samples(self, count: int, rng: Random) -> array[float]:
        """`count` lengths, one after the other."""
        draw, parameters = SHAPES[self.shape].draw, self.parameters
        if self.shape == "constant":
            return array("d", parameters) * count
        return array("d", [draw(rng, *parameters) for _ in range(count)])


class Shape(Struct, frozen=True):
    """A family of distributions."""

    usage: str
    """Its parameters, by name."""
    draw: Callable[..., float]


def _lognormal(rng: Random, p50: float, p90: float) -> float:
    return math.exp(rng.gauss(math.log(p50), (math.log(p90) - math.log(p50)) / _P90))


def _exponential(rng: Random, mean: float) -> float:
    return rng.expovariate(1.0 / mean)


def _uniform(rng: Random, low: float, high: float) -> float:
    return rng.uniform(low, high)


def _constant(_: Random, value: float) -> float:
    return value


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "constant": Shape("VALUE", _constant),
        "exponential": Shape("MEAN", _exponential),
        "lognormal": Shape("P50,P90", _lognormal),
        "uniform": Shape("LOW,HIGH", _uniform),
    }
)
"""By the name used on the command line."""


def parse_distribution(text: str) -> Distribution:
    """The distribution in `text`: `SHAPE:DURATION,...`, or a duration for a constant.

    Raises HeadraceError with what was found and what was expected.
    """
    shape, colon, rest = text.partition(":")
    if not colon:
        shape, rest = "constant", text
    known = SHAPES.get(shape)
    if known is None:
        raise HeadraceError(f"{text!r}: the shape {shape!r} is none of {', '.join(SHAPES)}")
    try:
        parameters = tuple(map(parse_positive_duration, rest.split(",")))
    except ValueError as error:
        raise HeadraceError(f"{text!r}: {error}") from None
    if len(parameters) != len(known.usage.split(",")):
        raise HeadraceError(f"{text!r}: expected {shape}:{known.usage}")
    if len(parameters) == 2 and parameters[0] > parameters[1]:
        raise HeadraceError(f"{text!r}: {known.usage} must not fall")
    return Distribution(text, shape, parameters)
