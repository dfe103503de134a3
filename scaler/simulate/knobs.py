"""What `headrace tune` may turn: the parameters of each policy, and the values it tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct
from pydantic import BaseModel

from fleet.config.schema import RouterSignal, Scale, Signal
from fleet.config.units import format_duration

_M = TypeVar("_M", bound=BaseModel)

Value: TypeAlias = float | str
Setting: TypeAlias = Mapping[str, Value]
"""A value for each knob, by its path; seconds for durations."""


class Knob(Struct, frozen=True, kw_only=True):
    """One parameter."""

    path: str
    """Below `scale`, e.g. `up.percent`. `router.` is the first router signal."""
    values: tuple[Value, ...]
    """All of them are tried as often."""
    duration: bool = False

    def shown(self, value: Value | None) -> str:
        """As it stands in YAML."""
        if value is None:
            return "null"
        if isinstance(value, str):
            return value
        return format_duration(value) if self.duration else f"{value:g}"


_SHARES: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_UTILIZATION: Final = Knob(path="router.utilization", values=_SHARES)


def _seconds(path: str, *values: float) -> Knob:
    return Knob(path=path, values=values, duration=True)


KNOBS: Final[Mapping[str, tuple[Knob, ...]]] = MappingProxyType(
    {
        "apa": (
            Knob(path="apa.target_utilization", values=_SHARES),
            _seconds("apa.window", 10.0, 30.0, 60.0, 120.0),
            _seconds("apa.scale_down_cooldown_window", 60.0, 120.0, 300.0, 600.0),
            Knob(path="apa.max_scale_up_rate", values=(1.5, 2.0, 4.0)),
        ),
        "hpa": (
            _UTILIZATION,
            _seconds("hpa.sync_period", 1.0, 5.0, 15.0, 30.0),
            _seconds("hpa.scale_down.stabilization_window", 0.0, 60.0, 120.0, 300.0, 600.0),
            Knob(path="hpa.tolerance", values=(0.0, 0.05, 0.1, 0.2)),
        ),
        "keda": (
            _UTILIZATION,
            _seconds("keda.polling_interval", 1.0, 5.0, 15.0, 30.0),
            _seconds("keda.hpa.sync_period", 1.0, 5.0, 15.0, 30.0),
            _seconds("keda.hpa.scale_down.stabilization_window", 0.0, 60.0, 120.0, 300.0, 600.0),
        ),
        "kpa": (
            Knob(path="kpa.target_utilization", values=_SHARES),
            _seconds("kpa.stable_window", 10.0, 30.0, 60.0, 120.0),
            Knob(path="kpa.panic_threshold_percentage", values=(120.0, 150.0, 200.0, 400.0)),
            _seconds("kpa.scale_down_delay", 0.0, 60.0, 120.0, 300.0, 600.0),
        ),
        "nomad": (
            _UTILIZATION,
            _seconds("nomad.evaluation_interval", 1.0, 5.0, 10.0, 30.0),
            _seconds("nomad.cooldown", 0.0, 15.0, 60.0, 120.0, 300.0),
            Knob(path="nomad.threshold", values=(0.01, 0.05, 0.1, 0.2)),
        ),
        "ray": (
            Knob(path="ray.target_ongoing_requests", values=(1.0, 1.5, 2.0, 2.5, 3.0, 3.5)),
            _seconds("ray.look_back_period", 5.0, 10.0, 30.0, 60.0),
            _seconds("ray.upscale_delay", 0.0, 2.0, 10.0, 30.0),
            _seconds("ray.downscale_delay", 60.0, 120.0, 300.0, 600.0),
        ),
        "slo": (
            Knob(
                path="slo",
                values=tuple(
                    f"p{share} wait {wait}"
                    for share in ("90", "95", "98", "99", "99.9")
                    for wait in ("100ms", "250ms", "500ms", "1s", "2s")
                ),
            ),
        ),
        "step": (
            _UTILIZATION,
            _seconds("step.cooldown", 0.0, 10.0, 30.0, 60.0, 120.0),
            _seconds("stabilization", 0.0, 60.0, 120.0, 300.0, 600.0),
        ),
        "target": (
            _UTILIZATION,
            _seconds("stabilization", 0.0, 30.0, 60.0, 120.0, 300.0, 600.0),
            Knob(path="tolerance", values=(0.0, 0.05, 0.1, 0.2)),
        ),
    }
)
"""By policy."""


def value_of(settings: Scale, knob: Knob) -> Value | None:
    """What a knob stands at; None where the configuration says null.

    Raises AttributeError for a path that is not there.
    """
    parts = knob.path.split(".")
    value: Any = settings
    if parts[0] == "router":
        value, parts = _router(settings), parts[1:]
    for part in parts:
        value = getattr(value, part)
    return value if value is None or isinstance(value, str) else float(value)


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
    found: dict[tuple[Value, ...], Setting] = {}
    for _ in range(20 * count):
        values = tuple(rng.choice(knob.values) for knob in knobs)
        found[values] = {knob.path: v for knob, v in zip(knobs, values, strict=True)}
        if len(found) == count:
            break
    return list(found.values())


def near(settings: Scale, around: Sequence[Setting], count: int, seed: int) -> list[Setting]:
    """`count` settings at random, each near one of `around`, which has at least one.

    Knobs that one of `around` does not turn stand as in `settings`. A number is drawn evenly
    between the two values tried beside the nearest, a text is one of the neighbours or stays.
    Worked: a share of 0.72, with 0.6, 0.7 and 0.8 among the values, is drawn from 0.6 to 0.8.
    """
    rng = Random(f"{seed}: near {settings.policy}")
    found: dict[tuple[Value, ...], Setting] = {}
    for _ in range(20 * count):
        begin = with_setting(settings, rng.choice(around))
        values = tuple(_moved(knob, value_of(begin, knob), rng) for knob in KNOBS[settings.policy])
        found[values] = {
            knob.path: v for knob, v in zip(KNOBS[settings.policy], values, strict=True)
        }
        if len(found) == count:
            break
    return list(found.values())


def _moved(knob: Knob, value: Value | None, rng: Random) -> Value:
    """A value beside `value`; any of those tried when it stands at none of their kind."""
    tried = knob.values
    if isinstance(value, str) and value in tried:
        place = tried.index(value)
    elif isinstance(value, float):
        place = min(range(len(tried)), key=lambda n: abs(float(tried[n]) - value))
    else:
        return rng.choice(tried)
    low, high = tried[max(0, place - 1)], tried[min(len(tried) - 1, place + 1)]
    if isinstance(low, str) or isinstance(high, str):
        return rng.choice((low, tried[place], high))
    return float(f"{rng.uniform(low, high):.2g}")


def _router(settings: Scale) -> RouterSignal:
    return next((s.router for s in settings.signals if s.router is not None), RouterSignal())


def _replaced(model: _M, parts: list[str], value: Value) -> _M:
    name, *rest = parts
    old = getattr(model, name)
    new: Any = _replaced(old, rest, value) if rest else value
    if isinstance(old, int) and not rest:
        new = int(value)
    return model.model_copy(update={name: new})
