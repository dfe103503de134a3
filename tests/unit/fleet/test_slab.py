from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import pytest

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BUCKETS
from fleet.telemetry.sessions import HALF_WORDS, bit_of
from fleet.telemetry.slab import Slab, band_at, block_at, cell_at, sessions_at, worker_at


@pytest.fixture
def slab() -> Iterator[Slab]:
    made = Slab.create(3)
    yield made
    made.close()
    os.close(made.fd)


def put(slab: Slab, worker: int, at: int, value: int) -> None:
    with slab.row(worker) as row:
        row[at] = value


def get(slab: Slab, worker: int, at: int) -> int:
    with slab.row(worker) as row:
        return row[at]


def test_rows_are_summed(slab: Slab) -> None:
    for worker in range(3):
        put(slab, worker, block_at(5) + words.STARTED, 10**worker)
        put(slab, worker, worker_at() + words.CONNECTIONS_OPENED, worker)
    assert slab.version(5).started == 111
    assert slab.version(4).started == 0
    assert slab.word(worker_at() + words.CONNECTIONS_OPENED) == 3


def test_every_field_of_a_version_comes_from_its_own_words(slab: Slab) -> None:
    with slab.row(1) as row:
        for word in range(words.BLOCK_WORDS):
            row[block_at(2) + word] = word + 1
    totals = slab.version(2)
    assert totals.requests == (1, 2, 3, 4, 5, 6)
    assert totals.shed == words.SHED + 1
    assert totals.bytes_out == words.BYTES_OUT + 1
    assert totals.duration == tuple(range(words.DURATION + 1, words.DURATION + 1 + BUCKETS))
    assert totals.wait == tuple(range(words.WAIT + 1, words.WAIT + 1 + BUCKETS))
    assert totals.first_byte == tuple(range(words.FIRST_BYTE + 1, words.FIRST_BYTE + 1 + BUCKETS))
    assert totals.duration_sum == (words.DURATION_US + 1) / 1e6
    assert totals.lease_seconds == (words.LEASE_MICROSECONDS + 1) / 1e6


def test_gauges_are_differences_over_all_rows_and_never_negative(slab: Slab) -> None:
    put(slab, 0, block_at(1) + words.LEASED, 7)
    put(slab, 1, block_at(1) + words.RELEASED, 4)
    put(slab, 2, block_at(1) + words.UNQUEUED, 1)
    put(slab, 0, cell_at(9) + words.CELL_ACQUIRED, 5)
    put(slab, 2, cell_at(9) + words.CELL_RELEASED, 3)
    assert slab.version(1).in_flight == 3
    assert slab.version(1).queued_now == 0
    assert slab.cell_in_flight(9) == 2


def test_a_dead_workers_claims_are_given_back_and_the_others_kept(slab: Slab) -> None:
    for worker in (0, 1):
        put(slab, worker, block_at(1) + words.LEASED, 5)
        put(slab, worker, block_at(1) + words.QUEUED, 3)
        put(slab, worker, cell_at(2) + words.CELL_ACQUIRED, 5)
        put(slab, worker, worker_at() + words.CONNECTIONS_OPENED, 4)
        put(slab, worker, block_at(1) + words.STARTED, 9)
    slab.release_claims(0)
    totals = slab.version(1)
    assert (totals.in_flight, totals.queued_now, totals.started) == (5, 3, 18)
    assert slab.cell_in_flight(2) == 5
    assert get(slab, 0, worker_at() + words.CONNECTIONS_CLOSED) == 4
    assert get(slab, 1, worker_at() + words.CONNECTIONS_CLOSED) == 0


def test_a_block_and_a_cell_are_zeroed_alone_and_in_every_row(slab: Slab) -> None:
    for worker in range(3):
        for block in (1, 2, 3):
            put(slab, worker, block_at(block), 1)
            put(slab, worker, block_at(block) + words.BLOCK_WORDS - 1, 1)
        for cell in (1, 2, 3):
            put(slab, worker, cell_at(cell), 1)
            put(slab, worker, cell_at(cell) + words.CELL_WORDS - 1, 1)
    slab.zero_block(2)
    slab.zero_cell(2)
    assert [slab.word(block_at(b)) for b in (1, 2, 3)] == [3, 0, 3]
    assert [slab.word(block_at(b) + words.BLOCK_WORDS - 1) for b in (1, 2, 3)] == [3, 0, 3]
    assert [slab.word(cell_at(c)) for c in (1, 2, 3)] == [3, 0, 3]
    assert [slab.word(cell_at(c) + words.CELL_WORDS - 1) for c in (1, 2, 3)] == [3, 0, 3]


def test_an_attached_slab_is_the_same_memory(slab: Slab) -> None:
    other = Slab.attach(slab.fd, 3)
    put(other, 2, block_at(0) + words.STARTED, 6)
    assert slab.version(0).started == 6
    other.close()


def test_the_last_block_cell_and_word_of_the_last_row_are_inside(slab: Slab) -> None:
    put(slab, 2, block_at(words.VERSION_BLOCKS - 1) + words.BLOCK_WORDS - 1, 1)
    put(slab, 2, cell_at(words.CELLS - 1) + words.CELL_WORDS - 1, 1)
    put(slab, 2, worker_at() + words.WORKER_WORDS - 1, 1)
    last = band_at(words.VERSION_BLOCKS - 1, words.MAX_CLASSES - 1)
    assert worker_at() + words.WORKER_WORDS == band_at(0, 0)
    assert last + words.BAND_WORDS == sessions_at(0)
    assert sessions_at(words.CELLS - 1) + words.SESSION_WORDS == words.ROW_WORDS


def set_bits(slab: Slab, worker: int, cell: int, keys: Iterable[bytes], half: int = 0) -> None:
    """As a worker does (`router.sessions`)."""
    put(slab, worker, cell_at(cell) + words.CELL_SESSIONS, 1)
    for key in keys:
        word, bit = divmod(bit_of(key), 64)
        at = sessions_at(cell) + half * HALF_WORDS + word
        put(slab, worker, at, get(slab, worker, at) | 1 << bit)


def test_sessions_are_counted_once_over_workers_and_halves(slab: Slab) -> None:
    keys = [b"s-%d" % number for number in range(20)]
    set_bits(slab, 0, 5, keys[:12])
    set_bits(slab, 1, 5, keys[6:])
    set_bits(slab, 1, 5, keys[:9], half=1)
    assert slab.cell_sessions(5) == 20
    assert slab.cell_sessions(4) == slab.cell_sessions(6) == 0


def test_a_zeroed_cell_has_no_sessions_and_the_next_one_keeps_its_own(slab: Slab) -> None:
    for cell in (5, 6):
        for half in (0, 1):
            set_bits(slab, 2, cell, [b"a", b"b"], half)
    slab.zero_cell(5)
    set_bits(slab, 2, 5, [])
    assert (slab.cell_sessions(5), slab.cell_sessions(6)) == (0, 2)


def test_a_dead_workers_sessions_still_count(slab: Slab) -> None:
    set_bits(slab, 0, 5, [b"a", b"b"])
    slab.release_claims(0)
    assert slab.cell_sessions(5) == 2


@pytest.mark.parametrize("workers", [0, 65])
def test_the_number_of_workers_is_bounded(workers: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.64"):
        Slab.create(workers)
