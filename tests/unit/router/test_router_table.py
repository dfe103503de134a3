from __future__ import annotations

from router.split import Split
from tests.unit.router.kit import House, Waits, house, pool_entry, replica_entry, version_entry


def two_versions(a: str = "v1", b: str = "v2") -> House:
    made = House()
    made.apply(pool_entry(version_entry(a, weight=9), version_entry(b, weight=1, block=2)))
    return made


def test_a_reload_keeps_pools_versions_and_replicas_that_stay() -> None:
    made = house(replica_entry(0))
    pool, version = made.pool(), made.version()
    replica = version.replicas["r0"]
    made.apply(pool_entry(version_entry(weight=7), limit=3))
    assert made.pool() is pool
    assert made.version() is version
    assert version.replicas["r0"] is replica
    assert (version.weight, pool.entry.queue_limit) == (7, 3)


def test_a_reload_changes_the_balancer_only_when_it_is_another() -> None:
    made = house()
    before = made.version().balancer
    made.apply(pool_entry(version_entry()))
    assert made.version().balancer is before
    made.apply(pool_entry(version_entry(), balance="round_robin"))
    assert type(made.version().balancer).__name__ == "RoundRobin"


def test_a_vanished_version_drains_its_replicas() -> None:
    made = house(replica_entry(0), replica_entry(1))
    lease = made.admission.lease(made.version())
    assert lease is not None
    other = {"r0": "r1", "r1": "r0"}[lease.name]
    made.apply(pool_entry(version_entry("v2", block=2)))
    assert made.idle == [other]
    made.admission.release(lease, 0.1)
    assert made.idle == [other, lease.name]


def test_a_member_that_is_gone_from_the_list_drains() -> None:
    made = house(replica_entry(0), replica_entry(1))
    made.members(version_entry("v1", replica_entry(1)))
    assert made.idle == ["r0"]
    assert [r.name for r in made.version().free] == ["r1"]


def test_a_member_that_is_out_does_not_drain() -> None:
    made = house(replica_entry(0))
    made.members(version_entry("v1", replica_entry(0, serving=False)))
    assert made.idle == []
    assert made.version().free == []
    made.members(version_entry("v1", replica_entry(0)))
    assert [r.name for r in made.version().free] == ["r0"]


def test_a_member_started_again_elsewhere_keeps_its_leases_and_changes_its_address() -> None:
    made = house(replica_entry(0, slots=2))
    lease = made.admission.lease(made.version())
    assert lease is not None
    made.members(version_entry("v1", replica_entry(0, slots=2, host="::1", port=9999)))
    assert made.version().replicas["r0"] is lease
    assert (lease.host, lease.port, lease.authority) == ("::1", 9999, b"[::1]:9999")
    assert lease.in_flight == 1


def test_a_name_with_another_cell_is_another_replica() -> None:
    made = house(replica_entry(0))
    before = made.version().replicas["r0"]
    made.members(version_entry("v1", replica_entry(0, cell=5)))
    assert made.version().replicas["r0"] is not before
    assert [r.cell for r in made.version().free] == [5]


def test_control_clears_a_suspicion_only_when_the_replica_comes_back() -> None:
    made = house(replica_entry(0))
    replica = made.version().replicas["r0"]
    replica.suspended_until = 5.0
    made.members(version_entry("v1", replica_entry(0), replica_entry(1)))
    assert replica.suspended, "a change that says nothing of it"
    made.members(version_entry("v1", replica_entry(0, serving=False)))
    assert replica.suspended
    made.members(version_entry("v1", replica_entry(0)))
    assert not replica.suspended


def test_members_of_an_unknown_pool_are_ignored() -> None:
    made = house(replica_entry(0))
    made.members(version_entry("v1"), pool="unknown")
    assert list(made.version().replicas) == ["r0"]


def test_new_replicas_go_to_those_who_wait_first() -> None:
    made = house()
    waiter = Waits("a")
    made.admission.enqueue(waiter, made.version())
    made.members(version_entry("v1", replica_entry(0)))
    assert waiter.fate == ["granted"]


def test_the_cycle_goes_on_over_a_reload_that_does_not_change_it() -> None:
    made = two_versions()
    split = made.pool().split
    made.apply(pool_entry(version_entry("v1", weight=9), version_entry("v2", weight=1, block=2)))
    assert made.pool().split is split


def test_another_version_of_the_same_weight_has_sessions_of_its_own() -> None:
    made = two_versions()
    made.apply(pool_entry(version_entry("v1", weight=9), version_entry("v3", weight=1, block=3)))
    fresh = Split(["v1", "v3"], [9, 1])
    keys = [b"session-%d" % n for n in range(200)]
    assert [made.pool().split.of_session(k) for k in keys] == [fresh.of_session(k) for k in keys]


def test_versions_in_another_order_keep_their_sessions() -> None:
    made = House()
    made.apply(pool_entry(version_entry("a"), version_entry("b", block=2)))
    keys = [b"session-%d" % n for n in range(50)]
    before = [made.pool().choose(k) for k in keys]
    made.apply(pool_entry(version_entry("b", block=2), version_entry("a")))
    assert [made.pool().choose(k) for k in keys] == before


def test_traffic_spills_over_while_a_version_has_no_replica_and_comes_back() -> None:
    made = two_versions()
    v1, v2 = version_entry("v1", weight=9), version_entry("v2", replica_entry(2), weight=1, block=2)
    made.members(v1, v2)
    chosen = [made.pool().choose(None) for _ in range(10)]
    assert {v.name for v in chosen if v} == {"v2"}
    made.members(version_entry("v1", replica_entry(1), weight=9), v2)
    assert [v.name for v in map(made.pool().choose, [None] * 10) if v].count("v1") == 9


def test_the_room_of_a_version_follows_slots_that_are_found_out() -> None:
    made = house(replica_entry(0, slots=100, adaptive=True), balance="consistent_hash")
    version = made.version()
    for _ in range(200):
        leases = []
        while (lease := made.admission.lease(version, b"key")) is not None:
            leases.append(lease)
        for lease in leases:
            made.admission.release(lease, 1.0)
    slots = version.replicas["r0"].slots
    assert slots > 4
    assert (version.usable_slots, version.room) == (slots, slots)
