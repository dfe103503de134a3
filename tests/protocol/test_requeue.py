"""New settings of a queue while requests wait in it and run."""

from __future__ import annotations

import pytest

from fleet import wire
from fleet.telemetry import slab as words
from tests.protocol.support import Rig, Wire, pool, replica, version

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
THREE = wire.QueueEntry(classes=("high", "middle", "low"), class_header="X-Priority", aging=0.0)


def one_slot(rig: Rig, queue: wire.QueueEntry) -> None:
    rig.configure(pool(queue=queue))
    rig.members(version("v1", replica("a-1", slots=1)))


def ask(rig: Rig, **fields: str) -> Wire:
    client = rig.client()
    lines = "".join(f"X-{name.title()}: {value}\r\n" for name, value in fields.items())
    client.send(f"GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())
    return client


def next_served(rig: Rig, *clients: Wire) -> Wire:
    rig.replica.send(OK)
    (served,) = [client for client in clients if client.take()]
    return served


@pytest.mark.parametrize(
    "after",
    [
        wire.QueueEntry(),
        wire.QueueEntry(tenant_header="X-Account"),
        wire.QueueEntry(tenant_header="X-Account", order="edf", classes=("high", "low")),
    ],
    ids=["without tenants", "by another header", "by another header, order and classes"],
)
async def test_those_who_wait_by_tenant_wait_on_when_tenants_change(
    rig: Rig, after: wire.QueueEntry
) -> None:
    one_slot(rig, wire.QueueEntry(tenant_header="X-Tenant"))
    clients = [ask(rig, tenant="a", account="1"), ask(rig, tenant="b", account="1"),
               ask(rig, tenant="a", account="2")]  # fmt: skip
    rig.configure(pool(queue=after))
    for _ in clients:
        next_served(rig, *clients)
    assert rig.count(words.QUEUED) == rig.count(words.UNQUEUED) == 2


async def test_a_request_that_runs_outlives_its_class(rig: Rig) -> None:
    one_slot(rig, THREE)
    running = ask(rig, priority="low")
    rig.configure(pool(queue=wire.QueueEntry(classes=("a", "b"))))
    assert next_served(rig, running) is running
    assert rig.logged()[0]["class"] == "low"


async def test_those_who_wait_keep_their_class_by_its_name(rig: Rig) -> None:
    one_slot(rig, wire.QueueEntry(classes=("high", "low"), class_header="X-Priority", aging=0.0))
    ask(rig)
    low, high = ask(rig, priority="low"), ask(rig, priority="high")
    rig.configure(
        pool(
            queue=wire.QueueEntry(
                classes=("urgent", "high", "low"), class_header="X-Priority", aging=0.0
            )
        )
    )
    urgent = ask(rig, priority="urgent")
    rig.replica.send(OK)
    order = [next_served(rig, low, high, urgent) for _ in range(3)]
    assert order == [urgent, high, low]


async def test_a_class_that_is_gone_waits_on_as_the_default(rig: Rig) -> None:
    one_slot(rig, THREE)
    ask(rig)
    gone, high = ask(rig, priority="middle"), ask(rig, priority="high")
    rig.configure(pool(queue=wire.QueueEntry(classes=("high", "other"), aging=0.0)))
    rig.replica.send(OK)
    assert [next_served(rig, gone, high) for _ in range(2)] == [high, gone]
