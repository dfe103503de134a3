"""`slo`: the fewest replicas at which requests wait no longer than the objective allows.

The user states what is wanted (`p95 wait 500ms`); everything else is measured. Every replica has
some slots, and a new one serves only after its start time D, the 90th percentile of those
measured.

1. **Load.** Offered load is the number of slots that would be busy if there were always enough
   (`scaler.policies.offered`): Little's law followed through time, the modified offered load of
   Jennings, Mandelbaum, Massey and Whitt (Server Staffing to Meet Time-Varying Demand, 1996).
   While it grows by more than chance would, the load to expect D ahead counts instead; and never
   less than the slots that requests keep busy, among which a few may be very long.
2. **Rise.** How far load has risen within D before, in units of its square root: a high quantile
   of it is what the next D may bring. It holds trend, bursts and chance alike. The spare kept for
   it is at most the highest load of the history.
3. **Slots.** The larger of what Erlang's C formula asks for at this load, and of the requests that
   are there (in flight, and queued), less what a count may lie above its mean by chance, with a
   share of the rise as spare. The spare slots of both grow, up to half as much again, while more
   requests are late than the objective allows.
4. **No useless start.** Requests in the queue count only if any would still wait when a replica
   asked for now is ready, given the slots that are ready or on their way. Then those count that
   would wait by then, beside the load; and slots for no more of them than drain in a quarter of
   D, since what has piled up during a start is gone soon after it. What was asked for is kept
   while requests wait: the queue that counts no longer, since replicas are on their way that will
   serve it, must not cancel them.
5. **Hold.** A version shrinks to the most that was needed over several start times, and only if
   a stricter bound of Erlang's formula holds there. What a piled-up queue needs beyond what its
   load may bring by chance is not held. A size that was given up and is needed again lengthens
   the hold to a little more than the time between: bursts that come back find it still there.
   Until that is known they are taken to come back late. `stabilization` sets another hold.

Readings from outside (queues, queries, a first byte's latency) propose as under `target`.
`docs/adr/0014-policies.md` says what was tried and measured.
"""

from __future__ import annotations

import math
from typing import Final, Self

from msgspec import structs

from fleet.config.objective import Objective, parse_objective
from fleet.config.schema import Scale
from fleet.model import Observation, Proposal
from scaler.policies import target
from scaler.policies.memory import Memory
from scaler.policies.offered import Offered, begun, followed
from scaler.policies.want import Want
from scaler.queueing import servers_for
from scaler.windows import Wish, remembered, wishes_moved

OWN: Final = ("router.in_flight", "router.wait")
"""Readings of what the policy measures itself, and better."""
UNKNOWN_START: Final = 10.0
"""Seconds that a start is taken to last before one was measured."""
LATE_PART: Final = 0.2
"""Of the late requests that the objective allows, the part that chance may cause; the rest is
kept for what no formula foresees."""
CHANCE: Final = 0.8
"""Standard deviations by which a count of requests may lie above its mean by chance; the hold
takes the highest of many counts."""
GROWTH: Final = 2.0
"""Times its length to which a queue is expected to grow at most: by as much as it has."""
DRAIN_SERVICES: Final = 4.0
"""A queue is given slots to drain in a quarter of a start time, but at most one a request."""
PILED: Final = 3.0
"""Standard deviations above the load beyond which requests have piled up, not come by chance."""
RISE_PART: Final = 0.3
"""Of the rise that is kept as spare all the time."""
STRICTER: Final = 0.25
LONGEST_CORRECTION: Final = 1.5
SHORTEST_HOLD: Final = 60.0
"""Seconds."""
USUAL_HOLD: Final = 180.0
"""Seconds; less where starts are so short that coming back late costs little."""
USUAL_HOLD_STARTS: Final = 18.0
HOLD_STARTS: Final = 3.0
LONGEST_HOLD: Final = 900.0
"""Seconds; bursts that are further apart are not waited for."""
LONGEST_HOLD_STARTS: Final = 9.0
"""Seconds for each squared second of the start time: during a start both more requests come and
each waits longer, while a replica costs the same."""
RETURN_MARGIN: Final = 1.25
"""Times the seconds after which a size was needed again."""
RETURN_FADE: Final = 3600.0
"""Seconds over which that is forgotten, exponentially."""
IDLE: Final = 0.01
"""Slots of load below which a version without requests needs none."""


class SloMemory(Memory, frozen=True, kw_only=True, tag="slo"):
    """The load so far, and the sizes needed within the hold."""

    offered: Offered
    wishes: tuple[Wish, ...] = ()
    start: float = UNKNOWN_START
    """Seconds that a start takes, as measured last."""
    returned: float = 0.0
    """Seconds after which a size that was given up was needed again, with a margin; LONGEST_HOLD
    at first, which fades as a measured one does."""

    def moved(self, by: float) -> Self:
        """See `Memory.moved`."""
        return structs.replace(
            self, offered=self.offered.moved(by), wishes=wishes_moved(self.wishes, by)
        )


def decide(
    observation: Observation, settings: Scale, memory: Memory | None
) -> tuple[Want, SloMemory]:
    """See the module."""
    seen, objective = observation, parse_objective(settings.slo)
    if not isinstance(memory, SloMemory):
        present = (Wish(seen.monotonic, seen.desired),)
        memory = SloMemory(
            offered=begun(seen, objective.wait), wishes=present, returned=LONGEST_HOLD
        )
    start = start_time(seen.start_seconds) if seen.start_seconds else memory.start
    offered = followed(memory.offered, seen, objective.wait, start)
    own, lasting = _propose(seen, offered, objective, start)
    others = [
        target.propose(reading, seen, settings.tolerance)
        for reading in seen.readings
        if reading.signal not in OWN
    ]
    proposals = (own, *others)
    need, reason = max(
        ((p.replicas, p.reason) for p in proposals if p.replicas is not None),
        key=lambda one: one[0],
    )
    if need > (own.replicas or 0):
        lasting = need
    if seen.queued and need < seen.desired:
        need, reason = seen.desired, f"{reason}; kept at {seen.desired} while requests wait"
    returned = _returned(memory, seen, lasting)
    hold = settings.stabilization
    if hold is None:
        longest = min(LONGEST_HOLD, LONGEST_HOLD_STARTS * start * start)
        hold = max(_usual_hold(start), min(returned, longest))
    wishes = remembered(memory.wishes, Wish(seen.monotonic, lasting), max(hold, LONGEST_HOLD))
    replicas = need
    if need < seen.desired:
        strict = math.ceil(_by_erlang(offered, objective, STRICTER) / seen.slots)
        highest = next(wish for wish in wishes if wish.at >= seen.monotonic - hold)
        replicas = min(seen.desired, max(need, highest.replicas, strict))
        if replicas > need:
            held = f"{highest.replicas} needed {seen.monotonic - highest.at:.0f}s ago"
            if highest.replicas < replicas:
                held = f"as {replicas - 1} would leave no margin"
            reason = f"{reason}; held at {replicas}, {held}"
    return (
        Want(replicas=replicas, reason=reason, proposals=proposals),
        SloMemory(offered=offered, wishes=wishes, start=start, returned=returned),
    )


def _usual_hold(start: float) -> float:
    """Seconds for which a size is held. Worked: starts of 2 s: 60; of 10 s or 60 s: 180."""
    return max(SHORTEST_HOLD, min(USUAL_HOLD, USUAL_HOLD_STARTS * start), HOLD_STARTS * start)


def _returned(memory: SloMemory, seen: Observation, need: int) -> float:
    """Seconds after which a size that was given up was needed again, with a margin.

    The longest of late: it fades, so that one return does not lengthen the hold for ever.
    """
    passed = max(0.0, seen.monotonic - memory.offered.at)
    faded = memory.returned * math.exp(-passed / RETURN_FADE)
    if need <= seen.desired:
        return faded
    again = next((wish for wish in reversed(memory.wishes) if wish.replicas >= need), None)
    if again is None:
        return faded
    gap = seen.monotonic - again.at
    return max(faded, RETURN_MARGIN * gap) if gap <= LONGEST_HOLD else faded


def start_time(starts: tuple[float, ...]) -> float:
    """The 90th percentile of measured start times, in seconds; there is at least one."""
    return sorted(starts)[min(len(starts) - 1, math.floor(0.9 * len(starts)))]


def _propose(
    seen: Observation, offered: Offered, objective: Objective, start: float
) -> tuple[Proposal, int]:
    """Steps 3 and 4; and the replicas that would do if nothing had piled up."""
    queued = waiting(seen, offered, start)
    allowed = 1 - objective.share
    correction = min(LONGEST_CORRECTION, max(1.0, offered.late_share / allowed))
    by_erlang = _by_erlang(offered, objective, 1.0)
    spare = max(0.0, by_erlang - offered.steady) * correction
    rise = RISE_PART * offered.rise * math.sqrt(offered.load + 1)
    if rise > offered.load:
        rise = min(rise, max(offered.highest, 1.0))
    rise *= correction
    part = min(1.0, DRAIN_SERVICES * offered.service / start) if offered.service else 1.0
    there = seen.in_flight + queued
    served = min(there, max(offered.load, seen.in_flight))
    present = served + part * (there - served)
    expected = max(offered.steady, offered.ahead) + spare
    slots = max(expected, present - CHANCE * math.sqrt(present) + rise)
    steady = min(present, offered.load + PILED * math.sqrt(offered.load + 1))
    lasting = max(expected, steady - CHANCE * math.sqrt(steady) + rise)
    if not (seen.in_flight or seen.queued) and offered.load < IDLE:
        slots = lasting = 0.0
    least = 1 if seen.in_flight or seen.queued else 0
    replicas = max(least, math.ceil(slots / seen.slots - 1e-9))
    corrected = f", spare x{correction:.2g}" if correction > 1 else ""
    reason = (
        f"{offered.rate:.3g} requests/s of {offered.service:.3g}s load {offered.load:.3g} slots, "
        f"{seen.in_flight} are in flight and {seen.queued} queued; with {start:.3g}s to start, "
        f"{objective.text} needs {slots:.3g} slots{corrected}"
    )
    proposal = Proposal(signal="slo", replicas=replicas, reason=reason)
    return proposal, max(least, math.ceil(lasting / seen.slots - 1e-9))


def waiting(seen: Observation, offered: Offered, start: float) -> float:
    """Requests of the queue that a replica asked for now would find, with those to come until then.

    What is ready serves for all of that time, what is starting from when it should be ready; the
    load may rise as it did before. 0 when the queue will be gone by then; otherwise at most twice
    what is queued, as a queue is expected to grow on for no longer than it has.
    """
    service = offered.service
    if not seen.queued or not service:
        return seen.queued
    seconds = seen.ready * start + sum(min(start, age) for age in seen.starting_for)
    rate = offered.rate + offered.rise * math.sqrt(offered.load + 1) / service
    left = seen.queued + rate * start - seconds * seen.slots / service
    return min(max(left, seen.queued), GROWTH * seen.queued) if left > 0 else 0.0


def _by_erlang(offered: Offered, objective: Objective, part: float) -> float:
    """Slots at which `part` of the late requests that chance may cause is kept to."""
    if not offered.service:
        return offered.load
    if offered.load < IDLE:
        return 0.0
    late = (1 - objective.share) * LATE_PART * part
    return servers_for(offered.steady, objective.wait / offered.service, late)
