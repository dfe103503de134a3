from __future__ import annotations

from fleet.model import Replica, ReplicaState
from headrace.starts import Starts


def replica(number: int, state: str, version: str = "v1") -> Replica:
    return Replica(
        name=f"p-{version}-{number}", pool="p", version=version, host="h", port=1, slots=1,
        state=ReplicaState(state), cell=number,
    )  # fmt: skip


def after(*took: float) -> Starts:
    """Of a version whose starts took that long, the latest last; it ends at 100 s."""
    starts = Starts()
    for number, seconds in enumerate(took):
        starts.seen("p", [replica(number, "starting")], 100.0 - seconds)
        starts.seen("p", [replica(number, "ready")], 100.0)
    return starts


def test_nothing_is_expected_before_a_start_was_seen_whole() -> None:
    starts = Starts()
    starts.seen("p", [replica(1, "starting")], 5.0)
    assert starts.expected("p") == {}


def test_the_next_is_expected_after_the_median_of_the_latest_starts() -> None:
    starts = after(2.0, 30.0, 4.0)
    starts.seen("p", [replica(0, "ready"), replica(7, "starting")], 110.0)
    starts.seen("p", [replica(0, "ready"), replica(7, "starting")], 112.0)
    assert starts.expected("p") == {"v1": 114.0}


def test_of_several_that_start_the_first_counts() -> None:
    starts = after(2.0)
    starts.seen("p", [replica(7, "starting")], 110.0)
    starts.seen("p", [replica(8, "starting"), replica(7, "starting")], 111.0)
    assert starts.expected("p") == {"v1": 112.0}


def test_nothing_is_expected_when_none_starts() -> None:
    starts = after(2.0)
    starts.seen("p", [replica(7, "starting")], 110.0)
    starts.seen("p", [replica(7, "unhealthy")], 111.0)
    assert starts.expected("p") == {}


def test_versions_and_pools_are_apart() -> None:
    starts = after(2.0)
    starts.seen("p", [replica(7, "starting", "v2")], 110.0)
    assert starts.expected("p") == {}
    assert starts.expected("q") == {}


def test_a_start_that_failed_is_no_measure() -> None:
    starts = after(2.0)
    starts.seen("p", [replica(7, "starting")], 110.0)
    starts.seen("p", [replica(7, "backoff")], 150.0)
    starts.seen("p", [replica(7, "starting")], 160.0)
    assert starts.expected("p") == {"v1": 162.0}
