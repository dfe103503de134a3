"""The screen of `headrace status`: a `Status`, and the one before it, as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from fleet.cluster import Role
from headrace.cli.figures import Figures, between, since_start
from headrace.cli.output import age, borderless, latency, plain, utc
from headrace.operations import PoolStatus, Status, VersionStatus

COLUMNS = ("POOL", "VERSION", "WEIGHT", "READY", "IN FLIGHT", "QUEUED")


class Look(Struct, frozen=True):
    """What was seen of the daemon at one moment."""

    pools: tuple[PoolStatus, ...]
    monotonic: float
    """Seconds."""


def screen(status: Status, now: float, look: Look, before: Look | None) -> RenderableType:
    """The whole status at Unix time `now`; rates when there is a look before."""
    return Group(
        _headline(status, now),
        *cluster_line(status),
        *warnings(status),
        Text(),
        pools_table(look, before),
    )


def pools_table(look: Look, before: Look | None) -> RenderableType:
    """One row a version: since the daemon's start, or since the look before. Sessions where there
    are any.
    """
    if not look.pools:
        return Text("no pools are configured")
    sticky = any(version.sessions for pool in look.pools for version in pool.versions)
    counted = "REQUESTS" if before is None else "RPS"
    rows = [
        _row(pool, version, _figures(pool.pool, version, look, before), sticky=sticky)
        for pool in look.pools
        for version in pool.versions
    ]
    columns = (*COLUMNS, "SESSIONS") if sticky else COLUMNS
    return borderless((*columns, counted, "P95", "ERRORS", "LAST DECISION"), rows)


def pool_warnings(pool: PoolStatus) -> Iterator[Text]:
    """What is set by hand or amiss in a pool, one line each."""
    if pool.weights_overridden:
        yield _note(f"{pool.pool}: weights are set by hand (--reset goes back to the file)")
    if pool.scale_override is not None:
        until = "until reset" if pool.override_ends is None else f"until {utc(pool.override_ends)}"
        yield _note(f"{pool.pool}: size is held at {pool.scale_override} by hand, {until}")
    if pool.weights_waiting:
        yield _note(f"{pool.pool}: the weights wait for {pool.weights_waiting}")
    if pool.dry_run:
        yield _note(f"{pool.pool}: dry run, sizes are decided but not changed")
    for out in pool.ejected:
        note = f"{out.replica} is ejected by worker {out.worker}: {out.reason}"
        yield _note(f"{pool.pool}: {note}, until {utc(out.until)}")
    for signal in pool.lost_signals:
        yield _alarm(f"{pool.pool}: signal lost: {signal}")


def cluster_line(status: Status) -> Iterator[Text]:
    """Who decides, where several daemons scale together."""
    cluster = status.cluster
    if cluster is None:
        return
    if cluster.role is Role.ALONE:
        state = f"{cluster.member} is alone, the store does not answer"
    elif cluster.leader is None:
        state = "nobody leads"
    else:
        own = " (this daemon)" if cluster.role is Role.LEADER else ""
        state = f"{cluster.leader} leads{own}"
    members = f"; members {', '.join(cluster.members)}" if cluster.members else ""
    style = "yellow" if cluster.leader is None else ""
    yield Text(plain(f"cluster {cluster.name}: {state}{members}"), style=style)


def warnings(status: Status) -> Iterator[Text]:
    """What an operator should know at once, one line each."""
    if status.rejected is not None:
        yield _alarm(f"the newest edit of {status.config} was rejected:")
        for line in status.rejected.splitlines():
            yield _alarm(f"  {line}")
    if status.store_owner is not None:
        yield _alarm(
            f"the store at {status.store} is used by another daemon, {status.store_owner}; traffic "
            "goes on without it: give each a database of its own, or make them one cluster with a "
            "member name for each"
        )
    elif not status.store_connected:
        yield _alarm(f"the store at {status.store} does not answer; traffic goes on without it")
    for worker in status.workers:
        if worker.pid is None:
            yield _alarm(f"worker {worker.index} is being restarted")
    for pool in status.pools:
        yield from pool_warnings(pool)


def _headline(status: Status, now: float) -> Text:
    state, style = ("ready", "bold green") if status.ready else ("not ready", "bold red")
    if status.draining:
        state, style = "draining", "bold yellow"
    count = len(status.workers)
    facts = [
        f"generation {status.generation} of {status.config}",
        f"up {age(now - status.started)}",
        f"{count} worker{'' if count == 1 else 's'} on {', '.join(status.listen) or 'nothing'}",
    ]
    line = Text(f"headrace {plain(status.version)} ")
    line.append(state, style=style)
    return line.append(plain(" | " + " | ".join(facts)))


def _figures(pool: str, version: VersionStatus, look: Look, before: Look | None) -> Figures:
    if before is None:
        return since_start(version.totals)
    earlier = next(
        (
            v.totals
            for p in before.pools
            if p.pool == pool
            for v in p.versions
            if v.version == version.version
        ),
        None,
    )
    return between(earlier, version.totals, look.monotonic - before.monotonic)


def _row(
    pool: PoolStatus, version: VersionStatus, figures: Figures, *, sticky: bool
) -> Sequence[str | Text]:
    weight = str(version.weight)
    if version.effective_weight != version.weight:
        weight += f" (now {version.effective_weight})"
    short = version.ready < version.desired
    rate = figures.rate
    return (
        pool.pool,
        version.version,
        weight,
        Text(f"{version.ready}/{version.desired}", style="yellow" if short else ""),
        f"{version.in_flight}/{version.slots}",
        Text(str(version.queued), style="yellow" if version.queued else ""),
        *([str(version.sessions)] if sticky else []),
        str(figures.requests) if rate is None else f"{rate:.1f}",
        latency(figures.p95),
        Text(_errors(figures), style="red" if figures.errors else ""),
        version.decision.reason if version.decision else "-",
    )


def _errors(figures: Figures) -> str:
    if not figures.errors:
        return "0"
    return f"{figures.errors} ({100 * figures.errors / figures.requests:.2g}%)"


def _note(message: str) -> Text:
    return Text(plain(message), style="yellow")


def _alarm(message: str) -> Text:
    return Text(plain(message), style="red")
