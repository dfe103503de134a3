"""Counters in one memory-mapped slab, shared by control and all workers.

Each worker owns one row and is its only writer, so an increment on the request path is one
plain store and needs no lock; control sums the rows. A row is 64-bit unsigned words:

    row = VERSION_BLOCKS blocks of BLOCK_WORDS  +  CELLS cells of CELL_WORDS  +  WORKER_WORDS
        + VERSION_BLOCKS * MAX_CLASSES bands of BAND_WORDS  +  CELLS maps of SESSION_WORDS

A *block* counts the requests of one version (block 0: requests that matched no pool), a *cell*
the leases of one replica, a *band* the wait of one priority class of a version, a *map* holds the
sessions of one replica as bits. The slab is an anonymous memory file: pages never touched cost
nothing, and what a crashed worker counted stays.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

from msgspec import Struct

from fleet.telemetry.histogram import BUCKETS
from fleet.telemetry.sessions import HALF_WORDS, SESSION_WORDS, estimate

MAX_WORKERS: Final = 64
VERSION_BLOCKS: Final = 2048
BLOCK_WORDS: Final = 128
CELLS: Final = 16384
CELL_WORDS: Final = 4
WORKER_WORDS: Final = 64
MAX_CLASSES: Final = 8
BAND_WORDS: Final = 32

# Words of a block. Classes are the first digit of the status; 0 is "no reply was sent".
REQUESTS: Final = 0  # 6 words, by class 0..5
STARTED: Final = 6
QUEUED: Final = 7  # entered the queue
UNQUEUED: Final = 8  # left the queue, for whatever reason
SHED: Final = 9  # refused for lack of room, for whatever reason
QUEUE_TIMEOUTS: Final = 10
RETRIES: Final = 11
UPSTREAM_FAILURES: Final = 12  # connect errors, resets, bad replies
CLIENT_ABORTS: Final = 13
BYTES_IN: Final = 14
BYTES_OUT: Final = 15
LEASED: Final = 16
RELEASED: Final = 17
LEASE_MICROSECONDS: Final = 18  # summed over released leases
DURATION_US: Final = 20  # sum, microseconds
DURATION: Final = 21  # BUCKETS words
WAIT_US: Final = 40
WAIT: Final = 41
FIRST_BYTE_US: Final = 60
FIRST_BYTE: Final = 61
CHUNK_GAP_US: Final = 80
CHUNK_GAP: Final = 81
RETRIES_DENIED: Final = 100  # not made: the budget was spent
HEDGES: Final = 101
HEDGE_WINS: Final = 102
DEADLINES: Final = 103  # requests ended because their time was over
CIRCUIT_CONNECTIONS: Final = 104  # refused, by the limit that was reached
CIRCUIT_PENDING: Final = 105
CIRCUIT_REQUESTS: Final = 106

# Words of a cell.
CELL_ACQUIRED: Final = 0
CELL_RELEASED: Final = 1
CELL_LIMIT: Final = 2  # gauge: slots this worker uses of an adaptive replica
CELL_SESSIONS: Final = 3  # 1 once this worker has set bits of the replica's map

# Words of a band.
BAND_QUEUED: Final = 0  # entered the queue
BAND_UNQUEUED: Final = 1
BAND_WAIT_US: Final = 2  # sum over those that got a slot
BAND_WAIT: Final = 3  # BUCKETS words
BAND_SHED: Final = 24  # a word for each of SHED_REASONS

SHED_REASONS: Final = (
    "queue_full", "displaced", "share", "delay", "lag", "memory", "connections",
)  # fmt: skip
"""Why a request was refused for lack of room: the queue is full; a higher class took its place,
or a tenant with fewer places did; it waited too long while the queue stood (`queue.target`); the
worker's event loop lags, its memory is short (`overload`), or the connections left are kept for
critical pools."""

# Words of a worker's own part.
CONNECTIONS_OPENED: Final = 0
CONNECTIONS_CLOSED: Final = 1
LOG_LINES_DROPPED: Final = 2
HTTP2_OPENED: Final = 3  # connections by HTTP/2, among CONNECTIONS_OPENED
HTTP2_CLOSED: Final = 4
HTTP2_REQUESTS: Final = 5
HANDSHAKES_FAILED: Final = 8
PROXY_HEADERS_FAILED: Final = 9
CONNECTIONS_REFUSED: Final = 10

_CELLS_AT: Final = VERSION_BLOCKS * BLOCK_WORDS
_WORKER_AT: Final = _CELLS_AT + CELLS * CELL_WORDS
_BANDS_AT: Final = _WORKER_AT + WORKER_WORDS
_SESSIONS_AT: Final = _BANDS_AT + VERSION_BLOCKS * MAX_CLASSES * BAND_WORDS
ROW_WORDS: Final = _SESSIONS_AT + CELLS * SESSION_WORDS

assert FIRST_BYTE + BUCKETS <= CHUNK_GAP_US and CHUNK_GAP + BUCKETS <= RETRIES_DENIED
assert CIRCUIT_REQUESTS < BLOCK_WORDS
assert BAND_WAIT + BUCKETS <= BAND_SHED and BAND_SHED + len(SHED_REASONS) <= BAND_WORDS
assert DURATION + BUCKETS <= WAIT_US and WAIT + BUCKETS <= FIRST_BYTE_US


def block_at(block: int) -> int:
    """Offset of a version block within a row, in words."""
    return block * BLOCK_WORDS


def cell_at(cell: int) -> int:
    """Offset of a replica cell within a row, in words."""
    return _CELLS_AT + cell * CELL_WORDS


def band_at(block: int, band: int) -> int:
    """Offset of a priority class of a version block within a row, in words."""
    return _BANDS_AT + (block * MAX_CLASSES + band) * BAND_WORDS


def sessions_at(cell: int) -> int:
    """Offset of the map of a replica's sessions within a row, in words: two halves."""
    return _SESSIONS_AT + cell * SESSION_WORDS


def worker_at() -> int:
    """Offset of the worker's own words within a row."""
    return _WORKER_AT


_EMPTY: Final = (0,) * BUCKETS


class VersionTotals(Struct, frozen=True, kw_only=True):
    """Counters of one version since it was first seen; all grow only, but for the two gauges."""

    started: int = 0
    requests: tuple[int, ...] = (0,) * 6
    """By class: index 0 no reply, 1..5 the status's first digit."""
    in_flight: int = 0
    """Gauge: leases held now."""
    queued_now: int = 0
    """Gauge: requests waiting for a slot now."""
    queued: int = 0
    shed: int = 0
    queue_timeouts: int = 0
    retries: int = 0
    retries_denied: int = 0
    hedges: int = 0
    hedge_wins: int = 0
    deadlines: int = 0
    circuit_connections: int = 0
    circuit_pending: int = 0
    circuit_requests: int = 0
    upstream_failures: int = 0
    client_aborts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    released: int = 0
    lease_seconds: float = 0.0
    """Slot occupancy summed over released leases."""
    duration: tuple[int, ...] = _EMPTY
    """Histogram of whole requests: BUCKETS counts, not cumulative."""
    duration_sum: float = 0.0
    wait: tuple[int, ...] = _EMPTY
    """Histogram of time in the queue; a request that never waited counts as 0."""
    wait_sum: float = 0.0
    first_byte: tuple[int, ...] = _EMPTY
    """Histogram of time from being sent upstream to the first byte of the reply's head."""
    first_byte_sum: float = 0.0
    chunk_gap: tuple[int, ...] = _EMPTY
    """Histogram of time between the arrivals of two parts of a reply's body."""
    chunk_gap_sum: float = 0.0


class BandTotals(Struct, frozen=True, kw_only=True):
    """Counters of one priority class of a version since it was first seen."""

    queued: int
    queued_now: int
    """Gauge: requests waiting for a slot now."""
    wait: tuple[int, ...]
    """Histogram of the time in the queue of those that got a slot from it."""
    wait_sum: float
    shed: tuple[int, ...]
    """As SHED_REASONS."""


class Slab:
    """The shared counters. `create` in control, `attach` in a worker, by file descriptor."""

    def __init__(self, fd: int, workers: int) -> None:
        self.fd = fd
        self.workers = workers
        self._map = mmap.mmap(fd, workers * ROW_WORDS * 8)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, workers: int) -> Slab:
        """Make a zeroed slab of `workers` rows (at most MAX_WORKERS). Raises OSError."""
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be 1..{MAX_WORKERS}, not {workers}")
        fd = os.memfd_create("headrace-slab", os.MFD_CLOEXEC)
        os.ftruncate(fd, workers * ROW_WORDS * 8)
        return cls(fd, workers)

    @classmethod
    def attach(cls, fd: int, workers: int) -> Slab:
        """Map an existing slab by its inherited file descriptor."""
        return cls(fd, workers)

    def row(self, worker: int) -> memoryview:
        """The words of one worker, writable; index with `block_at`, `cell_at`, `worker_at`."""
        return self._words[worker * ROW_WORDS : (worker + 1) * ROW_WORDS]

    def word(self, offset: int) -> int:
        """One word summed over all workers."""
        return sum(self._words[w * ROW_WORDS + offset] for w in range(self.workers))

    def _words_of(self, start: int, count: int) -> tuple[int, ...]:
        rows = [
            self._words[w * ROW_WORDS + start : w * ROW_WORDS + start + count]
            for w in range(self.workers)
        ]
        return tuple(map(sum, zip(*rows, strict=True)))

    def cell_in_flight(self, cell: int) -> int:
        """Leases held now on the replica of `cell`, over all workers."""
        words = self._words_of(cell_at(cell), CELL_WORDS)
        return max(0, words[CELL_ACQUIRED] - words[CELL_RELEASED])

    def cell_limit(self, cell: int) -> int:
        """Slots the workers use together of the adaptive replica of `cell`; 0: not known yet."""
        return self.word(cell_at(cell) + CELL_LIMIT)

    def cell_sessions(self, cell: int) -> int:
        """Sessions seen lately by the replica of `cell`, over all workers: an estimate, see
        `fleet.telemetry.sessions`.
        """
        seen = 0
        for row in self._with_sessions(cell):
            at = row + sessions_at(cell)
            for half in (at, at + HALF_WORDS):
                seen |= int.from_bytes(self._words[half : half + HALF_WORDS].tobytes(), "little")
        return estimate(seen)

    def _with_sessions(self, cell: int) -> list[int]:
        """Where the rows begin whose worker has set bits of that replica."""
        at = cell_at(cell) + CELL_SESSIONS
        rows = range(0, self.workers * ROW_WORDS, ROW_WORDS)
        return [row for row in rows if self._words[row + at]]

    def band(self, block: int, band: int) -> BandTotals:
        """All counters of a priority class of the version of `block`, summed over the workers."""
        w = self._words_of(band_at(block, band), BAND_WORDS)
        return BandTotals(
            queued=w[BAND_QUEUED],
            queued_now=max(0, w[BAND_QUEUED] - w[BAND_UNQUEUED]),
            wait=w[BAND_WAIT : BAND_WAIT + BUCKETS],
            wait_sum=w[BAND_WAIT_US] / 1e6,
            shed=w[BAND_SHED : BAND_SHED + len(SHED_REASONS)],
        )

    def version(self, block: int) -> VersionTotals:
        """All counters of the version of `block`, summed over the workers."""
        w = self._words_of(block_at(block), BLOCK_WORDS)
        return VersionTotals(
            started=w[STARTED],
            requests=w[REQUESTS : REQUESTS + 6],
            in_flight=max(0, w[LEASED] - w[RELEASED]),
            queued_now=max(0, w[QUEUED] - w[UNQUEUED]),
            queued=w[QUEUED],
            shed=w[SHED],
            queue_timeouts=w[QUEUE_TIMEOUTS],
            retries=w[RETRIES],
            retries_denied=w[RETRIES_DENIED],
            hedges=w[HEDGES],
            hedge_wins=w[HEDGE_WINS],
            deadlines=w[DEADLINES],
            circuit_connections=w[CIRCUIT_CONNECTIONS],
            circuit_pending=w[CIRCUIT_PENDING],
            circuit_requests=w[CIRCUIT_REQUESTS],
            upstream_failures=w[UPSTREAM_FAILURES],
            client_aborts=w[CLIENT_ABORTS],
            bytes_in=w[BYTES_IN],
            bytes_out=w[BYTES_OUT],
            released=w[RELEASED],
            lease_seconds=w[LEASE_MICROSECONDS] / 1e6,
            duration=w[DURATION : DURATION + BUCKETS],
            duration_sum=w[DURATION_US] / 1e6,
            wait=w[WAIT : WAIT + BUCKETS],
            wait_sum=w[WAIT_US] / 1e6,
            first_byte=w[FIRST_BYTE : FIRST_BYTE + BUCKETS],
            first_byte_sum=w[FIRST_BYTE_US] / 1e6,
            chunk_gap=w[CHUNK_GAP : CHUNK_GAP + BUCKETS],
            chunk_gap_sum=w[CHUNK_GAP_US] / 1e6,
        )

    def zero_block(self, block: int) -> None:
        """Clear a block in every row, before it is given to a new version."""
        self._zero(block_at(block), BLOCK_WORDS)
        self._zero(band_at(block, 0), MAX_CLASSES * BAND_WORDS)

    def zero_cell(self, cell: int) -> None:
        """Clear a cell in every row, before it is given to a new replica. Maps without a bit are
        left alone: that they were never touched is what keeps them free.
        """
        for row in self._with_sessions(cell):
            at = row + sessions_at(cell)
            self._words[at : at + SESSION_WORDS] = memoryview(bytes(SESSION_WORDS * 8)).cast("Q")
        self._zero(cell_at(cell), CELL_WORDS)

    def release_claims(self, worker: int) -> None:
        """Count every lease and queue place of a dead worker as given back."""
        row = self.row(worker)
        for block in range(VERSION_BLOCKS):
            at = block_at(block)
            row[at + RELEASED] = row[at + LEASED]
            if row[at + QUEUED]:
                for band in range(MAX_CLASSES):
                    of = band_at(block, band)
                    row[of + BAND_UNQUEUED] = row[of + BAND_QUEUED]
            row[at + UNQUEUED] = row[at + QUEUED]
        for cell in range(CELLS):
            at = cell_at(cell)
            row[at + CELL_RELEASED] = row[at + CELL_ACQUIRED]
            row[at + CELL_LIMIT] = 0
        at = worker_at()
        row[at + CONNECTIONS_CLOSED] = row[at + CONNECTIONS_OPENED]
        row[at + HTTP2_CLOSED] = row[at + HTTP2_OPENED]

    def _zero(self, start: int, count: int) -> None:
        for worker in range(self.workers):
            at = worker * ROW_WORDS + start
            self._words[at : at + count] = memoryview(bytes(count * 8)).cast("Q")

    def close(self) -> None:
        """Unmap. The file itself goes with its last descriptor."""
        self._words.release()
        self._map.close()
