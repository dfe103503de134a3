"""The replica lifecycle behind one interface: say how many, and they are kept that way.

`ReplicaManager` joins the pure plan (`reconcile`) to those who carry it out (`Lives`) and to
those who are told (`Roster`). It never blocks on one replica: whatever takes time is a task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Final

from fleet.clock import Clock
from fleet.config.schema import Config
from fleet.errors import UnknownNameError
from fleet.model import Event, Replica, ReplicaState
from fleet.ports import Gateway, Recorder
from scaler.drivers.free_ports import LOOPBACK
from scaler.drivers.process import ProcessHost
from scaler.drivers.procfs import Family, boot_id, scan
from scaler.drivers.state_files import StateFiles
from scaler.drivers.survivors import Condemned, sort_survivors
from scaler.lives import Lives
from scaler.loads import LoadPoller, settings_of
from scaler.members import Counts, Member
from scaler.prober import Prober
from scaler.reconcile import GiveUp, Leave, Present, Restart, Start, Wanted, plan
from scaler.replica_settings import VersionSettings, resolve
from scaler.roster import Roster

HURRIED_STOP: Final = 1.0
"""Seconds from SIGTERM to SIGKILL once the operator will not wait."""

REAP_GRACE: Final = 10.0
"""Seconds from SIGTERM to SIGKILL for processes of which no record tells the timeout."""


class ReplicaManager:
    """Keeps the replicas of every pool as configured and desired.

    All methods are called in the event loop that ran `start`.
    """

    def __init__(
        self,
        gateway: Gateway,
        recorder: Recorder,
        clock: Clock,
        *,
        state_dir: Path,
        config_dir: Path,
        redis_url: str | None = None,
        host: str = LOOPBACK,
        random: Random | None = None,
    ) -> None:
        """`redis_url` and `host`, the address they are to listen on, are given to process
        replicas; a change of them replaces those.
        """
        self._listen_on = host
        self._gateway = gateway
        self._recorder = recorder
        self._clock = clock
        self._config_dir = config_dir.resolve()
        self._redis_url = redis_url
        self._random = random or Random()
        self._files = StateFiles(state_dir)
        self._roster = Roster(gateway, recorder, clock)
        self._roster.reconcile = self._reconcile
        self._settings: dict[str, dict[str, VersionSettings]] = {}
        self._desired: dict[tuple[str, str], int] = {}
        self._held_out: set[str] = set()
        self._drain_timeout = 0.0
        self._closing = False

    async def start(self, config: Config) -> None:
        """Take over what a former daemon left, and begin.

        Adopts living replicas whose settings are unchanged and ends all others in the
        background. StateDirInUseError when another daemon holds the state directory,
        HeadraceError when that cannot be used.
        """
        self._files.open()
        self._prober = Prober()
        self._host = ProcessHost(self._files, os.environ)
        self._lives = Lives(
            roster=self._roster,
            gateway=self._gateway,
            clock=self._clock,
            random=self._random,
            files=self._files,
            host=self._host,
            prober=self._prober,
        )
        self._loads = LoadPoller(self._gateway, self._prober, self._clock, self._roster.members)
        self.configure(config)
        self._take_over()

    def configure(self, config: Config) -> None:
        """Apply a generation of the configuration; `set_desired` numbers stay in force.

        Static replicas drained by hand come back.
        """
        self._settings = resolve(
            config, config_dir=self._config_dir, redis_url=self._redis_url, host=self._listen_on
        )
        self._drain_timeout = config.drain_timeout
        self._loads.configure(settings_of(config))
        self._held_out.clear()
        for pool in self._settings.keys() | set(self._roster.pools()):
            for member in self._roster.members(pool):
                settings = self._settings.get(pool, {}).get(member.version)
                if settings is not None and (settings.process is None) == member.static:
                    member.settings = settings
            self._roster.touch(pool)
        self._desired = {
            (pool, version): number
            for (pool, version), number in self._desired.items()
            if version in self._settings.get(pool, {})
        }

    def set_desired(self, pool: str, desired: Mapping[str, int]) -> None:
        """Want so many process replicas of each version named; others stay as they were.

        Until a version is named for the first time its size is left alone. Names that the
        configuration no longer has are ignored, as is a version with static replicas.
        """
        for version, number in desired.items():
            if version in self._settings.get(pool, {}):
                self._desired[pool, version] = number
        self._roster.touch(pool)

    def desired(self, pool: str, version: str) -> int | None:
        """What `set_desired` said of a version; None: nothing yet."""
        return self._desired.get((pool, version))

    def counts(self, pool: str, version: str) -> Counts:
        """Replicas of a version by state, now; all zero for an unknown one."""
        return self._roster.counts(pool, version)

    def replicas(self, pool: str) -> tuple[Replica, ...]:
        """The membership of a pool, now; empty for an unknown one."""
        return self._roster.replicas(pool)

    def drain(self, name: str) -> Replica:
        """Take a replica out, by order of the operator; returns it as DRAINING.

        A process replica is replaced at once if its version still needs it. A static one stays
        out until the next `configure`. UnknownNameError when there is no such replica.
        """
        member = self._roster.find(name)
        if member is None:
            raise UnknownNameError(f"there is no replica {name}")
        if member.static:
            self._held_out.add(name)
        self._lives.leave(member, "drained by the operator")
        return member.replica()

    def suspect(self, name: str) -> None:
        """Check a replica now, because a request to it failed; unknown names are ignored."""
        if (member := self._roster.find(name)) is not None:
            self._lives.suspect(member)

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(pool)` after each published change of a pool's membership."""
        self._roster.subscribe(on_change)

    async def stop(self) -> None:
        """Drain and stop everything; returns when nothing this daemon started is left.

        Requests get `drain_timeout` of the configuration, processes their `stop_timeout`; all
        replicas at the same time.
        """
        self._closing = True
        await self._loads.close()
        for pool in self._roster.pools():
            for member in self._roster.members(pool):
                self._lives.leave(member, "shutdown", self._drain_timeout)
        await self._lives.tasks.join()
        self._roster.close()
        await self._prober.close()
        self._files.close()

    def hurry(self) -> None:
        """Wait for nothing any longer: requests get no time, processes `HURRIED_STOP`."""
        self._drain_timeout = 0.0
        for pool in self._roster.pools():
            for member in self._roster.members(pool):
                if member.state is ReplicaState.DRAINING:
                    self._lives.leave(member, "shutdown", 0.0)
                if member.running is not None:
                    member.running.hurry(HURRIED_STOP)

    def _take_over(self) -> None:
        specs = {
            (pool, version): settings.process.digest
            for pool, versions in self._settings.items()
            for version, settings in versions.items()
            if settings.process is not None
        }
        records = self._files.records()
        left = sort_survivors(
            records,
            scan(str(self._files.state_dir)),
            specs=specs,
            boot=boot_id(),
        )
        reap = [*left.reap]
        for record in left.adopt:
            try:
                self._lives.adopt(record, self._settings[record.pool][record.version])
            except OSError as error:
                family = Family(name=record.name, pid=record.pid)
                reap.append(Condemned(family=family, reason=f"cannot be adopted: {error}"))
        doomed = {one.family.name for one in reap}
        for name in self._files.names() - {record.name for record in left.adopt} - doomed:
            self._files.remove(name)
        if reap:
            grace = max((record.stop_timeout for record in records), default=REAP_GRACE)
            self._lives.tasks.spawn(self._reap(reap, grace), "reap")

    async def _reap(self, condemned: list[Condemned], grace: float) -> None:
        await self._host.sweeper.end([one.family for one in condemned], grace)
        for one in condemned:
            self._files.remove(one.family.name)
            self._recorder.event(
                Event(
                    at=self._clock.wall(),
                    kind="replica.reaped",
                    message=one.reason,
                    replica=one.family.name,
                )
            )

    def _reconcile(self, pool: str) -> None:
        if self._closing:
            return
        versions = self._settings.get(pool, {})
        members = {member.name: member for member in self._roster.members(pool)}
        self._reconcile_static(pool, versions, members)
        wanted = {
            version: Wanted(
                desired=self._desired.get((pool, version)),
                spec=settings.process.digest,
                start_timeout=settings.process.start_timeout,
                surge=settings.surge,
            )
            for version, settings in versions.items()
            if settings.process is not None
        }
        present = [self._present(member) for member in members.values() if not member.static]
        decided = plan(wanted, present, self._clock.monotonic())
        self._roster.touch_at(pool, decided.wake)
        for action in decided.actions:
            match action:
                case Start(version=version):
                    self._lives.start(pool, version, versions[version])
                case Restart(name=name):
                    self._lives.restart(members[name])
                case GiveUp(name=name, reason=reason):
                    self._lives.give_up(members[name], reason)
                case Leave(name=name, reason=reason):
                    self._lives.leave(members[name], reason)

    def _reconcile_static(
        self,
        pool: str,
        versions: Mapping[str, VersionSettings],
        members: Mapping[str, Member],
    ) -> None:
        configured = {
            name: version
            for version, settings in versions.items()
            for name in settings.endpoints
            if name not in self._held_out
        }
        for name, version in configured.items():
            if name not in members:
                settings = versions[version]
                self._lives.add_static(name, pool, version, settings, settings.endpoints[name])
        for name, member in members.items():
            if member.static and name not in configured:
                self._lives.leave(member, "removed from the configuration")

    def _present(self, member: Member) -> Present:
        if member.state not in (ReplicaState.READY, ReplicaState.UNHEALTHY):
            return member.present(in_flight=0, sessions=0, lent=0)
        replica = member.replica()
        return member.present(
            in_flight=self._gateway.in_flight(replica),
            sessions=self._gateway.sessions(replica),
            lent=self._gateway.lent(replica),
        )
