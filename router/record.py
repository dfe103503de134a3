"""What a worker has counted of one replica's requests, for `router.outliers` to judge by."""

from __future__ import annotations


class Record:
    """Counts since the last sweep, and what outlives it."""

    __slots__ = ("answered", "failed", "failures", "gateway_errors", "seconds", "times")

    def __init__(self) -> None:
        self.answered = 0
        """Requests answered with a status below 500."""
        self.failed = 0
        self.seconds = 0.0
        """Times to first byte of those answered, summed."""
        self.failures = 0
        """Failures in a row, over sweeps."""
        self.gateway_errors = 0
        """Gateway errors in a row, over sweeps."""
        self.times = 0
        """Ejections that weigh on the next; one is forgotten with each good sweep."""

    def sweep(self) -> None:
        """Count anew."""
        self.answered = self.failed = 0
        self.seconds = 0.0
