"""The control process: everything but the data plane, put together and taken apart in order.

    store      embedded server if wanted, client            fleet.store
    gateway    listeners, slab, workers                      headrace.gateway
    replicas   drivers, health, membership                   scaler.replicas
    scaler     signals, policies, decisions                  scaler.loop
    cluster    this daemon as one of several, if so wanted   headrace.cluster
    operator   the verbs behind admin API, CLI and signals   headrace.operator
    admin      the HTTP side of the verbs                    headrace.admin

Nothing here is on the request path, and nothing waits for the store: static pools serve as soon
as a worker runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import structlog

from fleet.clock import SystemClock
from fleet.config.addresses import is_loopback, split_address
from fleet.config.schema import Config
from fleet.errors import HeadraceError, StoreUnavailableError
from fleet.model import Event
from fleet.store.client import Store
from fleet.store.cluster import OVERRIDES
from fleet.store.embedded import EmbeddedStore
from headrace import cluster, heap, ownership
from headrace import overrides as kept
from headrace.admin import create_app, serve
from headrace.gateway import WorkerGateway
from headrace.journal import LoggedRecorder
from headrace.logsink import STDOUT, LogSink
from headrace.metrics.exposition import create_registry
from headrace.notify import Notifier
from headrace.operator import Operator
from headrace.supervisor import Worker
from scaler.drivers.free_ports import LOOPBACK
from scaler.loop import ScalerLoop
from scaler.replicas import ReplicaManager

STATE_SAVED_EVERY = 5.0
"""Seconds between two savings of the scaler's state."""

STATE_WAITED_FOR = 2.0
"""Seconds that scaling waits for the store at start, to go on from the state it left there."""

RESTORE_RETRY = 1.0
"""Seconds after which overrides that could not be read are asked for again."""

_log = structlog.get_logger("control")


def state_dir(config: Config, path: Path) -> Path:
    """Where the daemon keeps what must survive it."""
    if config.state_dir is not None:
        return (path.parent / config.state_dir).resolve()
    from_systemd = os.environ.get("STATE_DIRECTORY")
    if from_systemd:
        return Path(from_systemd.split(":")[0])
    return (path.parent / ".state").resolve()


class Control:
    """One running daemon."""

    def __init__(
        self,
        config: Config,
        path: Path,
        edits: AsyncIterator[None],
        stop: asyncio.Event,
        log: LogSink,
    ) -> None:
        self._path = path
        self._edits = edits
        self._clock = SystemClock()
        self._state_dir = state_dir(config, path)
        self._sink = LogSink(STDOUT)
        self._embedded = (
            EmbeddedStore(self._state_dir / "store", self._clock)
            if config.store == "embedded"
            else None
        )
        self._store_url = self._embedded.url if self._embedded else config.store
        self._store = Store(
            self._store_url,
            self._clock,
            keys=ownership.keys(config.cluster),
            member=cluster.member_name(config.cluster) if config.cluster else None,
            on_event=self._event,
        )
        self._recorder = LoggedRecorder(self._store)
        advertise = config.cluster.advertise if config.cluster else None
        self._gateway = WorkerGateway(
            config.workers,
            on_demand=lambda pool, _version: self._demand(pool),
            on_suspect=lambda replica: self._replicas.suspect(replica),  # noqa: PLW0108 - made later
            on_worker=self._worker_changed,
            on_event=self._event,
            clock=self._clock,
            write_log=self._sink.write,
            shares=advertise is not None,
        )
        self._replicas = ReplicaManager(
            self._gateway,
            self._recorder,
            self._clock,
            state_dir=self._state_dir,
            config_dir=path.parent,
            redis_url=self._store_url,
            host=advertise or LOOPBACK,
        )
        start = secrets.token_hex(4)
        seat = (
            cluster.seat(config.cluster, self._gateway, self._replicas, start)
            if config.cluster
            else None
        )
        self._scaler = ScalerLoop(
            seat or self._gateway,
            self._recorder,
            self._clock,
            apply=seat.apply if seat else self._replicas.set_desired,
            counts=seat.counts if seat else self._replicas.counts,
            pack=self._gateway.pack,
        )
        self.operator = Operator(
            path,
            config,
            gateway=self._gateway,
            replicas=self._replicas,
            scaler=self._scaler,
            store=self._store,
            store_url=self._store_url,
            log_lines_dropped=lambda: self._sink.dropped + log.dropped,
            clock=self._clock,
            recorder=self._recorder,
            cluster=lambda: self._member.status() if self._member else None,
        )
        self._member = (
            cluster.member(
                config.cluster,
                seat,
                start,
                store=self._store,
                scaler=self._scaler,
                operator=self.operator,
                configure=self.operator.configure_scaler,
                recorder=self._recorder,
                clock=self._clock,
            )
            if config.cluster and seat
            else None
        )
        self._notifier = Notifier.from_environment()
        self._stop = stop
        self._hurry = asyncio.Event()
        self._hangup = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._replicas_stopped = False

    def _event(self, event: Event) -> None:
        self._recorder.event(event)

    def _demand(self, pool: str) -> None:
        if self._member is None:
            self._scaler.kick(pool)
        else:
            self._member.demand(pool)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, then drain. Gives the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        try:
            async with self._running():
                await self._stop.wait()
                self._notifier.stopping()
                await self.operator.drain_all(self._hurry)
                if self._member is not None:
                    self._member.drained()
                await self._given_back()
        except HeadraceError as error:
            _log.error("cannot run", reason=str(error))
            return 1
        _log.info("stopped")
        return 0

    async def _given_back(self) -> None:
        """Until other members have left this one's replicas alone, or for `hurry`."""
        if self._member is not None:
            ends = [self._member.finished.wait(), self._hurry.wait()]
            waiting = [asyncio.ensure_future(end) for end in ends]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        config = self.operator.config
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._sink.close)
            # first, since it holds the state directory against a second daemon
            await self._replicas.start(config)
            stack.push_async_callback(self._stop_replicas)
            if self._embedded is not None:
                stack.push_async_callback(self._embedded.stop)
                try:
                    await self._embedded.start()
                except StoreUnavailableError as error:
                    _log.error("no store; decisions are kept in memory only", reason=str(error))
                await self._store.start()
            else:
                await self._store.start(ownership.claim(config.cluster, self._state_dir))
            stack.push_async_callback(self._store.stop)
            # again, so that replicas stop before the store that they and the journal use
            stack.push_async_callback(self._stop_replicas)
            self._replicas.subscribe(self._members_changed)
            self._gateway.configure(config, self.operator.weights())
            self._gateway.supervisor.start()
            stack.push_async_callback(self._gateway.stop, 0.0)
            admin = config.admin
            host, _ = split_address(admin.listen)
            app = create_app(
                self.operator,
                create_registry(self.operator),
                token=self.operator.admin_token,
                loopback=is_loopback(host),
            )
            server = await serve(app, admin.listen)
            stack.push_async_callback(server.stop)
            if self._member is not None:
                stack.push_async_callback(self._member.leave)
            stack.push_async_callback(self._end_tasks)
            self._spawn(self._watch(), "config watch")
            self._spawn(self._reload_at_hangup(), "reload")
            self._spawn(self._scale(), "scaler")
            self._spawn(self._notifier.watchdog(self._stop), "watchdog")
            _log.info(
                "running",
                config=str(self._path),
                listen=self._gateway.listeners.bound(),
                admin=server.address,
                state=str(self._state_dir),
            )
            heap.settle()
            yield

    async def _stop_replicas(self) -> None:
        if not self._replicas_stopped:
            self._replicas_stopped = True
            await self._replicas.stop()

    async def _scale(self) -> None:
        """Take up the stored state if the store answers in time, then scale until the end."""
        if await self._store.wait_connected(STATE_WAITED_FOR):
            with contextlib.suppress(StoreUnavailableError):
                if self._member is None and (state := await self._store.get("scaler")):
                    self._scaler.restore(state)
                await self._restore_overrides()
        if not self.operator.restored:
            self._spawn(self._restore_late(), "restore")
        if self._member is not None:
            await self._member.run(self._stop)
            return
        self.operator.configure_scaler()
        self._spawn(self._save_state(), "scaler state")
        await self._scaler.run(self._stop)

    async def _restore_overrides(self) -> None:
        await self.operator.restore(kept.decode(await self._store.get(OVERRIDES)))

    async def _restore_late(self) -> None:
        """Take up what was set by hand whenever the store answers at last."""
        while not self.operator.restored:
            await self._store.wait_connected(None)
            try:
                await self._restore_overrides()
            except StoreUnavailableError:
                await asyncio.sleep(RESTORE_RETRY)

    async def _save_state(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATE_SAVED_EVERY):
                    await self._stop.wait()
            with contextlib.suppress(StoreUnavailableError):
                await self._store.set("scaler", self._scaler.state())
            if self._stop.is_set():
                return

    async def _watch(self) -> None:
        async for _ in self._edits:
            await self._reload()

    async def _reload_at_hangup(self) -> None:
        """Signals that come during a reload are answered by one more."""
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            await self._reload()

    async def _reload(self) -> None:
        if self._stop.is_set():
            return
        self._notifier.reloading()
        try:
            await self.operator.reload()
        except Exception:
            _log.exception("reload failed")
        self._notifier.ready(self.operator.summary())

    def _worker_changed(self, worker: Worker) -> None:
        self.operator.worker_changed(worker)
        if self.operator.ready and not self._stop.is_set():
            self._notifier.ready(self.operator.summary())

    def _members_changed(self, pool: str) -> None:
        self._store.publish_membership(pool, self._replicas.replicas(pool))
        self.operator.members_changed(pool)

    def _signalled(self) -> None:
        if self._stop.is_set():
            _log.warning("second signal: not waiting for requests and replicas any longer")
            self._hurry.set()
            self._replicas.hurry()
            return
        _log.info("stopping: no new connections, finishing what is under way")
        self._stop.set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a part of the daemon failed", part=task.get_name(), exc_info=error)

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
