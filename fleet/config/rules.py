"""How the keys of one mapping must fit each other.

Each rule answers what is wrong, or None. The models apply it to their values; the loader applies
it to the raw data too, since a model is not built while one of its values is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Rule: TypeAlias = Callable[[Mapping[str, object]], str | None]


def _exactly_one(*keys: str) -> Rule:
    choice = f"{', '.join(keys[:-1])} or {keys[-1]}"

    def rule(given: Mapping[str, object]) -> str | None:
        count = sum(given.get(key) is not None for key in keys)
        return None if count == 1 else f"give exactly one of {choice}"

    return rule


_one_queue: Final = _exactly_one("list", "stream", "sorted_set")


def _redis_signal(given: Mapping[str, object]) -> str | None:
    if (wrong := _one_queue(given)) is not None:
        return wrong
    if given.get("group") is not None and given.get("stream") is None:
        return "group goes with stream"
    return None


def _scale(given: Mapping[str, object]) -> str | None:
    least, most = given.get("min", 1), given.get("max", 1)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        return f"min ({least}) is above max ({most})"
    return None


RULES: Final[Mapping[str, Rule]] = {
    "Affinity": _exactly_one("header", "cookie"),
    "Driver": _exactly_one("process", "static"),
    "DriverOverride": _exactly_one("process", "static"),
    "RedisSignal": _redis_signal,
    "Scale": _scale,
    "Signal": _exactly_one("router", "redis", "prometheus"),
}
"""By the name of the model."""
EXACTLY_ONE_KEY: Final = ("Affinity", "Driver", "DriverOverride", "Signal")
"""Models that have no other keys than those of which one must be given."""
