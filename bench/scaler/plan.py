"""What is run: traces, how each is changed to be feasible, and how much of everything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from fleet.config.schema import RouterSignal, Scale, Signal
from scaler.simulate.distribution import parse_distribution
from scaler.simulate.setup import Setup, VersionSetup
from scaler.simulate.traces import Requests, Trace, read_trace
from scaler.simulate.tuning import Scenario
from scaler.simulate.workload import Change

TRACES: Final = Path(__file__).parents[2].parent / "shared" / "traces"
SLO: Final = 1.0
"""Seconds: a request that waits longer for its slot is a miss."""
SLOTS: Final = 4
"""Of one replica."""
COLD_STARTS: Final = ("10s", "60s")
OURS: Final = "slo"
SEARCHED: Final = ("apa", "hpa", "kpa", "nomad", "ray", "slo", "target")
"""Policies whose own parameters are searched. `keda` is `hpa` with an activity of its own, which
none of these traces ends; `step` has no original."""
DAY: Final = 86400.0
WARM_UP: Final = 300.0
"""Seconds of a run after which misses count. A run begins in the middle of its traffic with a
size for it, which says nothing of a policy; a constant size has its whole size from then on."""


class Traffic(Struct, frozen=True, kw_only=True):
    """One trace of the benchmark."""

    name: str
    file: str
    group: str
    """`hour`: no lasting shift; `shifting`: long, or with one."""
    learn: bool
    """Parameters are searched on it; else it is reported on."""
    series: str | None = None
    change: Change = Change()
    service: str | None = None
    """None: the trace's own."""


TRAFFIC: Final = (
    Traffic(name="azure-code", file="azure_llm_2023_code.csv.gz", group="hour", learn=False),
    Traffic(name="azure-conv", file="azure_llm_2023_conv.csv.gz", group="hour", learn=False),
    Traffic(name="mooncake-conv", file="mooncake_fast25_conv.csv.gz", group="hour", learn=True),
    Traffic(name="mooncake-synth", file="mooncake_fast25_synth.csv.gz", group="hour", learn=False),
    Traffic(name="invitro-200", file="invitro_azure2021_200.csv.gz", group="hour", learn=False),
    Traffic(name="invitro-30", file="invitro_azure2021_30.csv.gz", group="hour", learn=False),
    *(
        Traffic(
            name=f"autothrottle-{name}",
            file=f"autothrottle_{name}.txt.gz",
            group="shifting",
            learn=name in ("bursty", "diurnal"),
            change=Change(scale=0.1),
            service="exponential:1s",
        )
        for name in ("bursty", "diurnal", "diurnal-2", "noisy")
    ),
    *(
        Traffic(
            name=f"servegen-{series}",
            file="servegen_aggregate_10min.csv.gz",
            group="shifting",
            learn=series in ("m-large", "m-small"),
            series=series,
            change=change,
            service="lognormal:2s,6s",
        )
        for series, change in (
            ("deepseek-r1", Change(scale=0.5, speed=12.0)),
            ("m-large", Change(scale=0.04, speed=24.0, begin=2 * DAY, length=2 * DAY)),
            ("m-mid", Change(scale=0.0045, speed=24.0, begin=2 * DAY, length=2 * DAY)),
            ("m-small", Change(scale=0.007, speed=24.0, begin=2 * DAY, length=2 * DAY)),
            ("mm-image", Change(scale=0.8, speed=12.0)),
        )
    ),
    Traffic(
        name="nab-elb",
        file="nab_elb_request_count.csv.gz",
        group="shifting",
        learn=True,
        change=Change(scale=30.0, speed=24.0, begin=4 * DAY, length=2 * DAY),
        service="exponential:2s",
    ),
    Traffic(
        name="nab-taxi",
        file="nab_nyc_taxi.csv.gz",
        group="shifting",
        learn=False,
        change=Change(speed=24.0, begin=123 * DAY, length=2 * DAY),
        service="exponential:2s",
    ),
)
"""Long traces go through 24 or 12 times as fast, at a rate lowered to about eight a second: a
morning's rise of four hours takes ten minutes, and an hour and a half is a day and a half."""


class Plan(Struct, frozen=True, kw_only=True):
    """How much of everything."""

    seeds: int
    """Of the traces reported on."""
    learning: int
    """Seeds of the traces to learn from."""
    points: int
    """Settings tried for each policy in each round."""
    rounds: int
    """Of the search: the first at random, the others near the best so far."""
    longest: float
    """Seconds of a run at most."""

    @property
    def tried(self) -> int:
        """Settings tried for each policy, its defaults among them."""
        return 1 + self.points * self.rounds


FULL: Final = Plan(seeds=5, learning=2, points=10, rounds=3, longest=5400.0)
QUICK: Final = Plan(seeds=1, learning=1, points=4, rounds=2, longest=1800.0)


def scenario(traffic: Traffic, cold_start: str, plan: Plan, seeds: int) -> Scenario:
    """A trace under a cold start; the run begins with what its first minutes need."""
    trace = read_trace(TRACES / traffic.file, series=traffic.series)
    service = None if traffic.service is None else parse_distribution(traffic.service)
    change = _cut(traffic.change, plan)
    return Scenario(
        name=traffic.name,
        setup=Setup(
            pool=traffic.name,
            versions=(VersionSetup(name="v1", weight=100, slots=SLOTS),),
            scale=Scale(min=1, max=200, signals=(Signal(router=RouterSignal()),)),
            queue_limit=1_000_000,
            queue_timeout=60.0,
            drain_timeout=600.0,
            cold_start=parse_distribution(cold_start),
            slo=SLO,
            initial=_initial(trace, change, traffic.service),
        ),
        trace=trace,
        change=change,
        service=service,
        seeds=tuple(range(seeds)),
    )


def _cut(change: Change, plan: Plan) -> Change:
    longest = plan.longest * change.speed
    length = longest if change.length is None else min(longest, change.length)
    return Change(scale=change.scale, speed=change.speed, begin=change.begin, length=length)


def _initial(trace: Trace, change: Change, service: str | None) -> int:
    """Replicas for the load of the first three minutes of the run, at 70 % busy."""
    span = 180.0 * change.speed
    first, last = change.begin, change.begin + span
    if isinstance(trace, Requests):
        within = [n for n, at in enumerate(trace.arrivals) if first <= at < last]
        busy = sum(trace.services[n] for n in within) if trace.services is not None else 0.0
        load = busy * change.scale / span
    else:
        low, high = int(first / trace.width), int(last / trace.width) + 1
        counts = trace.counts[low:high]
        rate = sum(counts) / (len(counts) * trace.width) * change.scale
        load = rate * _MEANS[service]
    return max(1, round(load / SLOTS / 0.7 + 0.5))


_MEANS: Final = {"exponential:1s": 1.0, "exponential:2s": 2.0, "lognormal:2s,6s": 2.89, None: 0.0}
"""Seconds."""
