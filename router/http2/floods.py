"""How many frames of the kinds that cost much and say little a client may send. Pure.

Each kind has a token bucket: it starts full and is refilled by time, and for the kinds by which a
client answers what it is sent, by the DATA frames that it is sent. Who finds it empty is sent away
with ENHANCE_YOUR_CALM (RFC 9113 section 10.5). Precedents: nghttp2 has a bucket for resets (1,000
and 33 a second); Envoy counts PRIORITY per stream (100), empty DATA in a row (1) and WINDOW_UPDATE
per DATA frame sent (10). Browsers and gRPC stay far below these.
"""

from __future__ import annotations

from typing import Final

from h2.errors import ErrorCodes
from msgspec import Struct

from router.http2.errors import ConnectionFault


class Budget(Struct, frozen=True):
    """What a client may spend on one kind of frame."""

    burst: float
    """Frames at once."""
    rate: float
    """Frames a second."""
    earned: float = 0.0
    """Further frames for each DATA frame sent to it."""


BUDGETS: Final = {
    "empty_data": Budget(100, 10),
    "goaway": Budget(10, 1),
    "ping": Budget(200, 10, earned=1),
    "priority": Budget(1000, 100),
    "reset": Budget(200, 20),
    "settings": Budget(50, 1),
    "unknown": Budget(200, 10),
    "window_update": Budget(1000, 100, earned=10),
}
"""`reset` counts streams reset by the client (CVE-2023-44487), those it makes the gateway reset
(CVE-2025-8671) and those it opens beyond the limit; `unknown` frames of kinds nobody knows."""


class Spending:
    """What one client has left, by kind."""

    __slots__ = ("_left", "sent")

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float, int]] = {}
        self.sent = 0
        """DATA frames sent to the client."""

    def spend(self, kind: str, now: float) -> None:
        """Count a frame at `now`, in monotonic seconds. Raises ConnectionFault."""
        budget = BUDGETS[kind]
        left, since, sent = self._left.get(kind, (budget.burst, now, self.sent))
        left += (now - since) * budget.rate + (self.sent - sent) * budget.earned
        left = min(left, budget.burst) - 1
        self._left[kind] = (left, now, self.sent)
        if left < 0:
            what = kind.replace("_", " ")
            raise ConnectionFault(
                ErrorCodes.ENHANCE_YOUR_CALM, f"http2_{kind}_flood", f"too many frames: {what}"
            )
