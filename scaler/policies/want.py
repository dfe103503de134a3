"""What a policy answers."""

from __future__ import annotations

from msgspec import Struct

from fleet.model import Proposal


class Want(Struct, frozen=True, kw_only=True):
    """The size a policy wants for one version, before bounds and guardrails."""

    replicas: int
    reason: str
    proposals: tuple[Proposal, ...]
    resting: bool = False
    """The size is that of a version without work, which may be below the pool's `min`."""
