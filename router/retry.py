"""Whether and when a request is sent again. Pure.

What may be repeated depends on how the try ended (RFC 9110 section 9.2.2, RFC 8470 section 5.2):

    cause      what happened                                     repeated
    CONNECT    no connection could be made; nothing was sent     always
    DECLINED   425, or 503 with `X-Headrace-Retry: true`: the    always
               replica says that it has not begun
    LOST       the connection ended before a reply               what may be repeated
    BUSY       503 with `Retry-After: 0`                         what may be repeated
    UNFIT      no reply in time, or none that is HTTP            what may be repeated, if another
                                                                 replica is usable

"What may be repeated" is an idempotent method, or any with an `Idempotency-Key` where the
configuration allows it. Every repeat but CONNECT counts against `attempts` and the budget
(`router.budget`): a refused connection loads no replica.

Back-off is exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog 2015).
"""

from __future__ import annotations

from enum import StrEnum
from random import Random

from fleet.wire import TriesEntry
from router.http.head import RequestHead
from router.http.reply import ReplyHead

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})

MARKER = b"x-headrace-retry"
KEY = b"idempotency-key"

MAX_BACKOFF = 10
"""Longest back-off, in multiples of the first (Envoy's `max_interval`)."""


class Cause(StrEnum):
    """How a try ended; see the module."""

    BUSY = "busy"
    CONNECT = "connect"
    DECLINED = "declined"
    LOST = "lost"
    UNFIT = "unfit"


def repeatable(head: RequestHead, rules: TriesEntry) -> bool:
    """Whether the request may be done twice."""
    return head.method in IDEMPOTENT or (rules.idempotency_key and head.header(KEY) is not None)


def allowed(cause: Cause, head: RequestHead, rules: TriesEntry, made: int) -> bool:
    """Whether a request whose body is at hand may be tried again after `made` retries."""
    if cause is Cause.CONNECT:
        return True
    if made >= rules.attempts:
        return False
    return cause is Cause.DECLINED or repeatable(head, rules)


def asks_again(head: ReplyHead) -> Cause | None:
    """Why a reply asks for another replica; None when it is an answer."""
    if head.status == 425:
        return Cause.DECLINED
    if head.status != 503:
        return None
    cause = None
    for line in head.lines.split(b"\r\n"):
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == MARKER and value.lower() == b"true":
            return Cause.DECLINED
        if name == b"retry-after" and value == b"0":
            cause = Cause.BUSY
    return cause


def backoff(rules: TriesEntry, made: int, random: Random) -> float:
    """Seconds to wait before retry number `made + 1`."""
    return random.random() * rules.backoff * min(MAX_BACKOFF, 1 << min(made, 10))
