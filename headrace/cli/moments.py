"""Points in time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

EXAMPLE: Final = "2026-01-31T12:00:00Z"
_UNIX: Final = re.compile(r"[0-9]{9,11}(\.[0-9]+)?")
_TO_THE_SECOND: Final = re.compile(r".*:[0-9]{2}:[0-9]{2}(Z|[+-][0-9:]+)?|[0-9]+")


def moment(text: str) -> float:
    """Unix time from ISO 8601, UTC unless it says otherwise, or from Unix seconds.

    Raises ValueError.
    """
    if _UNIX.fullmatch(text):
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write {EXAMPLE} or Unix seconds") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def end_of(text: str) -> float:
    """As `moment`; a time to the second is the last microsecond of that second.

    So what is printed to the second, as decisions are, lies not behind its own time.
    """
    at = moment(text)
    return at + 0.999999 if _TO_THE_SECOND.fullmatch(text) else at
