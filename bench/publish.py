"""Make a run the one the documentation shows.

    python -m bench.publish [bench/results/latest.json] [bench/results/balance.json]

Each run is copied to `results/reference*.json`, its chart drawn beside its page, and the generated
part of the page written anew: `docs/performance.md` of `make bench`, `docs/balancing.md` of `make
bench-balance`. Without arguments, both that are there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import report, targets
from bench.balance import chart as balance_chart
from bench.balance import report as balance_report
from bench.chart import chart
from bench.report import Result

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
BEGIN = "<!-- begin: python -m bench.publish -->"
END = "<!-- end -->"


def _performance(result: Result) -> str:
    lines = ["## Targets", "", *targets.lines(result), "", "## All works", "", report.text(result)]
    return "\n".join(lines)


@dataclass(frozen=True)
class Page:
    """Where one kind of run is shown. `name` is that of the page, of its chart too."""

    name: str
    reference: str
    body: Callable[[Result], str]
    chart: Callable[[Result], str]


def _balancing(result: Result) -> str:
    return f"![p99 by policy and gateway](balancing.svg)\n\n{balance_report.text(result)}"


BALANCING = Page("balancing", "reference-balance", _balancing, balance_chart.chart)
PERFORMANCE = Page("performance", "reference", _performance, chart)

LATEST = (HERE / "results" / "latest.json", HERE / "results" / "balance.json")


def page_of(result: Result) -> Page:
    """The page that a run belongs to, by its works."""
    works = {sample["work"] for sample in result["samples"]}
    mine = {table.work for table in balance_report.TABLES}
    return BALANCING if works <= mine else PERFORMANCE


def rewritten(text: str, result: Result, page: Page) -> str:
    """`text` with the part between the two marks made of `result`. Raises ValueError without."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{measured(result)}\n\n{page.body(result)}\n{END}{after}"


def measured(result: Result) -> str:
    """When, on what and with which versions."""
    machine = result["machine"]
    versions = ", ".join(sorted(result["versions"].values()))
    return (
        f"Measured {result['date'][:10]} on {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory'] / 2**30:.0f} GiB, Linux {machine['kernel']}, Python "
        f"{machine['python']}, in {max(1, round(result['seconds'] / 60))} minutes. {versions}."
    )


def publish(source: Path) -> None:
    """One run."""
    text = source.read_text()
    result = json.loads(text)
    page = page_of(result)
    path = DOCS / f"{page.name}.md"
    path.write_text(rewritten(path.read_text(), result, page))
    (DOCS / f"{page.name}.svg").write_text(page.chart(result))
    (HERE / "results" / f"{page.reference}.json").write_text(text)


def main() -> None:
    """See the module."""
    for source in [Path(name) for name in sys.argv[1:]] or [p for p in LATEST if p.exists()]:
        publish(source)


if __name__ == "__main__":
    main()
