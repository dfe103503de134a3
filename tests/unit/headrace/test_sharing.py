"""Replicas that a gateway shares with others: what its workers may use of them."""

from __future__ import annotations

import os

import pytest

from fleet.model import Replica, ReplicaState
from headrace.shared_slots import SharedSlots
from headrace.sharing import Sharing


def replica(name: str = "r", slots: int = 4) -> Replica:
    return Replica(
        name=name,
        pool="p",
        version="v1",
        host="10.0.0.1",
        port=80,
        slots=slots,
        state=ReplicaState.READY,
        cell=-1,
    )


class Gateway:
    def __init__(self) -> None:
        self.slots = SharedSlots()
        self.changed: list[str] = []
        self.gone: list[str] = []
        self.sharing = Sharing(
            self.slots,
            allocate_cell=lambda: 7,
            forget=self.forget,
            changed=self.changed.append,
        )

    def forget(self, borrowed: Replica) -> None:
        self.gone.append(borrowed.name)
        self.slots.forget(borrowed.name)

    def take(self, name: str) -> None:
        os.eventfd_read(self.slots.fd(name))

    def give(self, name: str) -> None:
        os.eventfd_write(self.slots.fd(name), 1)


@pytest.fixture
async def gateway() -> Gateway:
    return Gateway()


async def test_a_limit_takes_slots_out_of_reach_at_once(gateway: Gateway) -> None:
    own = replica()
    gateway.slots.keep("r", 4)
    gateway.sharing.limit({"r": 1}, [own])
    assert (gateway.sharing.limited(own).slots, gateway.sharing.held("r")) == (1, 1)
    gateway.take("r")
    with pytest.raises(BlockingIOError):
        gateway.take("r")
    gateway.sharing.limit({}, [own])
    assert (gateway.sharing.limited(own), gateway.sharing.held("r")) == (own, 4)
    assert gateway.changed == ["p", "p"]
    gateway.sharing.limit({}, [own])
    assert gateway.changed == ["p", "p"]
    gateway.slots.forget("r")


async def test_slots_in_use_are_held_beyond_a_limit_until_they_come_back(gateway: Gateway) -> None:
    gateway.slots.keep("r", 4)
    for _ in range(3):
        gateway.take("r")
    gateway.sharing.limit({"r": 0}, [replica()])
    assert gateway.sharing.limited(replica()).state is ReplicaState.UNHEALTHY
    assert gateway.sharing.held("r") == 3
    gateway.slots.forget("r")


async def test_what_is_borrowed_no_longer_stays_until_it_is_not_in_use(gateway: Gateway) -> None:
    gateway.sharing.borrow({"r@b": replica("r@b", 2)})
    (borrowed,) = gateway.sharing.borrowed("p")
    assert (borrowed.cell, borrowed.slots, gateway.sharing.held("r@b")) == (7, 2, 2)
    gateway.take("r@b")
    gateway.sharing.borrow({})
    (borrowed,) = gateway.sharing.borrowed("p")
    assert (borrowed.slots, borrowed.state) == (0, ReplicaState.UNHEALTHY)
    assert (gateway.sharing.held("r@b"), gateway.gone) == (1, [])
    gateway.give("r@b")
    gateway.slots.keep("r@b", 0)
    gateway.sharing.borrow({})
    assert (gateway.sharing.borrowed(), gateway.gone) == ([], ["r@b"])
