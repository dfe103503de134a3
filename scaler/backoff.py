"""How long a replica that ended by itself waits before it is started again."""

from __future__ import annotations

from typing import Final

FIRST: Final = 0.5
"""Seconds before the first restart."""
LONGEST: Final = 30.0
"""Seconds; the delay doubles up to this."""
HEALTHY_RUN: Final = 60.0
"""Seconds in health after which earlier failures are forgotten."""
PORT_TRIES: Final = 3
"""Starts in a row that may be lost to a taken port before the delay applies to them too."""


def failures_after(failures: int, healthy_for: float) -> int:
    """Failures in a row, with the one that ended a run of `healthy_for` seconds in health."""
    return 1 if healthy_for >= HEALTHY_RUN else failures + 1


def restart_delay(failures: int, *, port_taken: bool) -> float:
    """Seconds to wait after `failures` (>= 1) in a row.

    0.5, 1, 2, 4, 8, 16, 30, 30, ... A start lost to a taken port is repeated at once with
    another port, at most PORT_TRIES times in a row.
    """
    if port_taken and failures <= PORT_TRIES:
        return 0.0
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 16))
