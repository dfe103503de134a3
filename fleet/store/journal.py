"""The journal in memory: what was recorded last, and what the store has yet to receive."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from fleet.model import Decision, Event

RING: Final = 1000
"""Newest decisions, and newest events, kept in memory."""
OUTGOING: Final = 10_000
"""Records that wait for the store at most; the oldest are dropped for newer ones."""


class Record(Struct, frozen=True):
    """One entry of the journal."""

    id: str
    """Unique over all daemons and starts; a record sent twice is recognised by it."""
    body: Decision | Event


class Journal:
    """Two rings to read from while the store is away, and one bounded outgoing queue.

    Sending is `batch` (what to send), then `settle` (what was not taken), in turns.
    """

    def __init__(self, writer: str, *, ring: int = RING, outgoing: int = OUTGOING) -> None:
        """`writer` is unique to this start of the daemon; it begins every record's id."""
        self._writer = writer
        self._limit = outgoing
        self._count = 0
        self._decisions: deque[Record] = deque(maxlen=ring)
        self._events: deque[Record] = deque(maxlen=ring)
        self._sending: tuple[Record, ...] = ()
        self._waiting: deque[Record] = deque()
        self.dropped = 0
        """Records that the store never received because the queue was full."""

    def __len__(self) -> int:
        """Records the store has not confirmed."""
        return len(self._sending) + len(self._waiting)

    def add(self, body: Decision | Event) -> None:
        """Append a record, dropping the oldest waiting one when the queue is full."""
        self._count += 1
        record = Record(f"{self._writer}-{self._count}", body)
        (self._decisions if isinstance(body, Decision) else self._events).append(record)
        if len(self) >= self._limit and self._waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(record)

    def batch(self, size: int) -> tuple[Record, ...]:
        """Up to `size` of the oldest unconfirmed records; they stay counted until settled."""
        count = min(size, len(self._waiting))
        self._sending = tuple(self._waiting.popleft() for _ in range(count))
        return self._sending

    def settle(self, kept: Collection[Record]) -> None:
        """Confirm the batch, but for the records in `kept`, which are sent again in order."""
        self._waiting.extendleft(reversed([r for r in self._sending if r in kept]))
        self._sending = ()

    def decisions(self) -> list[Record]:
        """The newest decisions, newest first."""
        return list(reversed(self._decisions))

    def events(self) -> list[Record]:
        """The newest events, newest first."""
        return list(reversed(self._events))

    def unsent(self) -> list[Record]:
        """Unconfirmed records, newest first."""
        return [*reversed(self._waiting), *reversed(self._sending)]
