"""A cluster as one of its members shows it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What a member does about sizes."""

    ALONE = "alone"
    """The store is away: keeps its share, adds to it by its own traffic."""
    FOLLOWER = "follower"
    """Does what the plan says of its own share."""
    LEADER = "leader"
    """Decides for all, and follows its own plan."""


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """The cluster as this daemon sees it."""

    name: str
    member: str
    """This daemon."""
    role: Role
    leader: str | None
    """The member that holds the lease; None: nobody, or the store is away."""
    token: int
    """The highest fencing token seen; 0: none."""
    lease: float
    """Seconds."""
    members: tuple[str, ...]
    """Those of the plan in force."""
    leader_changes: int
    """Times that another leader than before was seen since the start."""
    fenced: int
    """Writes of this daemon that the store refused because another leads."""
    borrowed: int = 0
    """Slots of other members' replicas that this one may use."""
    lent: int = 0
    """Slots of its own replicas that others may use."""
