"""`headrace status`: one look at a running daemon, or one a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live

from headrace.cli.client import AdminClient, segment
from headrace.cli.options import DEFAULT_ADMIN, Admin, Json, TokenFile, connect
from headrace.cli.output import console, print_json
from headrace.cli.render import Look, pool_warnings, pools_table, screen
from headrace.operations import PoolStatus, Status

INTERVAL: Final = 1.0
"""Seconds between two looks when watching."""


def status(
    pool: Annotated[
        str | None, typer.Argument(metavar="POOL", help="Only this pool.", show_default=False)
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep looking, once a second; rates since then.")
    ] = False,
    json: Json = False,
    admin: Admin = DEFAULT_ADMIN,
    token_file: TokenFile = None,
) -> None:
    """Show pools, replicas and traffic."""
    if watch and json:
        raise typer.BadParameter("--watch and --json exclude each other")
    client = connect(admin, token_file)
    path = "/v1/status" if pool is None else f"/v1/pools/{segment(pool)}"
    if json:
        print_json(client.call("GET", path))
    elif watch:
        follow(lambda before: look(client, path, before), console(), time.sleep)
    else:
        console().print(look(client, path, None)[1])


def look(client: AdminClient, path: str, before: Look | None) -> tuple[Look, RenderableType]:
    """Ask once, and render what is answered. Raises as `AdminClient.call`."""
    if path == "/v1/status":
        whole = client.get(path, Status)
        seen = Look(whole.pools, time.monotonic())
        return seen, screen(whole, time.time(), seen, before)
    one = client.get(path, PoolStatus)
    seen = Look((one,), time.monotonic())
    return seen, Group(*pool_warnings(one), pools_table(seen, before))


def follow(
    ask: Callable[[Look | None], tuple[Look, RenderableType]],
    out: Console,
    sleep: Callable[[float], object],
) -> None:
    """Look again and again until Ctrl-C; a terminal is redrawn, a pipe gets table after table."""
    seen, picture = ask(None)
    try:
        if not out.is_terminal:
            while True:
                out.print(picture)
                sleep(INTERVAL)
                seen, picture = ask(seen)
        with Live(picture, console=out, screen=True, auto_refresh=False) as live:
            while True:
                sleep(INTERVAL)
                seen, picture = ask(seen)
                live.update(picture, refresh=True)
    except KeyboardInterrupt:
        return
