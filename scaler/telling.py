"""Which decisions are worth a line in the journal: all that change something, few that do not."""

from __future__ import annotations

from fleet.model import Decision, Direction


class Telling:
    """Judges the decisions of one version in the order they are made.

    A change of size is always told. A hold is told when a guardrail keeps the size that has not
    been told of since the last change, so that load which comes and goes around a bound does not
    fill the journal: between two changes there are at most as many holds as kinds of guardrails.
    A dry run wants the same change at every tick; it is told when another size is decided.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._dry_size: int | None = None
        """Told last of a dry run."""

    def worth(self, decision: Decision) -> bool:
        """Whether to record this one."""
        names = {limit.partition(" ")[0] for limit in decision.limits}
        before, self._dry_size = self._dry_size, decision.desired if decision.dry_run else None
        again = decision.dry_run and decision.desired == before
        if decision.direction is not Direction.HOLD and not again:
            self._told = names
            return True
        new = names - self._told
        self._told |= new
        return bool(new)
