"""The scaler: one independent loop a pool, so that no pool's trouble is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog
from msgspec import Struct

from fleet.clock import Clock
from fleet.config.schema import Config, Pool, Signal
from fleet.model import Decision, Event
from fleet.ports import Recorder, Traffic
from scaler import state as kept
from scaler.budgets import Ledger, Purse
from scaler.decide import Override
from scaler.members import Counts
from scaler.pool_loop import PoolLoop, ScaledPool
from scaler.signals import inputs
from scaler.signals.pool import PoolSignals
from scaler.state import PoolState

_log = structlog.get_logger("scaler")


class _SignalSettings(Struct, frozen=True, kw_only=True):
    """All that signals depend on; while it is the same, a reload leaves them running."""

    signals: tuple[Signal, ...]
    interval: float
    store_url: str
    prometheus_url: str | None
    load_stale: float
    """Seconds up to which a load that a replica reported counts."""


class ScalerLoop:
    """Decides the sizes of all pools and has them applied.

    `apply(pool, desired)` gets the wanted size of each version when it changes; `counts(pool,
    version)` tells which replicas there are; `pack(pool, versions)` gets the versions whose
    requests are to be packed (`fleet.ports.Gateway.pack`) when they change.
    All methods are called in one event loop.
    """

    def __init__(
        self,
        gateway: Traffic,
        recorder: Recorder,
        clock: Clock,
        *,
        apply: Callable[[str, Mapping[str, int]], None],
        counts: Callable[[str, str], Counts],
        pack: Callable[[str, frozenset[str]], None] = lambda pool, versions: None,
    ) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._clock = clock
        self._apply = apply
        self._counts = counts
        self._pack = pack
        self._pools: dict[str, PoolLoop] = {}
        self._signals: dict[str, _SignalSettings] = {}
        self._overrides: dict[str, Override] = {}
        self._minimums: dict[str, Mapping[str, int]] = {}
        self._restored: dict[str, PoolState] = {}
        self._tasks: dict[PoolLoop, asyncio.Task[None]] = {}
        self._running = False

    def configure(
        self,
        config: Config,
        store_url: str,
        weights: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Apply a generation of the configuration; `weights` (by pool) go before its own.

        Pools that remain go on from where they are, and all decide again at once. A pool
        without process replicas is not scaled. Redis signals without a URL ask `store_url`.
        """
        wanted: dict[str, tuple[ScaledPool, _SignalSettings]] = {}
        for name, pool in config.pools.items():
            own = {**_weights(pool), **(weights or {}).get(name, {})}
            scaled = ScaledPool.of(pool, own, config.budgets)
            if scaled.slots:
                wanted[name] = (
                    scaled,
                    _SignalSettings(
                        signals=pool.scale.signals,
                        interval=pool.scale.tick,
                        store_url=store_url,
                        prometheus_url=config.prometheus,
                        load_stale=pool.balance.load.stale if pool.balance.load else 0.0,
                    ),
                )
        for name in self._pools.keys() - wanted.keys():
            del self._signals[name]
            self._minimums.pop(name, None)
            self._end(self._pools.pop(name))
        for name, (scaled, signals) in wanted.items():
            if name in self._pools and self._signals[name] == signals:
                self._pools[name].configure(scaled)
            else:
                self._replace(name, scaled, signals)
        self._restored.clear()
        self._open_accounts()

    def _open_accounts(self) -> None:
        ledgers: dict[str, Ledger] = {}
        for name, loop in self._pools.items():
            account, scale = loop.pool.account, loop.pool.scale
            loop.purse = None
            if account is not None:
                ledger = ledgers.setdefault(account.budget, Ledger(account.total))
                loop.purse = Purse(ledger, account, name, scale.min)
                loop.purse.open(loop.held())

    async def run(self, stop: asyncio.Event) -> None:
        """Scale until `stop` is set; then the loops have ended and their connections are closed."""
        self._running = True
        self._open_accounts()
        for loop in self._pools.values():
            self._begin(loop)
        try:
            await stop.wait()
        finally:
            self._running = False
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def tick(self) -> None:
        """Decide every pool once, now, in the caller's time: for measurements."""
        for loop in self._pools.values():
            loop.tick()

    def kick(self, pool: str) -> None:
        """Decide a pool now, because its load has changed; unknown names are ignored."""
        if pool in self._pools:
            self._pools[pool].kick()

    def set_override(self, pool: str, total: int | None, until: float | None = None) -> None:
        """Hold a pool's total at `total` until Unix time `until`; None: the scaler decides.

        It may come before the pool is configured, and stays over reloads.
        """
        if total is None:
            self._overrides.pop(pool, None)
        else:
            self._overrides[pool] = Override(total, until)
        if pool in self._pools:
            self._pools[pool].override = self._overrides.get(pool)
            self._pools[pool].kick()

    def set_minimums(self, pool: str, minimums: Mapping[str, int]) -> None:
        """Have at least so many replicas of the versions named; of the others none is needed."""
        self._minimums[pool] = minimums
        if pool in self._pools and self._pools[pool].minimums != minimums:
            self._pools[pool].minimums = minimums
            self._pools[pool].kick()

    def latest(self, pool: str, version: str) -> Decision | None:
        """The latest decision of a version, told or not; None before the first."""
        return self._pools[pool].latest.get(version) if pool in self._pools else None

    def forecast_error(self, pool: str, version: str) -> float | None:
        """How far a version's load forecast was off lately; see `Forecast.error`."""
        loop = self._pools.get(pool)
        forecast = loop.state.forecasts.get(version) if loop is not None else None
        return None if forecast is None else forecast.error

    def lost(self, pool: str) -> tuple[str, ...]:
        """Signals of a pool that have no value now, each with its error."""
        return self._pools[pool].signals.lost() if pool in self._pools else ()

    def state(self) -> bytes:
        """What the next daemon needs to go on, as JSON. Overrides are the operator's to keep."""
        return kept.save(
            {name: loop.state for name, loop in self._pools.items()},
            wall=self._clock.wall(),
            monotonic=self._clock.monotonic(),
        )

    def versions(self) -> dict[str, tuple[str, ...]]:
        """The versions that are scaled, by pool."""
        return {name: tuple(loop.pool.slots) for name, loop in self._pools.items()}

    def begin_anew(self) -> None:
        """Forget every pool and what was decided; to be called before `configure`, and not while
        `run` does.
        """
        self._pools.clear()
        self._signals.clear()
        self._restored.clear()

    def restore(self, state: bytes, age: float | None = None) -> None:
        """Go on from what `state` gave; to be called before `configure`.

        `age` is that of the state in seconds, where the wall clock cannot tell. What is too old or
        cannot be read is left out: sizes then begin with the replicas found.
        """
        try:
            self._restored = kept.load(
                state, wall=self._clock.wall(), monotonic=self._clock.monotonic(), age=age
            )
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("the stored state cannot be read", reason=str(error))

    def _replace(self, name: str, scaled: ScaledPool, settings: _SignalSettings) -> None:
        before = self._pools.get(name)
        state = self._restored.get(name, PoolState()) if before is None else before.state
        loop = PoolLoop(
            name,
            scaled,
            PoolSignals(
                inputs(
                    settings.signals,
                    store_url=settings.store_url,
                    prometheus_url=settings.prometheus_url,
                    load_stale=settings.load_stale,
                ),
                clock=self._clock,
                interval=settings.interval,
                on_event=self._signal_teller(name),
            ),
            state,
            gateway=self._gateway,
            recorder=self._recorder,
            clock=self._clock,
            apply=self._apply,
            counts=self._counts,
            pack=self._pack,
        )
        loop.override = self._overrides.get(name)
        loop.minimums = self._minimums.get(name, {})
        if before is not None:
            loop.packed = before.packed
            loop.latest = {v: d for v, d in before.latest.items() if v in scaled.slots}
            self._end(before)
        self._pools[name] = loop
        self._signals[name] = settings
        if self._running:
            self._begin(loop)

    def _signal_teller(self, pool: str) -> Callable[[str, str], None]:
        def tell(kind: str, message: str) -> None:
            self._recorder.event(
                Event(at=self._clock.wall(), kind=kind, message=message, pool=pool)
            )

        return tell

    def _begin(self, loop: PoolLoop) -> None:
        task = asyncio.create_task(loop.run(), name=f"scale {loop.name}")
        self._tasks[loop] = task
        task.add_done_callback(lambda _: self._tasks.pop(loop, None))

    def _end(self, loop: PoolLoop) -> None:
        if task := self._tasks.get(loop):
            task.cancel()


def _weights(pool: Pool) -> dict[str, int]:
    return {name: version.weight for name, version in pool.versions.items()}
