"""A gateway whose workers are only ears: what is sent to them is kept, and tests speak for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from fleet import wire
from fleet.channel import Channel
from fleet.clock import SystemClock
from fleet.config.load import load_text
from fleet.config.schema import Config
from fleet.model import Replica, ReplicaState
from fleet.telemetry import slab as words
from fleet.telemetry.slab import cell_at
from headrace.gateway import WorkerGateway
from headrace.supervisor import Worker


def config(versions: Mapping[str, int] | None = None, pools: Sequence[str] = ("a",)) -> Config:
    """Pools with static endpoints, all with the same versions and weights."""
    whole: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "routes": [{"match": {"path": f"/{pool}"}, "pool": pool} for pool in pools],
        "pools": {
            pool: {
                "versions": {v: {"weight": w} for v, w in (versions or {"v1": 100}).items()},
                "driver": {"static": {"endpoints": ["http://127.0.0.1:9"]}},
            }
            for pool in pools
        },
    }
    return load_text(yaml.safe_dump(whole), Path("headrace.yaml"), {})


def weights(of: Config) -> dict[str, dict[str, int]]:
    """What the file says."""
    return {
        pool: {name: version.weight for name, version in settings.versions.items()}
        for pool, settings in of.pools.items()
    }


class _Ear:
    """Takes the place of a `fleet.channel.Channel`."""

    def __init__(self) -> None:
        self.heard: list[wire.ToWorker] = []

    def send(self, payload: bytes, kind: int = 0, fds: Sequence[int] = ()) -> None:
        self.heard.append(wire.to_worker.decode(payload))


class Ears:
    """A `WorkerGateway` without processes."""

    def __init__(self, workers: int = 1) -> None:
        self.gateway = WorkerGateway(
            workers,
            on_demand=lambda pool, version: None,
            on_suspect=lambda replica: None,
            on_worker=lambda worker: None,
            on_event=lambda event: None,
            clock=SystemClock(),
            write_log=lambda lines: None,
        )

    def worker(self, index: int = 0) -> Worker:
        return self.gateway.supervisor.workers[index]

    def comes(self, index: int = 0) -> None:
        """A worker is born."""
        worker = self.worker(index)
        worker.listeners, worker.shared, worker.told = set(), set(), set()
        worker.channel = cast(Channel, _Ear())
        self.gateway.welcome(worker)

    def dies(self, index: int = 0) -> None:
        """A worker is dead."""
        self.worker(index).channel = None
        self.gateway.died(self.worker(index))

    def heard(self, index: int = 0) -> list[wire.ToWorker]:
        """What a worker has been told in its present life."""
        return cast(_Ear, self.worker(index).channel).heard

    def leases(self, replica: Replica, count: int, index: int = 0) -> None:
        """Let a worker hold `count` more leases, or fewer if it is negative."""
        word = words.CELL_ACQUIRED if count > 0 else words.CELL_RELEASED
        self.gateway.slab.row(index)[cell_at(replica.cell) + word] += abs(count)

    def idle(self, replica: Replica, index: int = 0) -> None:
        """A worker says that it holds nothing of a draining replica."""
        self.gateway.heard(self.worker(index), wire.Idle(replica=replica.name))

    def semaphore(self, of: Replica) -> int:
        """The slots of a replica that workers share."""
        return self.gateway._shared_slots.fd(of.name)

    def close(self) -> None:
        for pool in list(self.gateway._members):
            self.gateway.publish(pool, ())
        self.gateway.listeners.close_others(())


def replica(
    state: ReplicaState = ReplicaState.READY,
    *,
    version: str = "v1",
    slots: int = 4,
    cell: int = 0,
    pool: str = "a",
) -> Replica:
    """A replica of pool `a`."""
    return Replica(
        name=f"{pool}-{version}-1",
        pool=pool,
        version=version,
        host="127.0.0.1",
        port=9,
        slots=slots,
        state=state,
        cell=cell,
    )
