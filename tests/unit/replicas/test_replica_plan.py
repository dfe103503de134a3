"""The plan of a pool, as tables: what is there, what is wanted, what is done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model import ReplicaState
from scaler.reconcile import GiveUp, Leave, Present, Restart, Start, Wanted, plan

READY = ReplicaState.READY
STARTING = ReplicaState.STARTING
UNHEALTHY = ReplicaState.UNHEALTHY
BACKOFF = ReplicaState.BACKOFF
DRAINING = ReplicaState.DRAINING

NOW = 1000.0


def there(name: str, state: ReplicaState = READY, **more: Any) -> Present:
    """A replica of v1 with the spec in force, born at the number its name ends with."""
    born = 900.0 + int(name.rpartition("-")[2])
    settings: dict[str, Any] = {"version": "v1", "spec": "new", "born": born, "since": NOW - 1}
    return Present(name=name, state=state, **{**settings, **more})


def want(desired: int | None, spec: str = "new") -> Wanted:
    return Wanted(desired=desired, spec=spec, start_timeout=60.0)


def starts(number: int) -> list[Start]:
    return [Start(version="v1")] * number


def leaving(actions: tuple[object, ...]) -> list[str]:
    return [action.name for action in actions if isinstance(action, Leave)]


SIZES = {
    "none there and three wanted: three are started": ([], 3, starts(3), []),
    "one ready and three wanted: two are started": ([there("a-1")], 3, starts(2), []),
    "as many as wanted: nothing is done": ([there("a-1"), there("a-2")], 2, [], []),
    "size not decided yet: nothing is started or stopped": ([there("a-1")], None, [], []),
    "one that starts already counts": ([there("a-1", STARTING)], 1, [], []),
    "one in backoff counts, so a crash loop does not multiply": (
        [there("a-1", BACKOFF, restart_at=NOW + 5)],
        1,
        [],
        [],
    ),
    "a draining one is not counted and never revived": (
        [there("a-1", DRAINING), there("a-2")],
        2,
        starts(1),
        [],
    ),
    "zero wanted: all leave": ([there("a-1"), there("a-2", STARTING)], 0, [], ["a-2", "a-1"]),
    "the starting one goes before the idle ready one": (
        [there("a-1", in_flight=0), there("a-2", STARTING)],
        1,
        [],
        ["a-2"],
    ),
    "the younger of two starting ones goes": (
        [there("a-1", STARTING), there("a-2", STARTING)],
        1,
        [],
        ["a-2"],
    ),
    "one in backoff goes like one that starts, the youngest first": (
        [there("a-1", STARTING), there("a-2", BACKOFF), there("a-3")],
        2,
        [],
        ["a-2"],
    ),
    "an unhealthy one goes before a ready one with less to do": (
        [there("a-1", UNHEALTHY, in_flight=5), there("a-2")],
        1,
        [],
        ["a-1"],
    ),
    "the one with least in flight goes": (
        [there("a-1", in_flight=2), there("a-2", in_flight=1), there("a-3", in_flight=3)],
        2,
        [],
        ["a-2"],
    ),
    "the one with fewest sessions goes, though the youngest has none in flight either": (
        [there("a-1", sessions=40), there("a-2", sessions=12), there("a-3", sessions=41)],
        2,
        [],
        ["a-2"],
    ),
    "a request counts as much as a session": (
        [
            there("a-1", in_flight=3, sessions=9),
            there("a-2", in_flight=0, sessions=13),
            there("a-3", in_flight=13),
        ],
        2,
        [],
        ["a-1"],
    ),
    "an unhealthy one goes whatever sessions it has": (
        [there("a-1", UNHEALTHY, sessions=500), there("a-2")],
        1,
        [],
        ["a-1"],
    ),
    "one with old settings goes before one with fewer sessions": (
        [there("a-1", sessions=50, spec="old"), there("a-2", sessions=2)],
        1,
        [],
        ["a-1"],
    ),
    "with as many requests and sessions the youngest goes": (
        [there("a-1", sessions=3), there("a-3", in_flight=3), there("a-2", sessions=3)],
        2,
        [],
        ["a-3"],
    ),
    "with equal load the youngest goes": (
        [there("a-1"), there("a-3"), there("a-2")],
        2,
        [],
        ["a-3"],
    ),
}


@pytest.mark.parametrize(("present", "desired", "started", "left"), SIZES.values(), ids=SIZES)
def test_size(
    present: list[Present], desired: int | None, started: list[Start], left: list[str]
) -> None:
    actions = plan({"v1": want(desired)}, present, NOW).actions
    assert [a for a in actions if isinstance(a, Start)] == started
    assert leaving(actions) == left


OLD: dict[str, Any] = {"spec": "old"}
OLDS = [there(f"a-{number}", in_flight=number, **OLD) for number in (1, 2, 3)]
SURGES = {
    "two beyond: two are started": (2, OLDS, 3, starts(2), []),
    "two beyond: one is ready, so one old leaves": (
        2,
        [*OLDS, there("a-4"), there("a-5", STARTING)],
        3,
        [],
        ["a-1"],
    ),
    "two beyond: once an old one has left, the next starts": (
        2,
        [*OLDS[1:], there("a-4"), there("a-5", STARTING)],
        3,
        starts(1),
        [],
    ),
    "no more are started than are wanted in the end": (5, OLDS, 3, starts(3), []),
    "none beyond: an old one leaves first": (0, OLDS, 3, [], ["a-1"]),
    "none beyond: its successor comes": (0, OLDS[1:], 3, starts(1), []),
    "none beyond: while the successor starts no other leaves": (
        0,
        [*OLDS[1:], there("a-4", STARTING)],
        3,
        [],
        [],
    ),
    "none beyond: the successor is ready, the next leaves": (
        0,
        [*OLDS[1:], there("a-4")],
        3,
        [],
        ["a-2"],
    ),
    "none beyond: fewer wanted meanwhile, the old ones leave": (0, OLDS, 1, [], ["a-1", "a-2"]),
}


@pytest.mark.parametrize(
    ("surge", "present", "desired", "started", "left"), SURGES.values(), ids=SURGES
)
def test_surge(
    surge: int, present: list[Present], desired: int, started: list[Start], left: list[str]
) -> None:
    wanted = Wanted(desired=desired, spec="new", start_timeout=60.0, surge=surge)
    actions = plan({"v1": wanted}, present, NOW).actions
    assert [a for a in actions if isinstance(a, Start)] == started
    assert leaving(actions) == left


ROLLS = {
    "all old and ready: one more is started first": (
        [there("a-1", **OLD), there("a-2", **OLD)],
        2,
        starts(1),
        [],
    ),
    "while the new one starts nothing leaves": (
        [there("a-1", **OLD), there("a-2", **OLD), there("a-3", STARTING)],
        2,
        [],
        [],
    ),
    "the new one is ready: the old one with least to do leaves": (
        [there("a-1", in_flight=1, **OLD), there("a-2", in_flight=4, **OLD), there("a-3")],
        2,
        [],
        ["a-1"],
    ),
    "an old one still draining does not hold up the next": (
        [there("a-1", DRAINING, **OLD), there("a-2", **OLD), there("a-3")],
        2,
        starts(1),
        [],
    ),
    "new settings that crash stop the roll and cost no capacity": (
        [there("a-1", **OLD), there("a-2", **OLD), there("a-3", BACKOFF, restart_at=NOW + 9)],
        2,
        [],
        [],
    ),
    "the last old one leaves when all new ones are ready": (
        [there("a-1", **OLD), there("a-3"), there("a-4")],
        2,
        [],
        ["a-1"],
    ),
    "old ones that carry nothing leave at once and are replaced": (
        [there("a-1", STARTING, **OLD), there("a-2", BACKOFF, **OLD), there("a-3", **OLD)],
        3,
        starts(2),
        ["a-1", "a-2"],
    ),
    "grown while rolling: what is missing starts with the new settings": (
        [there("a-1", **OLD), there("a-3", STARTING)],
        4,
        starts(2),
        [],
    ),
    "shrunk while rolling: an old one leaves, the pending one stays": (
        [there("a-1", **OLD), there("a-2", **OLD), there("a-3", **OLD), there("a-4", STARTING)],
        2,
        [],
        ["a-3"],
    ),
    "shrunk to zero while rolling: all leave": (
        [there("a-1", **OLD), there("a-4", STARTING)],
        0,
        [],
        ["a-4", "a-1"],
    ),
    "size not decided yet: no roll begins": ([there("a-1", **OLD)], None, [], []),
}


@pytest.mark.parametrize(("present", "desired", "started", "left"), ROLLS.values(), ids=ROLLS)
def test_roll(
    present: list[Present], desired: int | None, started: list[Start], left: list[str]
) -> None:
    actions = plan({"v1": want(desired)}, present, NOW).actions
    assert [a for a in actions if isinstance(a, Start)] == started
    assert leaving(actions) == left


REPAIRS: dict[str, tuple[Present, list[object], float | None]] = {
    "backoff not over: it is looked at again when it is": (
        there("a-1", BACKOFF, restart_at=NOW + 2),
        [],
        NOW + 2,
    ),
    "backoff over: started again": (
        there("a-1", BACKOFF, restart_at=NOW),
        [Restart(name="a-1")],
        None,
    ),
    "starting within its time": (there("a-1", STARTING, since=NOW - 59), [], NOW + 1),
    "never healthy within its time: given up": (
        there("a-1", STARTING, since=NOW - 60),
        [GiveUp(name="a-1", reason="not healthy within 60s")],
        None,
    ),
    "given up already: left to end": (
        there("a-1", STARTING, since=NOW - 99, stopping=True),
        [],
        None,
    ),
    "unhealthy for a while: it may recover": (
        there("a-1", UNHEALTHY, since=NOW - 10),
        [],
        NOW + 50,
    ),
    "unhealthy too long with nothing to lose: given up": (
        there("a-1", UNHEALTHY, since=NOW - 60),
        [GiveUp(name="a-1", reason="unhealthy for 60s")],
        None,
    ),
    "unhealthy too long but busy: it may be at work on one long request": (
        there("a-1", UNHEALTHY, since=NOW - 60, in_flight=1),
        [],
        NOW + 1,
    ),
    "unhealthy too long but lent: another gateway may have a request there": (
        there("a-1", UNHEALTHY, since=NOW - 60, lent=1),
        [],
        NOW + 1,
    ),
    "ready: nothing to repair": (there("a-1"), [], None),
}


@pytest.mark.parametrize(("replica", "actions", "wake"), REPAIRS.values(), ids=REPAIRS)
def test_repair(replica: Present, actions: list[object], wake: float | None) -> None:
    decided = plan({"v1": want(1)}, [replica], NOW)
    assert list(decided.actions) == actions
    assert decided.wake == wake


def test_versions_are_planned_apart_and_a_removed_one_leaves_whole() -> None:
    present = [there("a-1"), there("b-2", version="v2"), there("c-3", DRAINING, version="v2")]
    decided = plan({"v1": want(1), "v3": want(1)}, present, NOW)
    assert decided.actions == (
        Leave(name="b-2", reason="its version was removed"),
        Start(version="v3"),
    )


REASONS: dict[str, tuple[list[Present], int, dict[str, str]]] = {
    "one of several": (
        [there("a-1", sessions=40), there("a-40", in_flight=2, sessions=12)],
        1,
        {"a-40": "1 wanted; the least costly of 2: 2 in flight, 12 sessions, 1m old"},
    ),
    "two of several": (
        [there("a-1", in_flight=2), there("a-98", sessions=1), there("a-99", STARTING)],
        1,
        {
            "a-99": "1 wanted; one of the 2 least costly of 3: starting, 1s old",
            "a-98": "1 wanted; one of the 2 least costly of 3: 0 in flight, 1 session, 2s old",
        },
    ),
    "slots that other gateways have count as requests": (
        [
            there("a-1", in_flight=2, lent=2),
            there("a-2", in_flight=3, lent=1),
            there("a-99", lent=5),
        ],
        1,
        {
            "a-1": "1 wanted; one of the 2 least costly of 3: 2 in flight, 0 sessions, "
            "2 slots lent, 1m39s old",
            "a-2": "1 wanted; one of the 2 least costly of 3: 3 in flight, 0 sessions, "
            "1 slot lent, 1m38s old",
        },
    ),
    "all, so that nothing was chosen": (
        [there("a-95", UNHEALTHY, in_flight=3)],
        0,
        {"a-95": "0 wanted; unhealthy, 3 in flight, 0 sessions, 5s old"},
    ),
    "one with old settings, once its successor is ready": (
        [there("a-1", spec="old", in_flight=1), there("a-2", spec="old"), there("a-3")],
        2,
        {
            "a-2": "replaced by one with the new settings; the least costly of 3: "
            "0 in flight, 0 sessions, 1m38s old"
        },
    ),
}


@pytest.mark.parametrize(("present", "desired", "reasons"), REASONS.values(), ids=REASONS)
def test_a_victims_reason_tells_what_is_lost_with_it(
    present: list[Present], desired: int, reasons: dict[str, str]
) -> None:
    actions = plan({"v1": want(desired)}, present, NOW).actions
    assert {a.name: a.reason for a in actions if isinstance(a, Leave)} == reasons


def test_one_that_leaves_is_not_repaired_too() -> None:
    decided = plan({"v1": want(0)}, [there("a-1", BACKOFF, restart_at=NOW)], NOW)
    assert decided.actions == (Leave(name="a-1", reason="0 wanted; backoff, 1m39s old"),)
    assert decided.wake is None


replica_sets = st.lists(
    st.tuples(
        st.sampled_from([READY, STARTING, UNHEALTHY, BACKOFF, DRAINING]),
        st.sampled_from(["old", "new"]),
        st.integers(0, 3),
    ),
    max_size=8,
).map(
    lambda rows: [
        there(f"a-{n}", state, spec=spec, in_flight=load)
        for n, (state, spec, load) in enumerate(rows)
    ]
)


@given(replica_sets, st.integers(0, 5), st.randoms())
def test_the_order_in_which_replicas_are_given_does_not_matter(
    present: list[Present], desired: int, random: Any
) -> None:
    shuffled = list(present)
    random.shuffle(shuffled)
    wanted = {"v1": want(desired)}
    assert plan(wanted, shuffled, NOW) == plan(wanted, present, NOW)


@given(replica_sets, st.integers(0, 5))
def test_carried_out_again_and_again_it_ends_with_the_wanted_number_of_new_ones(
    present: list[Present], desired: int
) -> None:
    """Starts become ready, leavers go; ready capacity never falls below what was possible."""
    serial = 100
    for _ in range(40):
        ready_before = sum(r.state is READY for r in present)
        decided = plan({"v1": want(desired)}, present, NOW)
        gone = set(leaving(decided.actions))
        present = [r for r in present if r.name not in gone and r.state is not DRAINING]
        assert sum(r.state is READY for r in present) >= min(ready_before, desired)
        assert len(present) <= max(desired + 1, ready_before)
        present = [there(r.name, spec=r.spec) for r in present]
        for action in decided.actions:
            if isinstance(action, Start):
                serial += 1
                present.append(there(f"a-{serial}"))
    assert [r.spec for r in present] == ["new"] * desired
    assert plan({"v1": want(desired)}, present, NOW).actions == ()
