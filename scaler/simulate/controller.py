"""Who decides in a simulation: the scaler's own policies, or a size that is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from fleet.config.schema import Scale
from fleet.model import Observation
from scaler.decide import decide_pool
from scaler.state import PoolState

Controller: TypeAlias = Callable[[Sequence[Observation]], Mapping[str, int]]
"""From the observations of one tick to the size of each version."""


class PolicyController:
    """What the daemon's scaler decides with these settings: the same function, tick by tick.

    A dry run is for a daemon; here its decisions are carried out.
    """

    def __init__(self, settings: Scale) -> None:
        self._settings = settings.model_copy(update={"dry_run": False})
        self._state = PoolState()

    def __call__(self, observations: Sequence[Observation]) -> Mapping[str, int]:
        """See `Controller`."""
        decisions, self._state = decide_pool(observations, self._settings, None, self._state)
        return {decision.version: decision.desired for decision in decisions}


def constant(sizes: Mapping[str, int]) -> Controller:
    """The same sizes always."""
    return lambda observations: sizes
