"""What `headrace tune` may turn: the parameters of each policy, and the values it tries."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct
from pydantic import BaseModel

from fleet.config.schema import RouterSignal, Scale, Signal
from fleet.config.units import format_duration

_M = TypeVar("_M", bound=BaseModel)

Setting: TypeAlias = Mapping[str, float]
"""A value for each knob, by its path; seconds for durations."""


class Knob(Struct, frozen=True, kw_only=True):
    """One parameter."""

    path: str
    """Below `scale`, e.g. `up.percent`. `router.` is the first router signal."""
    values: tuple[float, ...]
    """Rising."""
    duration: bool = False

    def shown(self, value: float | None) -> str:
        """As it stands in YAML."""
        if value is None:
            return "null"
        return format_duration(value) if self.duration else f"{value:g}"


KNOBS: Final[Mapping[str, tuple[Knob, ...]]] = MappingProxyType(
    {
        "target": (
            Knob(path="router.utilization", values=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
            Knob(
                path="stabilization",
                values=(0.0, 30.0, 60.0, 120.0, 300.0, 600.0),
                duration=True,
            ),
            Knob(path="tolerance", values=(0.0, 0.05, 0.1, 0.2)),
        ),
    }
)
"""By policy."""


def value_of(settings: Scale, knob: Knob) -> float | None:
    """What a knob stands at; None where the configuration says null.

    Raises AttributeError for a path that is not there.
    """
    parts = knob.path.split(".")
    value: Any = settings
    if parts[0] == "router":
        value, parts = _router(settings), parts[1:]
    for part in parts:
        value = getattr(value, part)
    return None if value is None else float(value)


def with_setting(settings: Scale, setting: Setting) -> Scale:
    """The same settings with the knobs turned."""
    for path, value in setting.items():
        parts = path.split(".")
        if parts[0] == "router":
            router = _replaced(_router(settings), parts[1:], value)
            rest = tuple(s for s in settings.signals if s.router is None)
            turned = (Signal(router=router), *rest)
            settings = settings.model_copy(update={"signals": turned})
        else:
            settings = _replaced(settings, parts, value)
    return settings


def candidates(policy: str, count: int, seed: int) -> list[Setting]:
    """`count` settings drawn at random, all different; fewer when there are no more.

    Random search finds as good a setting as a grid with far fewer runs where few of the
    parameters matter (Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012).
    """
    rng, knobs = Random(f"{seed}: {policy}"), KNOBS[policy]
    found: dict[tuple[float, ...], Setting] = {}
    for _ in range(20 * count):
        values = tuple(rng.choice(knob.values) for knob in knobs)
        found[values] = {knob.path: v for knob, v in zip(knobs, values, strict=True)}
        if len(found) == count:
            break
    return list(found.values())


def _router(settings: Scale) -> RouterSignal:
    return next((s.router for s in settings.signals if s.router is not None), RouterSignal())


def _replaced(model: _M, parts: list[str], value: float) -> _M:
    name, *rest = parts
    old = getattr(model, name)
    new: Any = _replaced(old, rest, value) if rest else value
    if isinstance(old, int) and not rest:
        new = int(value)
    return model.model_copy(update={name: new})
