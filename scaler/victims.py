"""Which replica goes when one has to: the one with which least is lost, and why it. Pure.

    not serving   BACKOFF or STARTING: nothing is lost, of the youngest least, as it is furthest
                  from ready
    unhealthy     gets no new requests anyway
    old settings  would be replaced next
    cost          requests in flight + sessions + slots that others have, the least first
    age           of equal cost the youngest, whose caches are coldest

*cost* is how many users notice. A request in flight has to be finished, which keeps the replica for
as long as that takes, and is cut off at `drain_timeout`; a session comes back to another replica,
which does not have what this one kept for it. One counts as much as the other. To look at requests
first and at sessions only between equals would let chance decide wherever requests are short: what
is in flight at the moment of the decision says little, and a replica that has none just then may
be the one that 500 sessions come back to. Without sessions the sum is what is in flight.

Sessions are counted with a few percent of error (`fleet.telemetry.sessions`), so replicas that hold
nearly as many are taken for equal or not as it comes.

What other gateways of a cluster have in flight at it is not known here; it is at most the slots
that they were lent of it, and each of these counts as a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fleet.config.units import format_duration
from fleet.model import ReplicaState

if TYPE_CHECKING:
    from scaler.reconcile import Present


def by_cost(replicas: Iterable[Present], spec: str) -> list[Present]:
    """Least costly first; `spec` is the one in force."""
    return sorted(replicas, key=lambda replica: _cost(replica, spec))


def why(replica: Present, chosen: int, among: Sequence[Present], now: float) -> str:
    """What told for the replica, one of `chosen` out of `among`, at monotonic time `now`:
    `the least costly of 4: 0 in flight, 12 sessions, 5m old`.
    """
    facts = ", ".join(_facts(replica, now))
    if chosen == len(among):
        return facts
    least = "the least costly" if chosen == 1 else f"one of the {chosen} least costly"
    return f"{least} of {len(among)}: {facts}"


def _cost(replica: Present, spec: str) -> tuple[int, bool, int, float, str]:
    match replica.state:
        case ReplicaState.BACKOFF | ReplicaState.STARTING:
            return 0, False, 0, -replica.born, replica.name
        case ReplicaState.UNHEALTHY:
            rank = 1
        case _:
            rank = 2
    cost = replica.in_flight + replica.sessions + replica.lent
    return rank, replica.spec == spec, cost, -replica.born, replica.name


def _facts(replica: Present, now: float) -> Iterator[str]:
    if replica.state is not ReplicaState.READY:
        yield replica.state.value
    if replica.state in (ReplicaState.READY, ReplicaState.UNHEALTHY):
        yield f"{replica.in_flight} in flight"
        yield f"{replica.sessions} sessions" if replica.sessions != 1 else "1 session"
        if replica.lent:
            yield f"{replica.lent} slots lent" if replica.lent != 1 else "1 slot lent"
    yield f"{format_duration(max(1, round(now - replica.born)))} old"
