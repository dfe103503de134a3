"""`headrace replay`: other settings on what the daemon saw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import HeadraceError
from fleet.model import Decision
from headrace.cli.options import Json
from headrace.cli.scenario import ConfigOption, PoolOption, loaded


def replay(
    journal: Annotated[
        str,
        typer.Argument(
            metavar="JOURNAL",
            help="What `headrace decisions --json` printed; - for standard input.",
        ),
    ],
    config: ConfigOption,
    pool: PoolOption = None,
    as_json: Json = False,
) -> None:
    """Show what another configuration would have decided at the moments of the journal."""
    import msgspec

    from headrace.cli.output import borderless, console, print_json, utc
    from scaler.simulate.replay import replay as decided_again

    try:
        data = sys.stdin.buffer.read() if journal == "-" else Path(journal).read_bytes()
        decisions = msgspec.json.decode(data, type=list[Decision])
    except OSError as error:
        raise HeadraceError(f"{journal}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise HeadraceError(f"{journal} is no journal of decisions: {error}") from error
    pools = loaded(config).pools
    if pool is not None and pool not in pools:
        raise HeadraceError(f"{config} has no pool {pool!r}; it has {', '.join(pools) or 'none'}")
    settings = {name: p.scale for name, p in pools.items() if pool in (None, name)}
    found = decided_again(decisions, settings)
    if not found:
        raise HeadraceError(f"{journal} has no decision of these pools with what was seen")
    if as_json:
        print_json(msgspec.json.encode(found))
        return
    rows = [
        (utc(one.at), one.pool, one.version, str(one.was), str(one.would), one.reason)
        for one in found
    ]
    console().print(borderless(("TIME", "POOL", "VERSION", "WAS", "WOULD BE", "REASON"), rows))
    differ = sum(one.was != one.would for one in found)
    print(f"{differ} of {len(found)} decisions differ")
