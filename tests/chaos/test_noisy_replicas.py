"""Replicas that write more than anybody can read."""

from __future__ import annotations

from pathlib import Path

from scaler.drivers.output import BURST, LineBudget, LineSplitter
from tests.chaos.daemon_kit import SUPPORT, one_pool
from tests.support.daemon import Load, agent, daemon, left_behind


def _passed(budget: LineBudget, splitter: LineSplitter, data: bytes, now: float) -> list[str]:
    notice = budget.take_notice(now)
    passed, rest = budget.split(data, now)
    lines = splitter.feed(passed)
    budget.drop(splitter.skip(rest))
    return [*([notice] if notice else []), *lines]


def test_a_stream_within_its_budget_passes_whole() -> None:
    budget, splitter = LineBudget(), LineSplitter()
    data = b"".join(b"%d\n" % n for n in range(BURST))
    pieces = [_passed(budget, splitter, data[at : at + 7], 0.0) for at in range(0, len(data), 7)]
    assert [line for lines in pieces for line in lines] == [str(n) for n in range(BURST)]
    assert budget.take_notice(1.0) is None


def test_what_is_above_the_budget_is_counted_and_told_of_in_the_next_second() -> None:
    budget, splitter = LineBudget(), LineSplitter()
    data = b"".join(b"%d\n" % n for n in range(BURST + 10))
    lines = _passed(budget, splitter, data + b"begun in t", 0.0)
    assert lines == [str(n) for n in range(BURST)]
    assert _passed(budget, splitter, b"he flood\nlost\nkept ", 0.9) == []
    notice, *lines = _passed(budget, splitter, b"whole\nand on\n", 1.0)
    assert notice == f"[12 lines dropped: more than {BURST} in a second]"
    assert lines == ["kept whole", "and on"]
    assert budget.take_notice(2.0) is None


async def test_replicas_that_flood_their_output_do_not_stop_the_daemon(tmp_path: Path) -> None:
    driver = agent()
    driver["process"]["command"] = [
        "sh", "-c", 'yes the quick brown fox & exec "$@"', "sh", *driver["process"]["command"],
    ]  # fmt: skip
    config = one_pool(driver=driver, scale={"min": 2, "max": 2})
    async with daemon(tmp_path, config) as running:
        await running.until_ready("support", 2)
        load = await Load(running.url + SUPPORT).requests(50, clients=2)
        await running.process.line("lines dropped")
        states = {replica["state"] for replica in (await running.pool("support"))["replicas"]}
        assert await running.stop() == 0
    assert load.failures == []
    assert states == {"ready"}
    assert left_behind(tmp_path) == []
