from __future__ import annotations

import json

import pytest

from fleet.telemetry import slab as words
from fleet.telemetry.slab import worker_at
from router.accesslog import MAX_BACKLOG, AccessLog
from router.errors import Refusal
from tests.support.rows import row


@pytest.fixture
def sent() -> list[bytes]:
    return []


async def test_lines_are_batched_and_flushed(sent: list[bytes]) -> None:
    log = AccessLog(sent.append, lambda: 0, row())
    for n in range(3):
        log.refusal(Refusal(400, "bad_request", "no"), b"id-%d" % n, "192.0.2.1")
    assert sent == []
    log.flush()
    (batch,) = sent
    lines = [json.loads(line) for line in batch.splitlines()]
    assert [line["id"] for line in lines] == ["id-0", "id-1", "id-2"]
    assert lines[0]["outcome"] == "bad_request"
    log.flush()
    assert len(sent) == 1


async def test_lines_are_dropped_and_counted_while_control_lags(sent: list[bytes]) -> None:
    counters = row()
    log = AccessLog(sent.append, lambda: MAX_BACKLOG + 1, counters)
    log.refusal(Refusal(400, "bad_request", "no"), b"id", "192.0.2.1")
    log.flush()
    assert sent == []
    assert counters[worker_at() + words.LOG_LINES_DROPPED] == 1


async def test_a_disabled_log_writes_nothing(sent: list[bytes]) -> None:
    log = AccessLog(sent.append, lambda: 0, row())
    log.enabled = False
    log.refusal(Refusal(400, "bad_request", "no"), b"id", "192.0.2.1")
    log.flush()
    assert sent == []
