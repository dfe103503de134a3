"""`headrace tune`: search a policy's parameters on some traces, and judge them on others."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from collections.abc import Iterator, Sequence
    from concurrent.futures import ProcessPoolExecutor

    from fleet.config.schema import Scale
    from scaler.simulate.edit import Edit
    from scaler.simulate.knobs import Setting
    from scaler.simulate.summary import Summary
    from scaler.simulate.tuning import Scenario, Score


def tune(
    config: ConfigOption,
    trace: Annotated[
        list[Path], typer.Option("--trace", metavar="FILE", help="To search on; repeatable.")
    ],
    holdout: Annotated[
        list[Path] | None,
        typer.Option("--holdout", metavar="FILE", help="To report on; repeatable."),
    ] = None,
    pool: PoolOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Which policy. Default: the pool's own.")
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
    points: Annotated[
        int, typer.Option("--points", min=1, help="Settings tried besides the present.")
    ] = 40,
    max_miss: Annotated[
        str, typer.Option("--max-miss", metavar="SHARE", help="Misses allowed, e.g. 1% or 0.01.")
    ] = "1%",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes. Default: one a core.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw misses against replica-hours, as SVG."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the cheapest parameters within a limit of misses; print what to change as a diff."""
    from fleet.errors import HeadraceError
    from headrace.cli.output import complain
    from scaler.simulate.knobs import KNOBS, candidates, with_setting
    from scaler.simulate.tuning import Scenario, best, edits, scores

    check_picture(plot)
    setup = setup_from(config, pool, cold_start=cold_start, slo=slo, initial=initial)
    ((name, settings),) = chosen_policies(setup.scale, [policy] if policy else None).items()
    if name not in KNOBS:
        raise HeadraceError(f"{name!r} has nothing to tune; known are {', '.join(KNOBS)}")
    change = change_from(scale=scale, speed=speed, start=start, length=length, begin=begin)
    limit = share("--max-miss", max_miss)
    searched_on = {path.resolve() for path in trace}
    if seen := [str(path) for path in holdout or () if path.resolve() in searched_on]:
        raise HeadraceError(f"{', '.join(seen)} is searched on: give another trace as --holdout")

    def scenario(path: Path) -> Scenario:
        return Scenario(
            name=str(path),
            setup=setup,
            trace=loaded_trace(path, trace_format, series),
            change=change,
            service=service_from(service),
            seeds=tuple(range(seed, seed + seeds)),
        )

    outside = [scenario(path) for path in holdout or ()]
    tried: list[Setting] = [{}, *candidates(name, points, seed)]
    choices = [with_setting(settings, setting) for setting in tried]
    searched = _run([scenario(path) for path in trace], choices, jobs or os.cpu_count() or 1)
    found = scores(tried, searched)
    chosen = best(found, limit)
    pair = [settings, with_setting(settings, chosen.setting)]
    judged = dict(
        zip(map(str, holdout or ()), _run(outside, pair, jobs or os.cpu_count() or 1), strict=True)
    )
    if as_json:
        _print_json(name, found, chosen, judged)
    else:
        _print(found, chosen, judged)
        if chosen.miss_ratio > limit:
            complain(f"none of {len(tried)} settings has misses within {100 * limit:g}%")
        changes = edits(setup.pool, setup.scale, settings, chosen.setting)
        _print_diff(config, setup.pool, changes, pair[1])
        tell_omitted(setup.left_out)
    if plot is not None:
        _draw(plot, name, searched, chosen, tried)


def _run(scenarios: Sequence[Scenario], choices: Sequence[Scale], jobs: int) -> list[list[Summary]]:
    """For each scenario the summary of each choice, in their order."""
    from concurrent.futures import as_completed

    from scaler.simulate.tuning import evaluate

    size = max(1, -(-len(choices) // (2 * jobs)))
    parts = [
        (number, at, choices[at : at + size])
        for number in range(len(scenarios))
        for at in range(0, len(choices), size)
    ]
    results: dict[tuple[int, int], list[Summary]] = {}
    with progress(len(parts)) as tell, _processes(jobs) as executor:
        waiting = {
            executor.submit(evaluate, scenarios[number], part): (number, at)
            for number, at, part in parts
        }
        for future in as_completed(waiting):
            number, at = waiting[future]
            results[number, at] = future.result()
            tell("tuning", len(results), 1.0)
    return [
        [s for at in range(0, len(choices), size) for s in results[number, at]]
        for number in range(len(scenarios))
    ]


@contextlib.contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for the work; they end at once on Ctrl-C, an error, or when this one is killed."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    # not forked: this process has threads that draw the bar
    context = get_context("spawn")
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise
    executor.shutdown()


def _end_with_parent() -> None:
    """Have this process end when the one that started it does, however that is."""
    from multiprocessing import parent_process

    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _draw(
    path: Path,
    policy: str,
    searched: Sequence[Sequence[Summary]],
    chosen: Score,
    tried: Sequence[Setting],
) -> None:
    """The settings tried on the first trace, the present one and the chosen one on top."""
    from scaler.simulate.draw import draw_frontier

    first = searched[0]
    points = {
        "tried": [first[n] for n in range(len(tried))],
        "present": [first[0]],
        "chosen": [first[list(tried).index(chosen.setting)]],
    }
    write_picture(path, draw_frontier(f"{policy}: settings tried", points))


def _print_json(
    policy: str,
    found: Sequence[Score],
    chosen: Score,
    judged: dict[str, list[Summary]],
) -> None:
    import msgspec

    from headrace.cli.output import print_json
    from scaler.simulate.tuning import frontier

    print_json(
        msgspec.json.encode(
            {
                "policy": policy,
                "present": found[0],
                "chosen": chosen,
                "frontier": frontier(found),
                "holdout": {
                    path: {"present": before, "chosen": after}
                    for path, (before, after) in judged.items()
                },
            }
        )
    )


def _print(found: Sequence[Score], chosen: Score, judged: dict[str, list[Summary]]) -> None:
    from headrace.cli.output import borderless, print_whole
    from scaler.simulate.tuning import relative

    rows = [
        ("searched", f"{100 * s.miss_ratio:.3g}%", f"{s.cost:.3f}", which)
        for which, s in (("present", found[0]), ("chosen", chosen))
    ]
    for path, (before, after) in judged.items():
        for which, summary in (("present", before), ("chosen", after)):
            cost = relative(summary.replica_hours, before.replica_hours)
            rows.append((path, f"{100 * summary.miss_ratio:.3g}%", f"{cost:.3f}", which))
    print_whole(borderless(("TRACE", "MISSES", "RELATIVE COST", "SETTINGS"), rows))


def _print_diff(config: Path, pool: str, changes: Sequence[Edit], wanted: Scale) -> None:
    from headrace.cli.output import complain
    from scaler.simulate.edit import UneditableError
    from scaler.simulate.tuning import diff_of

    if not changes:
        print("the present settings are the best of those tried")
        return
    try:
        print(diff_of(config.read_bytes().decode(), config, pool, changes, wanted), end="")
    except UneditableError as error:
        complain(f"{config} has a form that no patch is made for ({error}); change by hand:")
        for change in changes:
            print(f"{'.'.join(change.path)}: {change.value}")
