"""Since when a version has its size: what a cooldown counts from. Pure.

A policy that noted its own wishes instead would begin a cooldown with a change that the guardrails,
the bounds or a dry run did not let happen (nomad-autoscaler#144), and so hold itself up.
"""

from __future__ import annotations

from typing import Self

from msgspec import Struct, structs

from fleet.model import Observation
from scaler.policies.memory import NEVER


class Sizing(Struct, frozen=True, kw_only=True):
    """The size at the last look, and when it last changed, whoever changed it; monotonic."""

    looked: float = NEVER
    size: int | None = None
    changed: float = NEVER
    grew: bool = False
    """Whether that was growth."""

    def followed(self, seen: Observation) -> Self:
        """After one more look; a change counts from the look that it followed."""
        looked = structs.replace(self, looked=seen.monotonic, size=seen.desired)
        if self.size is None or self.size == seen.desired:
            return looked
        return structs.replace(looked, changed=self.looked, grew=seen.desired > self.size)

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(self, looked=self.looked + by, changed=self.changed + by)
