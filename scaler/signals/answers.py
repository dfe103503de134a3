"""What a source said last, how often it failed since, and whether that is still good. Pure."""

from __future__ import annotations

from typing import Final, Self

from msgspec import Struct, structs

from fleet.config.units import format_duration

NOT_READ_YET: Final = "not read yet"
SILENCE: Final = 5.0
"""Seconds beyond an interval after which a source that neither answers nor fails is lost."""


class Answers(Struct, frozen=True, kw_only=True):
    """Times are monotonic seconds."""

    value: float | None = None
    """None: no answer yet, or one that there is nothing to measure."""
    answered: float | None = None
    failures: int = 0
    """Reads that failed since the last answer."""
    error: str = NOT_READ_YET
    """Of the last read that failed."""

    def found(self, value: float | None, now: float) -> Self:
        """After an answer."""
        return structs.replace(self, value=value, answered=now, failures=0, error="")

    def failed(self, error: str) -> Self:
        """After a read that failed."""
        return structs.replace(self, failures=self.failures + 1, error=error)

    def excused(self, failures: int) -> bool:
        """Whether nothing was read yet, but no more than `failures` reads have failed."""
        return self.answered is None and self.failures <= failures

    def lost(self, now: float, *, stale: float, failures: int, interval: float) -> str | None:
        """Why there is no value to go by; None: there is one.

        It goes when more than `failures` reads in a row have failed and the last answer is
        `stale` seconds old, or when there was none yet, or when nothing was heard at all for
        SILENCE seconds longer than that and the `interval` between two reads.
        """
        if self.answered is None:
            return self.error
        age = now - self.answered
        if self.failures > failures and age >= stale:
            return self.error
        if not self.failures and age > stale + interval + SILENCE:
            return f"no answer for {format_duration(round(age))}"
        return None
