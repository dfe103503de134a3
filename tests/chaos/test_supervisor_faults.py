"""Worker processes that die at once, that cannot be started, and that are stopped at bad times."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fleet import wire
from fleet.telemetry.slab import Slab
from headrace import supervisor
from headrace.supervisor import Supervisor, Worker
from tests.support.waiting import wait_until


class _Audience:
    def __init__(self) -> None:
        self.lives = 0
        self.deaths: list[int] = []
        """Generation a worker claims to serve when it is told to be dead."""

    def welcome(self, worker: Worker) -> None:
        self.lives += 1
        worker.generation = 7

    def heard(self, worker: Worker, message: wire.ToControl) -> None:
        raise AssertionError(message)

    def died(self, worker: Worker) -> None:
        assert worker.pid is None
        self.deaths.append(worker.generation)


@pytest.fixture
async def audience() -> _Audience:
    return _Audience()


@pytest.fixture
async def supervised(audience: _Audience) -> AsyncIterator[Supervisor]:
    slab = Slab.create(1)
    supervisor = Supervisor(1, slab, audience, lambda lines: None)
    yield supervisor
    supervisor.kill()
    async with asyncio.timeout(5):
        await supervisor.stop(0.0)
    slab.close()


def _program(tmp_path: Any, script: str) -> str:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_worker_that_dies_at_once_is_tried_again_ever_more_slowly(
    audience: _Audience, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(sys, "executable", _program(tmp_path, "exit 3"))
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(supervisor, "LONGEST_DELAY", 0.01)
    supervised.start()
    await wait_until(lambda: len(audience.deaths) >= 5, "five deaths", timeout=5)
    (worker,) = supervised.workers
    assert worker.restarts >= 4
    # a dead worker serves nothing
    assert set(audience.deaths) == {0}


async def test_a_worker_that_cannot_be_started_is_tried_again(
    audience: _Audience, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.001)
    good, calls = _program(tmp_path, "exec sleep 60"), 0
    spawn: Callable[..., Any] = asyncio.create_subprocess_exec

    async def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return await spawn(good, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", failing)
    supervised.start()
    await wait_until(lambda: audience.lives == 1, "it is there in the end", timeout=5)
    assert calls == 4


async def test_stopping_does_not_wait_for_the_delay_of_a_dead_worker(
    audience: _Audience, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(sys, "executable", _program(tmp_path, "exit 3"))
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 60.0)
    supervised.start()
    await wait_until(lambda: audience.deaths, "the first death", timeout=5)
    async with asyncio.timeout(1):
        await supervised.stop(30.0)
    assert audience.lives == 1


async def test_stopping_before_a_worker_has_started_ends_at_once(
    audience: _Audience, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(sys, "executable", _program(tmp_path, "exec sleep 60"))
    supervised.start()
    async with asyncio.timeout(2):
        await supervised.stop(30.0)


async def test_a_worker_that_will_not_end_is_killed(
    audience: _Audience, supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(sys, "executable", _program(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(supervisor, "KILL_AFTER", 0.05)
    supervised.start()
    await wait_until(lambda: audience.lives, "it runs", timeout=5)
    async with asyncio.timeout(2):
        await supervised.stop(0.05)
    assert audience.deaths == [0]
