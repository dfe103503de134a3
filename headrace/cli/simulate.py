"""`headrace simulate`: the scaler's decisions over recorded traffic, before they are anyone's."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fleet.errors import HeadraceError
from headrace.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fleet.config.schema import Config, Scale
    from scaler.simulate.distribution import Distribution
    from scaler.simulate.run import Run
    from scaler.simulate.setup import Setup
    from scaler.simulate.summary import Summary
    from scaler.simulate.traces import Trace
    from scaler.simulate.workload import Change

EXIT_BUDGET: Final = 4
"""A budget was exceeded."""

ConfigOption = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The configuration file.")
]
PoolOption = Annotated[
    str | None, typer.Option("--pool", metavar="POOL", help="Default: the only pool.")
]
TraceFormat = Annotated[
    str | None,
    typer.Option(
        "--trace-format",
        metavar="FORMAT",
        help="A known format, or KEY=COLUMN,... Default: told from the header line.",
    ),
]
Series = Annotated[
    str | None, typer.Option("--series", help="Which of the series in the trace's file.")
]
ColdStart = Annotated[
    str,
    typer.Option(
        "--cold-start",
        metavar="TIME",
        help="From the decision to a ready replica: 10s, uniform:5s,20s, exponential:10s or "
        "lognormal:P50,P90.",
    ),
]
Service = Annotated[
    str | None,
    typer.Option(
        "--service",
        metavar="TIME",
        help="How long a request holds its slot, as --cold-start. Default: the trace's own.",
    ),
]
Slo = Annotated[
    str, typer.Option("--slo", metavar="TIME", help="A request that waits longer is a miss.")
]
Seed = Annotated[int, typer.Option("--seed", help="The first seed.")]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds, one run for each.")]
Initial = Annotated[
    int | None,
    typer.Option("--initial", min=0, help="Replicas at the start. Default: scale.min, at least 1."),
]
ScaleBy = Annotated[
    float, typer.Option("--scale", min=1e-9, help="Requests in place of each of the trace's.")
]
Speed = Annotated[
    float,
    typer.Option(
        "--speed", min=1e-9, help="Run the trace this many times as fast, at the same rate."
    ),
]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="Leave out the beginning.")]
For = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Run this much. Default: all.")
]


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
    price: Annotated[
        float, typer.Option("--price", min=0, help="Of one replica for an hour.")
    ] = 1.0,
    max_miss: Annotated[
        str | None,
        typer.Option("--max-miss", metavar="SHARE", help="Most misses allowed, e.g. 1% or 0.01."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", min=0, help="Most cost allowed.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the runs of the first seed, as SVG."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run recorded traffic against a pool's policy; exit code 4 when a budget is exceeded."""
    from scaler.simulate.session import compare
    from scaler.simulate.setup import setup_of
    from scaler.simulate.summary import Budget, summarize
    from scaler.simulate.workload import Change

    budget = Budget(
        miss_ratio=None if max_miss is None else share("--max-miss", max_miss),
        cost=max_cost,
    )
    setup = setup_of(
        loaded(config),
        pool,
        cold_start=distribution("--cold-start", cold_start),
        slo=seconds("--slo", slo),
        initial=initial,
    )
    change = Change(
        scale=scale,
        speed=speed,
        begin=seconds("--from", start),
        length=None if length is None else seconds("--for", length),
    )
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
            service=None if service is None else distribution("--service", service),
            seeds=numbers,
            progress=tell,
        )
    summaries = {name: summarize(found, price=price) for name, found in runs.items()}
    if plot is not None:
        _draw(plot, runs)
    if as_json:
        _print_json(setup, trace, numbers, runs, summaries)
    else:
        _print_table(setup, runs, summaries)
    exceeded = [f"{name}: {why}" for name, s in summaries.items() for why in budget.exceeded(s)]
    if exceeded:
        from headrace.cli.output import complain

        complain("\n".join(["a budget is exceeded", *exceeded]))
        raise typer.Exit(EXIT_BUDGET)


def loaded(path: Path) -> Config:
    """The configuration in a file. HeadraceError with all that is wrong in it."""
    from fleet.config.load import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise HeadraceError(str(error)) from error


def loaded_trace(path: Path, trace_format: str | None, series: str | None) -> Trace:
    """The trace in a file."""
    from scaler.simulate.formats import parse_format
    from scaler.simulate.traces import read_trace

    return read_trace(path, parse_format(trace_format) if trace_format else None, series)


def chosen_policies(scale: Scale, names: Sequence[str] | None) -> Mapping[str, Scale]:
    """The settings under each policy named, or under the pool's own."""
    from scaler.policies import POLICIES
    from scaler.simulate.session import with_policy

    found = names or [scale.policy]
    return {
        name: with_policy(scale, name) for name in (list(POLICIES) if "all" in found else found)
    }


def seconds(option: str, text: str) -> float:
    """The duration given to an option."""
    from fleet.config.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def distribution(option: str, text: str) -> Distribution:
    """The distribution given to an option."""
    from scaler.simulate.distribution import parse_distribution

    try:
        return parse_distribution(text)
    except HeadraceError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def share(option: str, text: str) -> float:
    """The share given to an option: `1%` or `0.01`."""
    number = text.removesuffix("%")
    try:
        found = float(number) / (100 if number != text else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise typer.BadParameter(f"{text!r} is not a share such as 1% or 0.01", param_hint=option)
    return found


@contextlib.contextmanager
def progress(total: float) -> Iterator[Callable[[str, int, float], None]]:
    """A bar on standard error while it is a terminal; `total` of what is told makes it full."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    done: dict[tuple[str, int], float] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulating", total=total)

        def tell(name: str, number: int, at: float) -> None:
            done[name, number] = at
            bar.update(task, completed=sum(done.values()), description=f"{name} {number}")

        yield tell


def write_picture(path: Path, svg: str) -> None:
    """Write an SVG file."""
    try:
        path.write_text(svg)
    except OSError as error:
        raise HeadraceError(f"cannot write {path}: {error.strerror}") from error


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
                "policies": summaries,
            }
        )
    )


def _print_table(
    setup: Setup, runs: Mapping[str, list[Run]], summaries: Mapping[str, Summary]
) -> None:
    from fleet.config.units import format_duration
    from headrace.cli.output import borderless, console, latency

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
    console().print(borderless(columns, rows))
