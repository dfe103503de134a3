"""`headrace simulate`: the scaler's decisions over recorded traffic, before they are anyone's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.cli.options import Json
from headrace.cli.scenario import (
    Begin,
    ColdStart,
    ConfigOption,
    For,
    From,
    Initial,
    PoolOption,
    ScaleBy,
    Seed,
    Seeds,
    Series,
    Service,
    Slo,
    Speed,
    TraceFormat,
    change_from,
    check_picture,
    chosen_policies,
    loaded_trace,
    progress,
    service_from,
    setup_from,
    share,
    tell_omitted,
    write_picture,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scaler.simulate.run import Run
    from scaler.simulate.setup import Setup
    from scaler.simulate.summary import Summary
    from scaler.simulate.traces import Trace
    from scaler.simulate.workload import Change

EXIT_BUDGET: Final = 4
"""A budget was exceeded."""


def simulate(
    config: ConfigOption,
    trace: Annotated[Path, typer.Option("--trace", metavar="FILE", help="Traffic: CSV or .gz.")],
    pool: PoolOption = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", help="Repeatable; `all` for every one. Default: the pool's own."),
    ] = None,
    trace_format: TraceFormat = None,
    series: Series = None,
    cold_start: ColdStart = "10s",
    service: Service = None,
    slo: Slo = "1s",
    seed: Seed = 0,
    seeds: Seeds = 1,
    initial: Initial = None,
    scale: ScaleBy = 1.0,
    speed: Speed = 1.0,
    start: From = "0",
    length: For = None,
    begin: Begin = None,
    price: Annotated[
        float, typer.Option("--price", min=0, max=1e9, help="Of one replica for an hour.")
    ] = 1.0,
    max_miss: Annotated[
        str | None,
        typer.Option("--max-miss", metavar="SHARE", help="Most misses allowed, e.g. 1% or 0.01."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, max=1e15, help="Most cost allowed.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the runs of the first seed, as SVG."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run recorded traffic against a pool's policy; exit code 4 when a budget is exceeded."""
    from scaler.simulate.session import compare
    from scaler.simulate.summary import Budget, summarize

    budget = Budget(
        miss_ratio=None if max_miss is None else share("--max-miss", max_miss),
        cost=max_cost,
    )
    check_picture(plot)
    setup = setup_from(config, pool, cold_start=cold_start, slo=slo, initial=initial)
    change = change_from(scale=scale, speed=speed, start=start, length=length, begin=begin)
    wanted = chosen_policies(setup.scale, policy)
    traffic = loaded_trace(trace, trace_format, series)
    numbers = range(seed, seed + seeds)
    total = _length(traffic, change) * len(wanted) * seeds
    with progress(total) as tell:
        runs = compare(
            setup,
            traffic,
            wanted,
            change=change,
            service=service_from(service),
            seeds=numbers,
            progress=tell,
        )
    summaries = {name: summarize(found, price=price) for name, found in runs.items()}
    if as_json:
        _print_json(setup, trace, numbers, runs, summaries)
    else:
        _print_table(setup, runs, summaries)
        tell_omitted(setup.left_out)
    if plot is not None:
        _draw(plot, runs)
    exceeded = [f"{name}: {why}" for name, s in summaries.items() for why in budget.exceeded(s)]
    if exceeded:
        from headrace.cli.output import complain

        complain("\n".join(["a budget is exceeded", *exceeded]))
        raise typer.Exit(EXIT_BUDGET)


def _length(trace: Trace, change: Change) -> float:
    rest = trace.end - change.begin
    return (rest if change.length is None else min(rest, change.length)) / change.speed


def _draw(path: Path, runs: Mapping[str, list[Run]]) -> None:
    from scaler.simulate.draw import draw_runs

    write_picture(path, draw_runs({name: found[0] for name, found in runs.items()}))


def _print_json(
    setup: Setup,
    trace: Path,
    seeds: Sequence[int],
    runs: Mapping[str, list[Run]],
    summaries: Mapping[str, Summary],
) -> None:
    import msgspec

    from headrace.cli.output import print_json

    one = next(iter(runs.values()))[0]
    print_json(
        msgspec.json.encode(
            {
                "pool": setup.pool,
                "trace": str(trace),
                "seeds": list(seeds),
                "slo_s": setup.slo,
                "cold_start": setup.cold_start.text,
                "span_s": one.end,
                "arrived": one.arrived,
                "left_out": setup.left_out,
                "policies": summaries,
            }
        )
    )


def _print_table(
    setup: Setup, runs: Mapping[str, list[Run]], summaries: Mapping[str, Summary]
) -> None:
    from fleet.config.units import format_duration
    from headrace.cli.output import borderless, latency, print_whole

    one = next(iter(runs.values()))[0]
    print(
        f"pool {setup.pool}: {one.arrived} requests in {format_duration(round(one.end, 3))}, "
        f"a miss waits over {format_duration(setup.slo)}, "
        f"replicas start in {setup.cold_start.text}"
    )
    columns = ("POLICY", "MISSES", "P50", "P95", "P99", "REPLICA-HOURS", "COST", "STARTS", "FLIPS")
    rows = [
        (
            name,
            f"{100 * s.miss_ratio:.3g}%",
            latency(s.wait_p50_s),
            latency(s.wait_p95_s),
            latency(s.wait_p99_s),
            f"{s.replica_hours:.3f}",
            f"{s.cost:.3f}",
            f"{s.starts:g}",
            f"{s.flips_300s:g}",
        )
        for name, s in summaries.items()
    ]
    print_whole(borderless(columns, rows))
