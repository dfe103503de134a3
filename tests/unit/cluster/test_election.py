"""Who may take a lease and who may act on one, by each member's own monotonic clock."""

from __future__ import annotations

import pytest

from fleet.store.cluster import Lease
from scaler.cluster.election import Election

LEASE = 3.0


def value(beat: int, holder: str = "b/1", token: int = 4) -> bytes:
    return f"{token} {holder} {beat}".encode()


def election(now: float = 0.0) -> Election:
    return Election("a/1", LEASE, now)


@pytest.mark.parametrize(
    ("stored", "lease"),
    [
        pytest.param(b"4 b/1 9", Lease(4, "b/1"), id="a lease"),
        pytest.param(None, None, id="none"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"4 b/1", None, id="a part is missing"),
        pytest.param(b"x b/1 9", None, id="the token is no number"),
        pytest.param(b"4 \xff 9", Lease(4, "\ufffd"), id="a holder that is no text"),
    ],
)
def test_a_lease_is_read_from_the_store(stored: bytes | None, lease: Lease | None) -> None:
    assert Lease.of(stored) == lease


def test_a_lease_that_nobody_holds_may_be_taken_at_once() -> None:
    one = election(now=5.0)
    one.observe(None, 7.0)
    assert one.takes_at() == 5.0


def test_another_ones_lease_may_be_taken_once_it_was_seen_unchanged_for_its_time() -> None:
    one = election()
    one.observe(value(1), 1.0)
    one.observe(value(1), 3.5)
    assert one.takes_at() == 4.0


def test_each_renewal_puts_it_off() -> None:
    one = election()
    for beat in range(100):
        one.observe(value(beat), beat / 2)
        assert one.takes_at() == beat / 2 + LEASE


def test_a_member_that_was_stopped_waits_anew_when_the_lease_was_renewed_meanwhile() -> None:
    one = election()
    one.observe(value(1), 1.0)
    one.observe(value(40), 60.0)
    assert one.takes_at() == 63.0


def test_its_own_lease_may_be_taken_again_at_once() -> None:
    one = election()
    one.observe(value(1, holder="a/1"), 1.0)
    assert one.takes_at() == 1.0


def test_that_of_an_earlier_start_may_not() -> None:
    one = election()
    one.observe(value(1, holder="a/0"), 1.0)
    assert one.takes_at() == 4.0


def test_a_leader_stops_before_anyone_can_have_waited_for_the_time_of_the_lease() -> None:
    leader, candidate = election(), Election("b/1", LEASE, 0.0)
    for sent in (0.0, 1.0, 2.0):
        leader.won(1, sent) if sent == 0.0 else leader.renewed(sent)
        # the value cannot be seen before it was sent
        candidate.observe(value(int(sent), "a/1", 1), sent)
    moment = candidate.takes_at()
    assert leader.leads(moment - 0.5)
    assert not leader.leads(moment - 0.2)


def test_one_that_lost_leads_no_more_whatever_its_clock_says() -> None:
    one = election()
    one.won(1, 0.0)
    assert one.leads(0.1)
    one.lost()
    assert not one.leads(0.1)


def test_the_highest_token_seen_never_falls() -> None:
    one = election()
    for token, holder in ((3, "b/1"), (9, "c/1"), (2, "b/2")):
        one.observe(value(0, holder, token), 0.0)
    assert one.highest == 9
    assert one.won(10, 0.0) == Lease(10, "a/1")
    assert one.highest == 10
