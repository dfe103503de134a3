"""The verbs that change a running daemon or read its journal."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer

from fleet.model import Decision, Event, Replica
from headrace.cli.client import segment
from headrace.cli.options import (
    DEFAULT_ADMIN,
    Admin,
    Json,
    Limit,
    PoolName,
    TokenFile,
    connect,
)
from headrace.cli.output import borderless, console, plain, print_json, utc
from headrace.operations import PoolStatus, ReloadResult


def decisions(
    pool: Annotated[
        str | None, typer.Argument(metavar="POOL", help="Only this pool.", show_default=False)
    ] = None,
    limit: Limit = 20,
    json: Json = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """List what the scaler decided and why, the newest last."""
    client = connect(admin, token_file)
    query = {"limit": str(limit)} | ({"pool": pool} if pool is not None else {})
    path = f"/v1/decisions?{urlencode(query)}"
    if json:
        print_json(client.call("GET", path))
        return
    found = client.get(path, tuple[Decision, ...])
    rows = [
        (utc(d.at), d.pool, d.version, f"{d.current} -> {d.desired}", d.reason)
        for d in reversed(found)
    ]
    console().print(borderless(("TIME", "POOL", "VERSION", "REPLICAS", "REASON"), rows))


def drain(
    replica: Annotated[str, typer.Argument(metavar="REPLICA", help="Name of a replica.")],
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """Take a replica out: it finishes its requests, gets no new ones and is stopped."""
    path = f"/v1/replicas/{segment(replica)}/drain"
    drained = connect(admin, token_file).change("POST", path, Replica)
    print(f"{plain(drained.name)} is {drained.state.value}")


def events(
    limit: Limit = 20,
    json: Json = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """List what happened, the newest last."""
    client = connect(admin, token_file)
    path = f"/v1/events?limit={limit}"
    if json:
        print_json(client.call("GET", path))
        return
    rows = [
        (utc(e.at), e.kind, e.replica or "/".join(filter(None, (e.pool, e.version))), e.message)
        for e in reversed(client.get(path, tuple[Event, ...]))
    ]
    console().print(borderless(("TIME", "EVENT", "OF", "MESSAGE"), rows))


def reload(admin: Admin = DEFAULT_ADMIN, token_file: TokenFile = None) -> None:
    """Read the configuration file again, now."""
    result = connect(admin, token_file).change("POST", "/v1/reload", ReloadResult)
    print(f"generation {result.generation} is in force")
    for note in result.notes:
        print(f"  {plain(note)}")


def scale(
    pool: PoolName,
    replicas: Annotated[
        int | None,
        typer.Argument(metavar="N", min=0, help="Replicas of the pool.", show_default=False),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Hold it so long, e.g. 10m.")
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Let the scaler decide again.")] = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """Hold the size of a pool by hand, or let the scaler decide again."""
    if auto == (replicas is not None) or (auto and duration is not None):
        raise typer.BadParameter("give N (and perhaps --for), or --auto")
    body = None
    if replicas is not None:
        body = {"replicas": replicas} | (
            {"for": _checked(duration)} if duration is not None else {}
        )
    path = f"/v1/pools/{segment(pool)}/scale"
    method = "DELETE" if body is None else "PUT"
    result = connect(admin, token_file).change(method, path, PoolStatus, body)
    if result.scale_override is None:
        print(f"{plain(result.pool)}: the scaler decides, {result.min} to {result.max} replicas")
    else:
        ends = result.override_ends
        until = "until reset" if ends is None else f"until {utc(ends)}"
        print(f"{plain(result.pool)}: held at {result.scale_override} replicas {until}")


def weights(
    pool: PoolName,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="VERSION=WEIGHT", help="New weights.", show_default=False),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the file's.")] = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """Set the weights of versions by hand, or go back to the file's."""
    if reset == bool(assignments):
        raise typer.BadParameter("give VERSION=WEIGHT pairs, or --reset")
    body = None if reset else parse_assignments(assignments or [])
    path = f"/v1/pools/{segment(pool)}/weights"
    method = "DELETE" if body is None else "PUT"
    result = connect(admin, token_file).change(method, path, PoolStatus, body)
    shares = " ".join(f"{plain(v.version)}={v.weight}" for v in result.versions)
    source = "set by hand" if result.weights_overridden else "as in the file"
    print(f"{plain(result.pool)}: {shares}, {source}")


def parse_assignments(assignments: list[str]) -> dict[str, int]:
    """`v1=90 v2=10` as a mapping. Raises typer.BadParameter."""
    parsed: dict[str, int] = {}
    for assignment in assignments:
        version, equals, weight = assignment.partition("=")
        if not (version and equals and weight.isascii() and weight.isdecimal()):
            raise typer.BadParameter(f"{assignment!r} is not VERSION=WEIGHT, e.g. v1=90")
        if version in parsed:
            raise typer.BadParameter(f"{version} is given twice")
        parsed[version] = int(weight)
    return parsed


def _checked(duration: str) -> str:
    from fleet.config.units import parse_positive_duration

    try:
        parse_positive_duration(duration)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error
    return duration
