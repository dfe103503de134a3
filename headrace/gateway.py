"""The data plane as the control loop sees it (`fleet.ports.Gateway`), over workers and slab.

What a worker must know is told to it when it appears and when it changes. Nothing is asked of
workers: counters are read from the slab, the rest comes as messages.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from fleet import wire
from fleet.channel import MAX_FDS
from fleet.clock import Clock
from fleet.config.schema import Config
from fleet.errors import HeadraceError
from fleet.model import Event, Replica, ReplicaState
from fleet.telemetry import slab as words
from fleet.telemetry.slab import CELLS, VERSION_BLOCKS, BandTotals, Slab, VersionTotals, cell_at
from headrace import compile as compiled
from headrace.ejections import Ejections
from headrace.listeners import Listeners
from headrace.shared_slots import SharedSlots
from headrace.sharing import Sharing
from headrace.starts import Starts
from headrace.supervisor import Supervisor, Worker

_log = structlog.get_logger("gateway")


class WorkerGateway:
    """See the module. `on_demand(pool, version)` and `on_suspect(replica)` pass on what workers
    notice; `on_worker(worker)` tells that one has come, gone or taken a generation;
    `on_event(event)` gets ejections and returns of replicas.
    """

    def __init__(
        self,
        workers: int,
        *,
        on_demand: Callable[[str, str], None],
        on_suspect: Callable[[str], None],
        on_worker: Callable[[Worker], None],
        on_event: Callable[[Event], None],
        clock: Clock,
        write_log: Callable[[bytes], None],
        shares: bool = False,
    ) -> None:
        """`shares`: replicas are shared with other gateways, so all slots are in semaphores."""
        self.slab = Slab.create(workers)
        self.listeners = Listeners()
        self.generation = 0
        self._stopped = False
        self._on_demand = on_demand
        self._on_suspect = on_suspect
        self._on_worker = on_worker
        self.supervisor = Supervisor(workers, self.slab, self, write_log)
        self._config: Config
        self._weights: dict[str, dict[str, int]] = {}
        self._packed: dict[str, frozenset[str]] = {}
        self._members: dict[str, tuple[Replica, ...]] = {}
        self._blocks: dict[tuple[str, str], int] = {}
        self._free_cells: deque[int] = deque(range(CELLS))
        self._endpoints: dict[str, int] = {}
        """Cells of the replicas the workers may know of; of those without an endpoint they do
        not."""
        self.ejections = Ejections(clock, self._find, on_event)
        self._in_semaphores = shares or workers > 1
        self._shared_slots = SharedSlots()
        self.sharing = Sharing(
            self._shared_slots,
            allocate_cell=self.allocate_cell,
            forget=self._give_up,
            changed=self._send_all,
        )
        self._starts = Starts()
        self._idle: dict[str, set[int]] = {}
        self._drained: dict[str, asyncio.Event] = {}

    # configuration

    def configure(self, config: Config, weights: Mapping[str, Mapping[str, int]]) -> None:
        """Serve a new generation. Raises ListenError, or HeadraceError when it has too many
        versions; then nothing has changed.
        """
        if sum(map(len, weights.values())) >= VERSION_BLOCKS:
            raise HeadraceError(f"more than {VERSION_BLOCKS - 1} versions")
        self.listeners.open(config.listen)
        self._config = config
        self._weights = {pool: dict(of) for pool, of in weights.items()}
        self._packed = {pool: of for pool, of in self._packed.items() if pool in config.pools}
        self.generation += 1
        for worker in self.supervisor.workers:
            self._send_table(worker)
            for pool in config.pools:
                self._send_members(worker, pool)
        self.listeners.close_others(config.listen)

    def set_weights(self, pool: str, weights: Mapping[str, int]) -> None:
        """Split the traffic of one pool anew."""
        self._weights[pool] = dict(weights)
        self._send_all(pool)

    def weights_in_force(self, pool: str) -> dict[str, int]:
        """The weights the workers split by: versions without a ready replica are passed over
        while another version has one.
        """
        weights = self._weights[pool]
        ready = {r.version for r in self._usable(pool) if r.state == "ready"}
        reachable = {v: w if v in ready else 0 for v, w in weights.items()}
        return reachable if any(reachable.values()) else dict(weights)

    async def stop(self, timeout: float) -> None:
        """Let the workers finish within `timeout` seconds, then end them. May be called again."""
        await self.supervisor.stop(timeout)
        self._stopped = True
        for event in self._drained.values():
            event.set()
        self.listeners.close_others(())

    def kill(self) -> None:
        """End the workers at once."""
        self.supervisor.kill()

    # fleet.ports.Gateway

    def publish(self, pool: str, replicas: Sequence[Replica]) -> None:
        """See `fleet.ports.Gateway`."""
        # by cell as well: a name that comes back in the same breath is another replica
        before = {(r.name, r.cell) for r in self._members.get(pool, ())}
        now = {(r.name, r.cell) for r in replicas}
        self._members[pool] = tuple(replicas)
        self._starts.seen(pool, replicas, time.monotonic())
        for gone, _ in before - now:
            self._forget(gone)
        for replica in replicas:
            if replica.host:
                self._endpoints[replica.name] = replica.cell
                if self._in_semaphores:
                    self._shared_slots.keep(replica.name, self.sharing.limited(replica).slots)
        if pool in self._weights:
            self._send_all(pool)
        elif not replicas:
            del self._members[pool]

    def pack(self, pool: str, versions: frozenset[str]) -> None:
        """See `fleet.ports.Gateway`."""
        self._packed[pool] = versions
        self._send_all(pool)

    def loads(self, pool: str, loads: Mapping[str, float]) -> None:
        """See `fleet.ports.Gateway`."""
        message = wire.Loads(pool=pool, loads=dict(loads))
        for worker in self.supervisor.workers:
            worker.send(message)

    async def drained(self, replica: str) -> None:
        """See `fleet.ports.Gateway`."""
        if self._stopped or replica not in self._endpoints:
            return
        event = self._drained.setdefault(replica, asyncio.Event())
        self._check_drained(replica)
        await event.wait()

    def in_flight(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return self.slab.cell_in_flight(replica.cell) if replica.cell >= 0 else 0

    def sessions(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return self.slab.cell_sessions(replica.cell) if replica.cell >= 0 else 0

    def lent(self, replica: Replica) -> int:
        """See `fleet.ports.Gateway`."""
        return self.sharing.lent.get(replica.name, 0)

    def slots(self, replica: Replica) -> int:
        """Slots of `replica` in use by now; fewer than its own when they are found out."""
        found = self.slab.cell_limit(replica.cell) if replica.cell >= 0 else 0
        return min(replica.slots, found) if found else replica.slots

    def slots_per_replica(self, pool: str, version: str) -> int | None:
        """See `fleet.ports.Gateway`."""
        ready = [
            self.slots(r)
            for r in self._members.get(pool, ())
            if r.version == version and r.state is ReplicaState.READY
        ]
        return max(1, round(sum(ready) / len(ready))) if ready else None

    def bands(self, pool: str, version: str, count: int) -> tuple[BandTotals, ...]:
        """Counters of the first `count` priority classes of a version."""
        block = self._block(pool, version)
        return tuple(self.slab.band(block, band) for band in range(count))

    def totals(self, pool: str, version: str) -> VersionTotals:
        """See `fleet.ports.Gateway`."""
        return self.slab.version(self._block(pool, version))

    def allocate_cell(self) -> int:
        """See `fleet.ports.Gateway`. Raises HeadraceError when all are taken."""
        if not self._free_cells:
            raise HeadraceError(f"more than {CELLS} replicas at once")
        cell = self._free_cells.popleft()
        self.slab.zero_cell(cell)
        return cell

    def free_cell(self, cell: int) -> None:
        """See `fleet.ports.Gateway`. Reused last of all, so late stores cannot meet a new owner."""
        self._free_cells.append(cell)

    # fleet.ports.Shared

    def limit(self, limits: Mapping[str, int]) -> None:
        """See `fleet.ports.Shared`."""
        self.sharing.limit(limits, [r for members in self._members.values() for r in members])

    def borrow(self, replicas: Mapping[str, Replica]) -> None:
        """See `fleet.ports.Shared`."""
        self.sharing.borrow(replicas)

    def held(self, replica: str) -> int:
        """See `fleet.ports.Shared`."""
        return self.sharing.held(replica)

    def lend(self, replicas: Mapping[str, int]) -> None:
        """See `fleet.ports.Shared`."""
        self.sharing.lent = replicas
        for name in self._drained:
            self._check_drained(name)

    # headrace.supervisor.Audience

    def welcome(self, worker: Worker) -> None:
        """See `headrace.supervisor.Audience`."""
        self._send_table(worker)
        for pool in self._config.pools:
            self._send_members(worker, pool)
        self._on_worker(worker)

    def heard(self, worker: Worker, message: wire.ToControl) -> None:
        """See `headrace.supervisor.Audience`."""
        match message:
            case wire.Applied(generation=generation):
                worker.generation = generation
                self._on_worker(worker)
            case wire.Idle(replica=replica):
                self._is_idle(worker, replica)
            case wire.Demand(pool=pool, version=version):
                self._on_demand(pool, version)
            case wire.Suspect(replica=replica, error=error):
                _log.warning("connection to replica failed", replica=replica, error=error)
                self._on_suspect(replica)
            case wire.Ejected():
                self.ejections.ejected(worker.index, message)
            case wire.Returned():
                self.ejections.returned(worker.index, message)

    def died(self, worker: Worker) -> None:
        """See `headrace.supervisor.Audience`."""
        row = self.slab.row(worker.index)
        for members in (*self._members.values(), self.sharing.borrowed()):
            for replica in members:
                self._shared_slots.give_back(replica.name, _held(row, replica.cell))
        self.slab.release_claims(worker.index)
        self.ejections.worker_died(worker.index)
        worker.told.clear()
        for idle in self._idle.values():
            idle.discard(worker.index)
        for name in self._drained:
            self._check_drained(name)
        self._on_worker(worker)

    # sending

    def _send_table(self, worker: Worker) -> None:
        wanted = [listener.address for listener in self._config.listen]
        new = [address for address in wanted if address not in worker.listeners]
        message = compiled.table(self._config, self.generation, self._weights, self._block, new)
        worker.send(message, [self.listeners.socket(address).fileno() for address in new])
        worker.listeners = set(wanted)

    def _usable(self, pool: str) -> list[Replica]:
        """What the workers may use: own replicas, and those of others."""
        own = self._members.get(pool, ())
        return [*map(self.sharing.limited, own), *self.sharing.borrowed(pool)]

    def _send_all(self, pool: str) -> None:
        if pool in self._weights:
            for worker in self.supervisor.workers:
                self._send_members(worker, pool)

    def _send_members(self, worker: Worker, pool: str) -> None:
        """In steps when a frame cannot carry every new semaphore at once."""
        members = self._usable(pool)
        weights = self._weights[pool]
        expected = self._starts.expected(pool)
        shared = self._in_semaphores
        new = [
            r.name
            for r in members
            if r.version in weights and r.name in self._shared_slots and r.name not in worker.shared
        ]
        while True:
            step, new = new[:MAX_FDS], new[MAX_FDS:]
            worker.shared.update(step)
            known = [r for r in members if r.name not in new]
            versions = compiled.version_entries(
                pool,
                weights,
                known,
                self._block,
                shared=shared,
                config=self._config.pools.get(pool),
                expected=expected,
                packed=self._packed.get(pool, ()),
            )
            worker.told.update(r.name for version in versions for r in version.replicas)
            worker.send(
                wire.Members(
                    pool=pool,
                    versions=versions,
                    new_shared=tuple(step),
                    strained=compiled.strained(
                        self._config.pools[pool], self._members.get(pool, ())
                    ),
                ),
                [self._shared_slots.fd(name) for name in step],
            )
            if not new:
                return

    def _find(self, name: str) -> Replica | None:
        everyone = (*self._members.values(), self.sharing.borrowed())
        return next((r for members in everyone for r in members if r.name == name), None)

    def _block(self, pool: str, version: str) -> int:
        key = (pool, version)
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = self._free_block()
        return block

    def _free_block(self) -> int:
        """One never used, or that of the version gone longest; 0 counts what matched no pool."""
        if len(self._blocks) + 1 < VERSION_BLOCKS:
            return len(self._blocks) + 1
        gone = next(key for key in self._blocks if key[1] not in self._weights.get(key[0], {}))
        block = self._blocks.pop(gone)
        self.slab.zero_block(block)
        return block

    # draining

    def _is_idle(self, worker: Worker, replica: str) -> None:
        """Not yet when a version has vanished and come back: the worker has then forgotten the
        leases of the former one, which are still in its row; it speaks again when they end.
        """
        cell = self._endpoints.get(replica)
        if cell is not None and _held(self.slab.row(worker.index), cell) == 0:
            self._idle.setdefault(replica, set()).add(worker.index)
            self._check_drained(replica)

    def _check_drained(self, replica: str) -> None:
        """A worker that was never told of the replica holds nothing of it."""
        event = self._drained.get(replica)
        if replica in self.sharing.lent:
            return
        idle = self._idle.get(replica, set())
        if event is not None and all(
            worker.index in idle or replica not in worker.told for worker in self.supervisor.workers
        ):
            event.set()

    def _give_up(self, borrowed: Replica) -> None:
        self._forget(borrowed.name)
        self.free_cell(borrowed.cell)

    def _forget(self, replica: str) -> None:
        self._shared_slots.forget(replica)
        self._endpoints.pop(replica, None)
        self._idle.pop(replica, None)
        self._drained.pop(replica, None)
        self.ejections.replica_gone(replica)
        for worker in self.supervisor.workers:
            worker.shared.discard(replica)
            worker.told.discard(replica)


def _held(row: memoryview, cell: int) -> int:
    """Leases one worker holds on the replica of `cell`."""
    at = cell_at(cell)
    held: int = row[at + words.CELL_ACQUIRED] - row[at + words.CELL_RELEASED]
    return held
