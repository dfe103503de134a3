"""The life of each replica: started, checked, ready, ended, started again, drained, gone.

STARTING --healthy--> READY <--checks--> UNHEALTHY
    |                   |                   |
    +------- process ended or given up -----+--> BACKOFF --delay--> STARTING
any of them --leave--> DRAINING --no request left, stopped--> forgotten
"""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random

import structlog

from fleet.clock import Clock
from fleet.model import ReplicaState
from fleet.ports import Gateway
from scaler import backoff, health
from scaler.drivers.process import LaunchError, ProcessHost, RunningProcess
from scaler.drivers.spec import Identity
from scaler.drivers.state_files import Record, StateFiles
from scaler.drivers.static import Endpoint
from scaler.members import Member
from scaler.prober import Prober, Watch
from scaler.replica_settings import ProcessSettings, VersionSettings
from scaler.roster import Roster
from scaler.task_keeper import TaskKeeper

_log = structlog.get_logger("replicas")


class Lives:
    """Carries out what the plan asks for; each process and each leave-taking has its own task."""

    def __init__(
        self,
        *,
        roster: Roster,
        gateway: Gateway,
        clock: Clock,
        random: Random,
        files: StateFiles,
        host: ProcessHost,
        prober: Prober,
    ) -> None:
        self._roster = roster
        self._gateway = gateway
        self._clock = clock
        self._random = random
        self._files = files
        self._host = host
        self._prober = prober
        self.tasks = TaskKeeper()

    def start(self, pool: str, version: str, settings: VersionSettings) -> None:
        """Start a new process replica."""
        member = self._new(self._files.new_name(pool, version), pool, version, settings)
        self._launch(member)

    def add_static(
        self, name: str, pool: str, version: str, settings: VersionSettings, endpoint: Endpoint
    ) -> None:
        """Begin to check an endpoint that exists already."""
        member = self._new(name, pool, version, settings)
        member.host, member.port, member.tls = endpoint.host, endpoint.port, endpoint.tls
        self._roster.event(member, "started", f"checking {endpoint}")
        self._watch(member)

    def adopt(self, record: Record, settings: VersionSettings) -> None:
        """Take over a replica of a former daemon. OSError when it cannot be watched."""
        running = self._host.adopt(record)
        member = self._new(record.name, record.pool, record.version, settings)
        member.spec = record.spec
        self._run(member, running)
        self._roster.move(member, ReplicaState.STARTING, "adopted")
        self._roster.event(member, "adopted", f"pid {record.pid} is still there")

    def restart(self, member: Member) -> None:
        """Start the process of a replica in BACKOFF again."""
        member.restarts += 1
        member.restart_at = None
        self._launch(member)

    def give_up(self, member: Member, reason: str) -> None:
        """Stop a process that does not become healthy; it is started again after its delay."""
        if member.running is None:
            return
        member.given_up = reason
        self._unwatch(member)
        self._roster.move(member, member.state, reason)
        self.tasks.spawn(
            self._stop(member, member.running, _process(member).stop_timeout),
            f"give up {member.name}",
        )

    def leave(self, member: Member, reason: str, drain_timeout: float | None = None) -> None:
        """Drain, stop and forget a replica.

        `drain_timeout` in seconds; None: its pool's. For one that leaves already only a shorter
        one counts.
        """
        now = asyncio.get_running_loop().time()
        limit = member.settings.drain_timeout if drain_timeout is None else drain_timeout
        member.drain_by = min(member.drain_by, now + limit)
        if member.state is ReplicaState.DRAINING:
            if member.drain_scope is not None:
                member.drain_scope.reschedule(member.drain_by)
            return
        self._unwatch(member)
        self._roster.move(member, ReplicaState.DRAINING, reason)
        self._roster.event(member, "draining", reason)
        self.tasks.spawn(self._leave(member), f"leave {member.name}")

    def suspect(self, member: Member) -> None:
        """Check a replica now."""
        if member.watch is not None:
            member.watch.suspect()

    def _new(self, name: str, pool: str, version: str, settings: VersionSettings) -> Member:
        member = Member(
            name=name,
            pool=pool,
            version=version,
            cell=self._gateway.allocate_cell(),
            settings=settings,
            spec=settings.process.digest if settings.process else "",
            born=self._clock.monotonic(),
        )
        self._roster.add(member)
        return member

    def _launch(self, member: Member) -> None:
        process = _process(member)
        who = Identity(name=member.name, pool=member.pool, version=member.version)
        member.spec = process.digest
        try:
            running = self._host.launch(who, process.launch, process.stop_timeout)
        except LaunchError as error:
            self._back_off(member, str(error), port_taken=False)
            return
        member.launched = True
        self._run(member, running)
        again = f"start {member.restarts + 1}" if member.restarts else ""
        self._roster.move(member, ReplicaState.STARTING, again)
        where = f", port {member.port}" if member.port else ""
        self._roster.event(member, "started", f"pid {running.record.pid}{where}")

    def _run(self, member: Member, running: RunningProcess) -> None:
        member.running = running
        member.host, member.port = running.host, running.record.port
        member.started = self._clock.monotonic()
        self.tasks.spawn(self._supervise(member, running), f"supervise {member.name}")
        self._watch(member)

    async def _supervise(self, member: Member, running: RunningProcess) -> None:
        end = await running.wait()
        if member.state is ReplicaState.DRAINING:
            return
        member.running = None
        self._unwatch(member)
        if member.given_up:
            reason, member.given_up = member.given_up, ""
        else:
            reason = str(end)
            self._roster.event(member, "exited", reason)
        self._back_off(member, reason, port_taken=end.port_taken)

    def _back_off(self, member: Member, reason: str, *, port_taken: bool) -> None:
        now = self._clock.monotonic()
        healthy_for = now - member.healthy_since if member.healthy_since is not None else 0.0
        member.healthy_since = None
        member.failures = backoff.failures_after(member.failures, healthy_for)
        wait = backoff.restart_delay(member.failures, port_taken=port_taken)
        member.restart_at = now + wait
        if port_taken:
            reason += f" (port {member.port} was taken by another program)"
        loop = f", {member.failures} failures in a row" if member.failures > 1 else ""
        note = f"{reason}{loop}; next start in {wait:g}s"
        self._roster.move(member, ReplicaState.BACKOFF, note)
        self._roster.event(member, "backoff", note)

    def _watch(self, member: Member) -> None:
        member.health = health.HealthView()

        async def check() -> str | None:
            settings = member.settings
            tls = settings.tls if member.tls else None
            return await self._prober.check(member.host, member.port, settings.health, tls)

        member.watch = Watch(check, partial(self._checked, member))
        offset = health.first_offset(
            interval=member.settings.health.interval, fraction=self._random.random()
        )
        member.watching = self.tasks.spawn(member.watch.run(offset), f"watch {member.name}")

    def _unwatch(self, member: Member) -> None:
        if member.watching is not None:
            member.watching.cancel()
            member.watch = member.watching = None

    def _checked(self, member: Member, failure: str | None) -> float:
        settings = member.settings.health
        before = member.health.verdict
        member.health = health.observe(
            member.health, failure is None, rise=settings.rise, fall=settings.fall
        )
        match before, member.health.verdict:
            case health.Verdict.UNKNOWN, health.Verdict.HEALTHY:
                took = self._clock.monotonic() - member.started
                if member.launched:
                    self._roster.started(member, took)
                self._ready(member, "ready", f"healthy {took:.2f}s after its start")
            case health.Verdict.UNKNOWN, _:
                self._roster.move(member, member.state, failure or "")
            case health.Verdict.HEALTHY, health.Verdict.UNHEALTHY:
                self._roster.move(member, ReplicaState.UNHEALTHY, failure or "")
                self._roster.event(member, "unhealthy", failure or "")
            case health.Verdict.UNHEALTHY, health.Verdict.HEALTHY:
                self._ready(member, "recovered", "answers again")
            case _:
                pass
        return health.delay(
            member.health, interval=settings.interval, fraction=self._random.random()
        )

    def _ready(self, member: Member, kind: str, message: str) -> None:
        member.healthy_since = self._clock.monotonic()
        self._roster.move(member, ReplicaState.READY, "")
        self._roster.event(member, kind, message)

    async def _leave(self, member: Member) -> None:
        late = await self._drain(member)
        if member.running is not None:
            await self._stop(member, member.running, _process(member).stop_timeout)
        self._roster.event(member, "stopped", f"{member.note}{late}")
        self._roster.remove(member)

    async def _drain(self, member: Member) -> str:
        """Wait for the last request; returns what to say of it if some were left."""
        try:
            self._roster.publish(member.pool)
            if not member.host:
                return ""
            async with asyncio.timeout_at(member.drain_by) as member.drain_scope:
                await self._gateway.drained(member.name)
        except TimeoutError:
            return f"; {self._gateway.in_flight(member.replica())} still in flight"
        except Exception:
            _log.exception("draining failed", replica=member.name)
        finally:
            member.drain_scope = None
        return ""

    async def _stop(self, member: Member, running: RunningProcess, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if await running.stop(timeout):
            waited = min(timeout, loop.time() - began)  # less when it was hurried
            self._roster.event(member, "killed", f"still there {waited:.3g}s after SIGTERM")


def _process(member: Member) -> ProcessSettings:
    settings = member.settings.process
    assert settings is not None, f"{member.name} has no process"
    return settings
