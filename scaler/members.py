"""One replica as the daemon keeps it: what is published of it, and what is only known here."""

from __future__ import annotations

import asyncio
import math

from msgspec import Struct

from fleet.model import Replica, ReplicaState
from scaler.drivers.process import RunningProcess
from scaler.health import HealthView
from scaler.prober import Watch
from scaler.reconcile import Present
from scaler.replica_settings import VersionSettings


class Counts(Struct, frozen=True, kw_only=True):
    """Replicas of a version by state."""

    ready: int = 0
    starting: int = 0
    """STARTING, or in BACKOFF: wanted and on their way, so no reason to want more."""
    unhealthy: int = 0
    draining: int = 0
    unseen: int = 0
    """May be there although nobody says so, and take their part of a budget (`cluster.unseen`)."""
    starting_for: tuple[float, ...] = ()
    """Seconds since each that is STARTING was started, the longest first."""
    start_seconds: tuple[float, ...] = ()
    """How long the latest starts took until the replica was ready, newest last."""
    loads: tuple[tuple[float, float], ...] = ()
    """What each ready replica that was heard reports of its load, and how many seconds ago."""

    @property
    def standing(self) -> int:
        """Those that are there, or may be, and are not on their way out."""
        return self.ready + self.starting + self.unhealthy + self.unseen


class Member:
    """A replica and its process, checks and timers. Changed only by `Roster` and `Lives`."""

    def __init__(
        self,
        *,
        name: str,
        pool: str,
        version: str,
        cell: int,
        settings: VersionSettings,
        spec: str,
        born: float,
    ) -> None:
        self.name = name
        self.pool = pool
        self.version = version
        self.cell = cell
        self.born = born
        """Monotonic."""
        self.settings = settings
        self.spec = spec
        """Digest of the spec it runs with; empty for a static replica."""

        self.state = ReplicaState.STARTING
        self.note = ""
        self.since_wall = 0.0
        self.since = born
        """Monotonic time of the last change of state."""

        self.host = ""
        self.port = 0
        self.tls = False
        self.restarts = 0
        self.running: RunningProcess | None = None
        self.started = born
        """Monotonic time of the last start of its process."""
        self.launched = False
        """Whether that start was this daemon's own."""

        self.reported: tuple[float, float] | None = None
        """Load as it reports it, and the monotonic time of that."""

        self.health = HealthView()
        self.watch: Watch | None = None
        self.watching: asyncio.Task[None] | None = None

        self.failures = 0
        """Ends in a row without a healthy run between."""
        self.healthy_since: float | None = None
        """Monotonic time it became READY, while it is."""
        self.restart_at: float | None = None
        self.given_up = ""
        """Why its process is being stopped though it should run."""
        self.drain_by = math.inf
        """Event loop time at which it is stopped with requests unfinished."""
        self.drain_scope: asyncio.Timeout | None = None

    def __repr__(self) -> str:
        return f"<Member {self.name} {self.state} {self.host}:{self.port} note={self.note!r}>"

    @property
    def static(self) -> bool:
        """Whether it is an endpoint that exists by itself."""
        return not self.spec

    def replica(self) -> Replica:
        """What is published of it."""
        return Replica(
            name=self.name,
            pool=self.pool,
            version=self.version,
            host=self.host,
            port=self.port,
            slots=self.settings.slots,
            state=self.state,
            cell=self.cell,
            pid=self.running.record.pid if self.running else None,
            since=self.since_wall,
            restarts=self.restarts,
            tls=self.tls,
            weight=self.settings.weight(self.name),
            note=self.note,
        )

    def present(self, *, in_flight: int, sessions: int, lent: int) -> Present:
        """What the plan sees of it."""
        return Present(
            name=self.name,
            version=self.version,
            state=self.state,
            spec=self.spec,
            born=self.born,
            since=self.since,
            in_flight=in_flight,
            sessions=sessions,
            lent=lent,
            restart_at=self.restart_at,
            stopping=bool(self.given_up),
        )
