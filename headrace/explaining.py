"""What became of a decision: which replicas were taken out, and why those."""

from __future__ import annotations

from typing import Final

from fleet.model import Decision, Event
from fleet.store.client import Store
from headrace.operations import Explanation

TAKEN_OUT: Final = 5
"""Replicas named at most."""


async def explained(decision: Decision, store: Store, until: float) -> Explanation:
    """The decision with the last replicas of its version that were taken out up to Unix time
    `until`. A hold may stand between them and the decision that they go with.
    """

    def belongs(event: Event) -> bool:
        of = event.pool, event.version
        return (
            event.kind == "replica.draining"
            and event.at <= until
            and of == (decision.pool, decision.version)
        )

    return Explanation.of(decision, await store.events(TAKEN_OUT, belongs))
