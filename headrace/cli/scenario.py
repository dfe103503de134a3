"""What `simulate` and `tune` run: the options that say it, and what is read from them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fleet.config.schema import Config, Scale
    from scaler.simulate.distribution import Distribution
    from scaler.simulate.setup import Setup
    from scaler.simulate.traces import Trace
    from scaler.simulate.workload import Change

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
    float,
    typer.Option("--scale", min=1e-9, max=1e9, help="Requests in place of each of the trace's."),
]
Speed = Annotated[
    float,
    typer.Option(
        "--speed",
        min=1e-9,
        max=1e9,
        help="Run the trace this many times as fast, at the same rate.",
    ),
]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="Leave out the beginning.")]
For = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Run this much. Default: all.")
]
Begin = Annotated[
    str | None,
    typer.Option(
        "--begin",
        metavar="TIME",
        help="When the trace begins, for schedules and forecasts: 2026-01-31T12:00:00Z or Unix "
        "seconds. Default: as its dates say.",
    ),
]


def setup_from(
    config: Path, pool: str | None, *, cold_start: str, slo: str, initial: int | None
) -> Setup:
    """The pool to run, from the texts of its options. Raises HeadraceError, BadParameter."""
    from scaler.simulate.setup import setup_of

    return setup_of(
        loaded(config),
        pool,
        cold_start=distribution("--cold-start", cold_start),
        slo=seconds("--slo", slo),
        initial=initial,
    )


def change_from(
    *, scale: float, speed: float, start: str, length: str | None, begin: str | None
) -> Change:
    """What is done to a trace, from the texts of its options. Raises BadParameter."""
    from scaler.simulate.workload import Change

    return Change(
        scale=scale,
        speed=speed,
        begin=seconds("--from", start),
        length=None if length is None else seconds("--for", length),
        clock=None if begin is None else clock("--begin", begin),
    )


def service_from(text: str | None) -> Distribution | None:
    """The service times that replace those of the trace. Raises BadParameter."""
    return None if text is None else distribution("--service", text)


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


def clock(option: str, text: str) -> float:
    """The Unix time given to an option."""
    from headrace.cli.moments import moment

    try:
        return moment(text)
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


def tell_omitted(omitted: Sequence[str]) -> None:
    """Say on standard error what of the configuration is not simulated."""
    from headrace.cli.output import complain

    if omitted:
        complain("\n".join(["not as in the daemon:", *omitted]))


def check_picture(path: Path | None) -> None:
    """Raise HeadraceError for a picture that could not be written, before a long run."""
    if path is None:
        return
    if path.suffix != ".svg":
        raise HeadraceError(f"pictures are SVG: name it {path.with_suffix('.svg')}, not {path}")
    if not path.parent.is_dir():
        raise HeadraceError(f"cannot write {path}: there is no directory {path.parent}")


def write_picture(path: Path, svg: str) -> None:
    """Write an SVG file."""
    try:
        path.write_text(svg)
    except OSError as error:
        raise HeadraceError(f"cannot write {path}: {error.strerror}") from error
