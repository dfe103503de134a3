"""What an exchange answers by itself, and why. See docs/resilience.md and docs/operations.md."""

from __future__ import annotations

from router.errors import Refusal
from router.http.head import ALLOW


def too_large(limit: int) -> Refusal:
    """The request's body is above `limit` bytes."""
    return Refusal(413, "body_too_large", f"the request body is above the limit of {limit} bytes")


def last_hop() -> Refusal:
    """Max-Forwards is used up."""
    return Refusal(204, "max_forwards", "Max-Forwards is used up", allow=ALLOW)


def no_slot(retry_after: int, *, replicas: bool) -> Refusal:
    """Waited as long as allowed, for a slot or for any replica at all."""
    if replicas:
        message = "no slot came free in time"
        return Refusal(503, "queue_timeout", message, retry_after=retry_after)
    return Refusal(503, "no_replica", "no replica is ready", retry_after=retry_after)


def circuit_open(limit: str, retry_after: int) -> Refusal:
    """A circuit limit is reached."""
    message = f"the limit of {limit} is reached"
    return Refusal(503, "circuit_open", message, retry_after=retry_after)


def too_late() -> Refusal:
    """The request's time is over."""
    return Refusal(504, "deadline_exceeded", "the time allowed for the request is over")
