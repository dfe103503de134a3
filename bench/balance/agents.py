"""How the agents of the balance works behave, live and in the model alike. Pure."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

SIGMA = 0.5
"""Of the logarithm of service times: the 99th percentile is 2.8 times the mean."""

FAIL_TIME = 0.001
"""Seconds in which a failing agent says so."""


@dataclass(frozen=True)
class Profile:
    """One agent. Times in seconds; `mean` of its service, `pause_every` mean between pauses, 0 for
    none.
    """

    name: str
    mean: float
    slots: int = 4
    pause_every: float = 0.0
    pause: float = 2.0
    fails: bool = False

    @property
    def capacity(self) -> float:
        """Requests a second that it serves well."""
        if self.fails:
            return 0.0
        awake = self.pause_every / (self.pause_every + self.pause) if self.pause_every else 1.0
        return self.slots / self.mean * awake


MEAN = 0.04

STEADY = Profile("steady", MEAN)
SLOW = Profile("slow", 4 * MEAN)
PAUSING = Profile("pausing", MEAN, pause_every=8.0)
FAILING = Profile("failing", MEAN, fails=True)


def fleet(kind: str, count: int) -> tuple[Profile, ...]:
    """`equal`: all steady. `unequal`: one in eight (at least one) slow, as many pausing, as many
    failing, the others steady. Raises ValueError for another kind.
    """
    if kind == "equal":
        return (STEADY,) * count
    if kind != "unequal":
        raise ValueError(f"no fleet {kind!r}")
    few = max(1, count // 8)
    odd = (SLOW,) * few + (PAUSING,) * few + (FAILING,) * few
    return odd + (STEADY,) * (count - len(odd))


class Station:
    """An agent that takes requests first come first served into its slots.

    When a request will be done is known as it comes, because nothing overtakes and nothing is
    taken back: clients that leave are not noticed. Times count from the agent's start.
    """

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self.profile = profile
        self._rng = rng
        self._free = [0.0] * profile.slots
        """When each slot is free, a heap."""
        self._pauses = _Pauses(profile, random.Random(rng.random()))
        self._mu = math.log(profile.mean) - SIGMA * SIGMA / 2

    def done_at(self, now: float) -> float:
        """When the reply to a request that comes now is sent."""
        if self.profile.fails:
            return now + FAIL_TIME
        begin = max(now, self._free[0])
        done = self._pauses.stretched(begin, self._rng.lognormvariate(self._mu, SIGMA))
        heapq.heapreplace(self._free, done)
        return done


class _Pauses:
    """Times at which nothing goes on, exponentially apart."""

    def __init__(self, profile: Profile, rng: random.Random) -> None:
        self._profile = profile
        self._rng = rng
        self._begins: list[float] = []

    def stretched(self, begin: float, work: float) -> float:
        """The end of `work` seconds of work."""
        if not self._profile.pause_every:
            return begin + work
        end = begin + work
        number = 0
        while self._begin(number) < end:
            over = self._begin(number) + self._profile.pause
            # what of the pause lies after the beginning is added; a pause in which it falls, too
            end += max(0.0, over - max(begin, self._begin(number)))
            number += 1
        return end

    def _begin(self, number: int) -> float:
        while len(self._begins) <= number:
            last = self._begins[-1] + self._profile.pause if self._begins else 0.0
            self._begins.append(last + self._rng.expovariate(1 / self._profile.pause_every))
        return self._begins[number]
