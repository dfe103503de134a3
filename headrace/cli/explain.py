"""The verb that tells why a pool has its size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from fleet.model import Observation
from headrace.cli.client import segment
from headrace.cli.moments import end_of
from headrace.cli.options import DEFAULT_ADMIN, Admin, Json, PoolName, TokenFile, connect
from headrace.cli.output import borderless, console, plain, print_json, utc
from headrace.operations import Explanation


def explain(
    pool: PoolName,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="At this time: 2026-01-31T12:00:00Z, a Unix time, or how long ago, e.g. 10m.",
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Only this version.")
    ] = None,
    json: Json = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """Tell why the versions of a pool have their size, now or at a time."""
    query = {} if version is None else {"version": version}
    if at is not None:
        query["at"] = repr(parse_moment(at, time.time()))
    path = f"/v1/pools/{segment(pool)}/explain" + (f"?{urlencode(query)}" if query else "")
    client = connect(admin, token_file)
    if json:
        print_json(client.call("GET", path))
        return
    found = client.get(path, tuple[Explanation, ...])
    if not found:
        print("no decision is kept of that time" if at else "nothing has been decided")
        return
    console().print(Group(*(part for decision in found for part in explained(decision))))


def parse_moment(text: str, now: float) -> float:
    """A Unix time from ISO 8601 (UTC unless it says otherwise), Unix seconds, or an age.

    A time to the second is the end of that second, since decisions are printed to the second.
    `now` is Unix seconds. Raises typer.BadParameter.
    """
    from fleet.config.units import parse_positive_duration

    try:
        return now - parse_positive_duration(text)
    except ValueError:
        pass
    try:
        return end_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, or an age as 10m", param_hint="--at") from None


def explained(decision: Explanation) -> Iterator[RenderableType]:
    """The sentence first, then what it was made of."""
    head = Text(plain(f"{decision.pool}/{decision.version} at {utc(decision.at)}"), style="bold")
    if decision.dry_run:
        head.append(" (dry run: nothing is changed)", style="yellow")
    yield head
    yield _indented(Text(plain(decision.reason)))
    rows = [("wanted", f"{decision.wanted} by the policy, before the guardrails")]
    rows += [("limited by", limit) for limit in decision.limits]
    if decision.seen is not None:
        rows += _inputs(decision.seen)
    yield _indented(borderless(("", ""), rows))
    if decision.proposals:
        proposals = [
            (p.signal, "-" if p.replicas is None else str(p.replicas), p.reason)
            for p in decision.proposals
        ]
        yield _indented(borderless(("SIGNAL", "PROPOSES", "BECAUSE"), proposals))
    if decision.taken_out:
        gone = [(event.replica, utc(event.at), event.message) for event in decision.taken_out]
        yield _indented(borderless(("TAKEN OUT", "AT", "BECAUSE"), gone))


def _inputs(seen: Observation) -> Iterator[tuple[str, str]]:
    yield "replicas", f"{seen.desired} asked for, {seen.ready} ready, {seen.starting} starting"
    yield "requests", f"{seen.in_flight} in flight, {seen.queued} queued, {seen.slots} slots each"
    yield "weight", str(seen.weight)
    for reading in seen.readings:
        if reading.value is None:
            shown = f"lost: {reading.error}" if reading.error else "no samples"
        else:
            shown = f"{reading.detail or f'{reading.value:.6g}'}, target {reading.target:.6g}"
        yield reading.signal, shown


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2), expand=False)
