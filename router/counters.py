"""Counting what happens to the requests of a version, in this worker's row of the slab."""

from __future__ import annotations

from bisect import bisect_left

from fleet.telemetry import slab as words
from fleet.telemetry.histogram import BOUNDS
from fleet.telemetry.slab import band_at, block_at


class Counters:
    """One worker's words of one version block."""

    __slots__ = ("at", "bands_at", "row")

    def __init__(self, row: memoryview, block: int) -> None:
        self.row = row
        self.at = block_at(block)
        self.bands_at = band_at(block, 0)

    def add(self, word: int, amount: int = 1) -> None:
        """Add to a counter."""
        self.row[self.at + word] += amount

    def add_band(self, band: int, word: int) -> None:
        """Add 1 to a counter of a priority class."""
        self.row[self.bands_at + band * words.BAND_WORDS + word] += 1

    def waited(self, band: int, seconds: float) -> None:
        """Count the wait of one that got a slot from the queue."""
        at = self.bands_at + band * words.BAND_WORDS
        self.row[at + words.BAND_WAIT + bisect_left(BOUNDS, seconds)] += 1
        self.row[at + words.BAND_WAIT_US] += int(seconds * 1e6)

    def refused(self, band: int, reason: str) -> None:
        """Count one refused for lack of room."""
        self.add(words.SHED)
        self.add_band(band, words.BAND_SHED + words.SHED_REASONS.index(reason))
