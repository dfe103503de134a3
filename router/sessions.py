"""Which sessions a replica holds, as bits in the slab: one store for each request with a key.

A session is what replicas are picked by: a session key, or whatever `consistent_hash` hashes.
Control counts the bits when it looks for the replica that costs least to stop
(`scaler.reconcile`). Requests without a key come nowhere near this.

Of the two halves one is set. Every TURN seconds the other is cleared and set from then on, so that
both together hold the sessions of the last one to two turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fleet.telemetry.sessions import HALF_WORDS, WORD_BITS, bit_of
from fleet.telemetry.slab import CELL_SESSIONS, cell_at, sessions_at

if TYPE_CHECKING:
    from router.pool import Pool

TURN: Final = 300.0
"""Seconds: long enough for a person to read an answer and ask on, short enough to forget those who
have left."""

_CLEAR: Final = memoryview(bytes(HALF_WORDS * 8)).cast("Q")


class Sessions:
    """The bits of one replica in the row of this worker. What is there is kept: a worker that
    takes the place of a dead one goes on with its bits.
    """

    __slots__ = ("_at", "_row", "_start")

    def __init__(self, row: memoryview, cell: int) -> None:
        row[cell_at(cell) + CELL_SESSIONS] = 1
        self._row = row
        self._start = sessions_at(cell)
        self._at = self._start

    def see(self, key: bytes) -> None:
        """A request with this key has come."""
        bit = bit_of(key)
        word = self._at + bit // WORD_BITS
        self._row[word] |= 1 << bit % WORD_BITS

    def turn(self) -> None:
        """Forget the older half, and set that from now on."""
        self._at = 2 * self._start + HALF_WORDS - self._at
        self._row[self._at : self._at + HALF_WORDS] = _CLEAR


def turn(pools: Iterable[Pool]) -> None:
    """Turn the halves of every replica; to be called every TURN seconds. Some 0.5 microseconds a
    replica that has sessions.
    """
    for pool in pools:
        for version in pool.versions.values():
            for replica in version.replicas.values():
                if replica.sessions is not None:
                    replica.sessions.turn()
