"""One daemon of a cluster: a beat with the store, and what follows from it.

Each beat leaves a report and reads the lease and the plan. Then a member

    leads      hears all reports, makes the plan and publishes it in the same fenced write that
               renews its lease; only a plan that the store took is carried out, here as anywhere
    takes      the lease, once nobody has renewed it for its time, and leads
    follows    the plan, if it was made under the lease that is in force
    is alone   when the store has not answered for the lease's time

Answers that took longer than the lease are not acted on: the process may have been stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog
from msgspec import Struct

from fleet.clock import Clock
from fleet.cluster import ClusterStatus, Role
from fleet.errors import StoreUnavailableError
from fleet.model import Event
from fleet.ports import Recorder
from fleet.store.cluster import ClusterStore, Exchanged
from scaler.cluster.differences import Differences
from scaler.cluster.election import Election
from scaler.cluster.lifeline import Lifeline
from scaler.cluster.messages import (
    Plan,
    Report,
    decode_plan,
    decode_report,
    encode,
)
from scaler.cluster.planning import Bounds, Planner
from scaler.cluster.seat import Seat
from scaler.cluster.term import Term
from scaler.cluster.view import ClusterView
from scaler.loop import ScalerLoop

BEATS: Final = 6
"""Beats, and so renewals, within the time of a lease."""
GAP: Final = 0.05
"""Seconds between two beats at least, however often a member is woken."""
STATE_EVERY: Final = 1.0
"""Seconds between two savings of the scaler's state."""

_log = structlog.get_logger("cluster")


class Settings(Struct, frozen=True, kw_only=True):
    """A member's place."""

    cluster: str
    member: str
    lease: float
    """Seconds."""


class Member:
    """See the module. `run` says when; `beat` is one round, and all there is to it."""

    def __init__(
        self,
        settings: Settings,
        start: str,
        *,
        store: ClusterStore,
        seat: Seat,
        scaler: ScalerLoop,
        configure: Callable[[], None],
        bounds: Callable[[str], Bounds],
        on_overrides: Callable[[bytes], None],
        recorder: Recorder,
        clock: Clock,
        drain_timeout: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`start` is unique to this start of the member, without blanks. `configure` gives
        `scaler` its present configuration, `on_overrides` gets what was set by hand at any member.
        """
        self._settings = settings
        self._start = start
        self._store = store
        self._seat = seat
        self._scaler = scaler
        self._configure = configure
        self._bounds = bounds
        self._on_overrides = on_overrides
        self._drain_timeout = drain_timeout
        self._recorder = recorder
        self._clock = clock
        now = clock.monotonic()
        self._election = Election(f"{settings.member}/{start}", settings.lease, now)
        self._answered = now
        """When the store answered last."""
        self._heard = False
        """Whether it answered the latest beat."""
        self._beats = 0
        self._term = Term(scaler)
        self._planner = Planner(0, None)
        self._differences = Differences()
        self._state_at = now
        self._overrides: bytes | None = None
        self._leader: str | None = None
        self._leader_changes = 0
        self._fenced = 0
        self._left = False
        self._drained = False
        self._wake = asyncio.Event()
        self._lifeline = Lifeline(seat.tenancy, settings.lease)
        self.finished = asyncio.Event()
        """Everything borrowed and lent is back, or has had its time, and the cluster was left."""
        seat.on_decided = self._wake.set

    def __repr__(self) -> str:
        return f"<Member {self._settings.member} {self._seat.role} {self._election!r}>"

    def status(self) -> ClusterStatus:
        """The cluster as seen from here."""
        plan, seat = self._seat.plan, self._seat
        loans = plan.loans.values() if plan and seat.tenancy else ()
        leader = self._leader if seat.role is not Role.ALONE else None
        return ClusterStatus(
            name=self._settings.cluster,
            member=self._settings.member,
            role=seat.role,
            leader=leader.partition("/")[0] if leader else None,
            token=self._election.highest,
            lease=self._settings.lease,
            members=plan.members if plan else (),
            leader_changes=self._leader_changes,
            fenced=self._fenced,
            borrowed=sum(
                of.shares.get(seat.member, 0)
                for of in loans
                if of.serving and of.owner != seat.member
            ),
            lent=sum(
                slots
                for of in loans
                for name, slots in of.shares.items()
                if of.owner == seat.member != name
            ),
        )

    def demand(self, pool: str) -> None:
        """Requests of a pool wait: whoever decides shall know at once."""
        if self._seat.role is Role.ALONE:
            self._scaler.kick(pool)
        else:
            self._wake.set()

    def drained(self) -> None:
        """This gateway is stopped and has no request left: it needs nothing of others."""
        self._drained = True
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until `stop` is set, then hand over."""
        self._configure()
        stopping = asyncio.create_task(stop.wait(), name="cluster stop")
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self.beat()
                except Exception:
                    _log.exception("beat failed")
                await self._rest()
            await self._give_back()
            await self.leave()
        finally:
            self._lifeline.cut()
            self.finished.set()
            stopping.cancel()
            await self._term.end()

    async def _give_back(self) -> None:
        """Beat until this gateway is drained and nothing is lent or borrowed any longer, for
        `drain_timeout` at most.
        """
        tenancy = self._seat.tenancy
        if tenancy is None:
            return
        tenancy.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout()):
                while not self._drained and self._heard:
                    self._wake.clear()
                    await self.beat()
                    await self._rest()
                tenancy.close()
                while tenancy.open and self._heard:
                    await self.beat()
                    await asyncio.sleep(GAP)
        tenancy.close()

    async def leave(self) -> None:
        """Give up the lease and be forgotten by the others, at once; may be called again."""
        if self._left:
            return
        self._left = True
        lease = self._election.mine
        await self._step_down()
        with contextlib.suppress(StoreUnavailableError):
            await self._store.leave(self._settings.member, lease)

    async def beat(self) -> None:
        """One round with the store; see the module."""
        sent = self._clock.monotonic()
        if self._seat.role is Role.LEADER and not self._election.leads(sent):
            self._event("cluster.lost", "leads no longer: its lease ran out without a renewal")
            await self._step_down()
        self._heard = False
        try:
            await self._round(sent)
            self._heard = True
        except StoreUnavailableError:
            await self._unanswered()

    async def _round(self, sent: float) -> None:
        answer = await self._exchange(everyone=self._seat.role is Role.LEADER)
        now = self._clock.monotonic()
        if now - sent >= self._settings.lease:
            return
        self._answered = now
        self._lifeline.answered(sent, now)
        self._election.observe(answer.lease, now)
        if self._seat.role is Role.ALONE:
            self._event("cluster.joined", "the store answers again")
            await self._step_down()
        await self._see_leader()
        self._see_overrides(answer.overrides)
        if self._seat.role is Role.LEADER:
            await self._lead(answer)
        elif now >= self._election.takes_at():
            await self._take()
        else:
            self._follow(decode_plan(answer.plan))

    async def _exchange(self, *, everyone: bool) -> Exchanged:
        self._beats += 1
        pools, tenancy = self._seat.report(self._scaler.versions()), self._seat.tenancy
        held: dict[str, int] = {}
        if tenancy is not None:
            offers = (o for of in pools.values() for version in of.values() for o in version.offers)
            held = tenancy.reported(self._beats, offers)
        report = Report(
            start=self._start,
            beat=self._beats,
            pools=pools,
            followed=self._seat.plan.stamp if self._seat.plan else (0, 0),
            lends=tenancy is not None,
            held=held,
        )
        return await self._store.exchange(self._settings.member, encode(report), everyone=everyone)

    async def _see_leader(self) -> None:
        """Note whose the lease is; when it was this member's and is not, act as its leader no
        more.
        """
        seen = self._election.seen
        if self._seat.role is Role.LEADER and seen != self._election.mine:
            by = f"{seen.holder} has taken it" if seen else "it was removed"
            self._event("cluster.lost", f"leads no longer: its lease is gone, {by}")
            await self._step_down()
        holder = seen.holder if seen else None
        if holder is not None and holder != self._leader:
            self._leader_changes += self._leader is not None
            _log.info("leader", leader=holder, token=seen.token if seen else 0)
            self._leader = holder

    def _see_overrides(self, stored: bytes | None) -> None:
        """A store that has none has lost them, if there were any: they stay as they are here."""
        if stored is not None and stored != self._overrides:
            self._overrides = stored
            self._on_overrides(stored)

    async def _take(self) -> None:
        election = self._election
        before, sent = election.seen, self._clock.monotonic()
        token = await self._store.take(election.value, election.holder, election.highest)
        if token is None:
            return
        lease = election.won(token, sent)
        kept = await self._store.state()
        answer = await self._exchange(everyone=True)
        now = self._clock.monotonic()
        election.observe(answer.lease, now)
        if election.seen != lease or not election.leads(now):
            election.lost()
            return
        await self._term.end()
        self._scaler.begin_anew()
        if kept is not None:
            self._scaler.restore(*kept)
        self._configure()
        last = decode_plan(answer.plan)
        self._planner = Planner(token, last)
        self._differences = Differences()
        self._seat.view = ClusterView(self._settings.lease, last, now)
        self._seat.decided.clear()
        self._seat.role = Role.LEADER
        why = f"in place of {before.holder}, silent for {election.lease:g}s" if before else "first"
        self._event("cluster.leader", f"{self._settings.member} leads with token {token}, {why}")
        await self._see_leader()
        silent = before.holder.partition("/")[0] if before else ""
        if silent not in ("", self._settings.member):
            answer.reports.pop(silent, None)
        await self._lead(answer, [silent] if silent else ())

    async def _lead(self, answer: Exchanged, silent: Collection[str] = ()) -> None:
        view, lease, now = self._seat.view, self._election.mine, self._clock.monotonic()
        assert view is not None and lease is not None, "a leader has both"
        decoded = {name: decode_report(data) for name, data in answer.reports.items()}
        reports = {name: report for name, report in decoded.items() if report is not None}
        gone = view.hear(reports, now)
        self._tell_differences(reports, now)
        for pool in view.queued():
            self._scaler.kick(pool)
        there = {name: reports[name] for name in view.members}
        plan = self._planner.plan(self._seat.decided, view, self._bounds, now, there)
        state = b""
        if now - self._state_at >= STATE_EVERY:
            self._state_at, state = now, self._scaler.state()
        sent = self._clock.monotonic()
        forgotten = {*gone, *silent} - {self._settings.member}
        accepted = await self._store.lead(
            lease, self._beats, plan=encode(plan), state=state, gone=forgotten
        )
        if not accepted:
            self._fenced += 1
            self._event("cluster.fenced", f"a write with token {lease.token} was refused")
            await self._step_down()
            return
        self._election.renewed(sent)
        for name in gone:
            self._event("cluster.left", f"{name} is gone or silent; others take its share")
        if self._election.leads(self._clock.monotonic()):
            self._seat.follow(plan)
        if not self._term.running:
            if all(report.followed[0] == lease.token for report in there.values()):
                self._term.begin()
            self._wake.set()

    def _tell_differences(self, reports: Mapping[str, Report], now: float) -> None:
        own = self._scaler.versions()
        for name, pools in self._differences.hear(own, reports, now).items():
            self._event(
                "cluster.differs",
                f"nobody sizes {', '.join(sorted(pools))} of {name}, since "
                f"{self._settings.member}, which leads, has no such pool: give all members the "
                f"same pools, or {name} another cluster.name if it is of another cluster",
            )

    def _follow(self, plan: Plan | None) -> None:
        seen = self._election.seen
        if plan is not None and seen is not None and plan.token == seen.token:
            self._seat.follow(plan)

    async def _unanswered(self) -> None:
        now = self._clock.monotonic()
        if self._seat.role is Role.FOLLOWER and now - self._answered >= self._settings.lease:
            self._event(
                "cluster.alone", "the store does not answer: keeps its replicas, adds by itself"
            )
            self._scaler.begin_anew()
            self._configure()
            self._seat.role = Role.ALONE
            self._term.begin()

    async def _step_down(self) -> None:
        self._election.lost()
        self._seat.role = Role.FOLLOWER
        self._seat.view = None
        await self._term.end()

    async def _rest(self) -> None:
        """Until the next beat is due, or woken, or the lease may be taken."""
        now = self._clock.monotonic()
        rest = self._settings.lease / BEATS
        if self._seat.role is Role.FOLLOWER and self._heard:
            rest = min(rest, self._election.takes_at() - now)
        await asyncio.sleep(GAP)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, rest - GAP)):
                await self._wake.wait()

    def _event(self, kind: str, message: str) -> None:
        self._recorder.event(Event(at=self._clock.wall(), kind=kind, message=message))
