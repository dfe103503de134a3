"""The verbs (`headrace.operations.Operations`) over the running parts."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from fleet.clock import Clock
from fleet.cluster import ClusterStatus
from fleet.config.load import ConfigError, load
from fleet.config.restart import changed_keys_needing_restart
from fleet.config.schema import Config, Pool
from fleet.errors import (
    HeadraceError,
    InvalidRequestError,
    StoreUnavailableError,
    UnknownNameError,
)
from fleet.model import Decision, Event, Replica
from fleet.ports import Recorder
from fleet.store.client import Store
from fleet.store.cluster import OVERRIDES
from headrace import decided, heap
from headrace import overrides as kept
from headrace import status as snapshot
from headrace.explaining import explained
from headrace.gateway import WorkerGateway
from headrace.logging import configure_logging
from headrace.operations import Explanation, PoolStatus, ReloadResult, Status
from headrace.overrides import Overrides, WeightOverride
from headrace.release import installed_version
from headrace.shifts import Demand, Shifts
from headrace.supervisor import Worker
from scaler.cluster.planning import Bounds, bounds_of
from scaler.loop import ScalerLoop
from scaler.replicas import ReplicaManager

_log = structlog.get_logger("operator")


class Operator:
    """See `headrace.operations.Operations`; every verb is one method here."""

    def __init__(
        self,
        path: Path,
        config: Config,
        *,
        gateway: WorkerGateway,
        replicas: ReplicaManager,
        scaler: ScalerLoop,
        store: Store,
        store_url: str,
        log_lines_dropped: Callable[[], int],
        clock: Clock,
        recorder: Recorder,
        cluster: Callable[[], ClusterStatus | None] = lambda: None,
    ) -> None:
        self.config = config
        self._started_with = config
        self._path = path
        self._gateway = gateway
        self._replicas = replicas
        self._scaler = scaler
        self._store = store
        self._store_url = store_url
        self._log_lines_dropped = log_lines_dropped
        self._clock = clock
        self._recorder = recorder
        self._cluster = cluster
        self._overrides = Overrides()
        self.restored = False
        """What was set by hand before the start has been read from the store."""
        self._weights_touched: set[str] = set()
        self._sizes_touched: set[str] = set()
        """Pools set by hand since the start."""
        self._started = clock.wall()
        self._draining = False
        self._rejected: str | None = None
        self._reloads = 0
        self._reloads_rejected = 0
        self._reloading = asyncio.Lock()
        self._shifts = Shifts(
            demands=self._demands,
            ready=lambda pool, version: replicas.counts(pool, version).ready,
            move=self._weights_moved,
            minimums=scaler.set_minimums,
            tell=self._event,
        )
        self._shifts.start(self.weights())
        self._all_ready = asyncio.Event()

    # state

    @property
    def ready(self) -> bool:
        """Every worker serves the current generation."""
        return all(
            w.generation == self._gateway.generation for w in self._gateway.supervisor.workers
        )

    def summary(self) -> str:
        """One line for the service manager."""
        return f"generation {self._gateway.generation}, {len(self.config.pools)} pools"

    def admin_token(self) -> str | None:
        """The bearer token of the admin API."""
        token = self.config.admin.token
        return token.get_secret_value() if token else None

    def weights(self) -> dict[str, dict[str, int]]:
        """The weights wanted, by pool: the file's, or what was set over them."""
        return self._overrides.weights_by_pool(self.config)

    def status(self) -> Status:
        """See `Operations`."""
        gateway = self._gateway
        return Status(
            version=installed_version(),
            config=str(self._path),
            listen=gateway.listeners.bound(),
            generation=gateway.generation,
            rejected=self._rejected,
            started=self._started,
            ready=self.ready,
            draining=self._draining,
            store=self._store.display,
            store_connected=self._store.connected,
            store_owner=str(self._store.rival) if self._store.rival else None,
            workers=snapshot.workers(gateway),
            pools=tuple(self._pool_status(pool) for pool in self.config.pools),
            unrouted=gateway.slab.version(0),
            reloads=self._reloads,
            reloads_rejected=self._reloads_rejected,
            refused=snapshot.refused_connections(gateway),
            log_lines_dropped=snapshot.log_lines_dropped(gateway) + self._log_lines_dropped(),
            cluster=self._cluster(),
        )

    def _pool_status(self, pool: str) -> PoolStatus:
        return snapshot.pool_status(
            pool,
            self.config.pools[pool],
            weights=self._overrides.weights_of(self.config, pool),
            weights_overridden=pool in self._overrides.weights,
            size=self._overrides.size_of(pool, self._clock.wall()),
            gateway=self._gateway,
            replicas=self._replicas,
            scaler=self._scaler,
            weights_waiting=self._shifts.lacking(pool),
        )

    # reload

    async def reload(self) -> ReloadResult:
        """See `Operations`."""
        async with self._reloading:
            before, overrides = self._gateway.generation, self._overrides
            if self._draining:
                return ReloadResult(
                    applied=False, generation=before, errors=("the daemon is stopping",)
                )
            try:
                config = load(self._path)
                self._apply(config)
            except HeadraceError as error:
                return self._reject(error)
            self._rejected = None
            self._reloads += 1
            notes = tuple(
                f"{key} takes effect at the next start"
                for key in changed_keys_needing_restart(self._started_with, config)
            )
            for note in notes:
                _log.warning(note)
            self._event(
                "config.applied", f"generation {self._gateway.generation} replaces {before}"
            )
            if self._overrides != overrides:
                await self._save()
            await self._applied_everywhere()
            heap.settle()
            return ReloadResult(applied=True, generation=self._gateway.generation, notes=notes)

    def _apply(self, config: Config) -> None:
        overrides = self._overrides.fitting(config, self._clock.wall())
        shift = self._shifts.plan(config, overrides.weights_by_pool(config))
        self._gateway.configure(config, shift.weights)
        self._all_ready.clear()
        if config.log != self.config.log:
            configure_logging(config.log.level, config.log.format)
        for pool in self._overrides.sizes.keys() - overrides.sizes.keys():
            self._scaler.set_override(pool, None)
        self.config = config
        self._overrides = overrides
        self._replicas.configure(config)
        self._scaler.configure(config, self._store_url, shift.weights)
        self._shifts.begin(config, shift)

    def _demands(self, pool: str, settings: Pool) -> dict[str, Demand]:
        return snapshot.demands(pool, settings, self._gateway, self._replicas, self._scaler)

    def _weights_moved(self, pool: str) -> None:
        self._gateway.set_weights(pool, self._shifts.in_force[pool])
        self.configure_scaler()

    def members_changed(self, pool: str) -> None:
        """The membership of a pool is another; weights may have waited for it."""
        self._shifts.check(pool)

    def _reject(self, error: HeadraceError) -> ReloadResult:
        lines = (
            tuple(str(problem) for problem in error.problems)
            if isinstance(error, ConfigError)
            else (str(error),)
        )
        self._rejected = "\n".join(lines)
        self._reloads_rejected += 1
        generation = self._gateway.generation
        self._event(
            "config.rejected", f"generation {generation} stays in force: {'; '.join(lines)}"
        )
        return ReloadResult(applied=False, generation=generation, errors=lines)

    async def _applied_everywhere(self) -> None:
        """Until every worker serves the generation, but no longer than a dead worker's restart."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await self._all_ready.wait()

    def worker_changed(self, worker: Worker) -> None:
        """A worker has come, gone or taken a generation."""
        if worker.pid is None and not self._draining:
            self._event("worker.died", f"worker {worker.index} died; its connections are lost")
        if self.ready:
            self._all_ready.set()
        else:
            self._all_ready.clear()

    # verbs

    async def set_weights(self, pool: str, weights: Mapping[str, int] | None) -> PoolStatus:
        """See `Operations`."""
        self._pool(pool)
        override: WeightOverride | None = None
        if weights is not None:
            before = self._overrides.weights.get(pool)
            override = kept.new_weights(self.config, pool, weights, before)
        self._overrides = self._overrides.with_weights(pool, override)
        self._weights_touched.add(pool)
        wanted = self._overrides.weights_of(self.config, pool)
        shift = self._shifts.plan(self.config, self.weights())
        self._gateway.set_weights(pool, shift.weights[pool])
        self._scaler.configure(self.config, self._store_url, shift.weights)
        self._shifts.begin(self.config, shift)
        shown = " ".join(f"{v}={w}" for v, w in wanted.items())
        source = "set by hand" if override else "back to the file's"
        self._event("weights.set", f"{shown}, {source}", pool)
        await self._save()
        return self._pool_status(pool)

    async def scale(
        self, pool: str, replicas: int | None, seconds: float | None = None
    ) -> PoolStatus:
        """See `Operations`."""
        self._pool(pool)
        if snapshot.driver_kind(self.config.pools[pool]) == "static":
            raise InvalidRequestError(f"pool {pool} has static endpoints; edit them in the file")
        override = kept.new_size(replicas, seconds, self._clock.wall())
        self._overrides = self._overrides.with_size(pool, override)
        self._sizes_touched.add(pool)
        self._scaler.set_override(pool, replicas, override.until if override else None)
        what = "decided by the scaler again" if override is None else f"held at {replicas}"
        self._event("size.set", what, pool)
        await self._save()
        return self._pool_status(pool)

    async def drain(self, replica: str) -> Replica:
        """See `Operations`."""
        return self._replicas.drain(replica)

    async def decisions(self, pool: str | None, limit: int) -> Sequence[Decision]:
        """See `Operations`."""
        if pool is not None:
            self._pool(pool)
        return await self._store.decisions(pool, limit)

    async def explain(
        self, pool: str, version: str | None, at: float | None
    ) -> Sequence[Explanation]:
        """See `Operations`."""
        settings = self._pool(pool)
        if version is not None:
            kept.require_version(pool, settings, version)
        names = list(settings.versions) if version is None else [version]
        of_cluster = self._cluster()
        role = of_cluster.role if of_cluster is not None else None
        found = await decided.Latest(self._scaler, self._store, role).of(pool, names, at)
        until = math.inf if at is None else at
        return [await explained(decision, self._store, until) for decision in found]

    async def events(self, limit: int) -> Sequence[Event]:
        """See `Operations`."""
        return await self._store.events(limit)

    # start and end

    async def restore(self, stored: Overrides) -> None:
        """Take up what was set by hand before a restart, but for what has been set since."""
        self.restored = True
        fitting = stored.fitting(self.config, self._clock.wall())
        before = self.weights()
        self._overrides = self._overrides.over(fitting, self._weights_touched, self._sizes_touched)
        _log.info(
            "overrides taken up",
            weights=list(self._overrides.weights),
            sizes=list(self._overrides.sizes),
        )
        for pool, size in self._overrides.sizes.items():
            self._scaler.set_override(pool, size.replicas, size.until)
        self._move_at_once(before)
        if self._weights_touched or self._sizes_touched:
            await self._save()

    def follow(self, stored: bytes) -> None:
        """Take up what was set by hand at any member of the cluster, in place of what was."""
        overrides = kept.decode(stored).fitting(self.config, self._clock.wall())
        if not self.restored or self._overrides == overrides:
            return
        before, self._overrides = self.weights(), overrides
        for pool in self.config.pools:
            size = self._overrides.sizes.get(pool)
            self._scaler.set_override(
                pool, size.replicas if size else None, size.until if size else None
            )
        self._move_at_once(before)

    def _move_at_once(self, before: Mapping[str, Mapping[str, int]]) -> None:
        """Split by what is wanted now, in the pools where that was something else `before`."""
        for pool, weights in self.weights().items():
            if weights != before[pool]:
                self._shifts.take(pool, weights)
                self._gateway.set_weights(pool, weights)
        self.configure_scaler()

    def configure_scaler(self) -> None:
        """Give the scaler the present configuration, with the weights in force."""
        self._scaler.configure(self.config, self._store_url, self._shifts.in_force)

    def bounds(self, pool: str) -> Bounds:
        """What a plan for the whole cluster must know of a pool."""
        size = self._overrides.size_of(pool, self._clock.wall())
        return bounds_of(self.config.pools[pool].scale, size.replicas if size else None)

    async def drain_all(self, hurry: asyncio.Event) -> None:
        """Stop accepting, and wait for what is under way, or for `hurry`."""
        self._draining = True
        self._shifts.close()
        stopping = asyncio.ensure_future(self._gateway.stop(self.config.drain_timeout))
        hurried = asyncio.ensure_future(hurry.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            self._gateway.kill()
        await stopping

    async def _save(self) -> None:
        """Not before what is there has been read, which this would replace."""
        if not self.restored:
            _log.warning("kept for the next start only once the store has answered")
            return
        try:
            await self._store.set(OVERRIDES, kept.encode(self._overrides))
        except StoreUnavailableError as error:
            _log.warning("not kept for the next start", reason=str(error))

    def _pool(self, name: str) -> Pool:
        pool = self.config.pools.get(name)
        if pool is None:
            known = ", ".join(self.config.pools) or "none"
            raise UnknownNameError(f"there is no pool {name} (pools: {known})")
        return pool

    def _event(self, kind: str, message: str, pool: str = "") -> None:
        self._recorder.event(Event(at=self._clock.wall(), kind=kind, message=message, pool=pool))
