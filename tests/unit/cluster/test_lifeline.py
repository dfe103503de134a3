"""Shared replicas while the store does not answer."""

from __future__ import annotations

import asyncio

from scaler.cluster.lifeline import Lifeline
from scaler.cluster.tenancy import Tenancy
from tests.support.waiting import wait_until
from tests.unit.cluster.test_tenancy import Gateway


class Told(Tenancy):
    def __init__(self) -> None:
        super().__init__("a", "s", Gateway(), lambda pool: ())
        self.log: list[str] = []

    def withdraw(self) -> None:
        self.log.append("withdraw")

    def reclaim(self) -> None:
        self.log.append("reclaim")


async def test_first_nothing_of_others_is_used_then_all_of_its_own() -> None:
    tenancy = Told()
    line = Lifeline(tenancy, 0.02)
    line.answered(0.0, 0.005)
    await wait_until(lambda: len(tenancy.log) == 2, "both are due")
    assert tenancy.log == ["withdraw", "reclaim"]


async def test_each_answer_puts_it_off_and_the_end_of_all_cancels_it() -> None:
    tenancy = Told()
    line = Lifeline(tenancy, 60.0)
    line.answered(0.0, 1.0)
    line.answered(1.0, 2.0)
    assert len(line._timers) == 2
    line.cut()
    assert line._timers == []
    Lifeline(None, 0.01).answered(0.0, 0.0)
    await asyncio.sleep(0)
    assert tenancy.log == []
