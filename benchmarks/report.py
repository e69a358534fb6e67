"""Render results.json as results.md, as a chart, and into docs/performance.md.

run.py calls it after each run.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import chart
from attrs import frozen
from goals import GOALS, number
from results import Results, Row, load

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


@frozen
class Column:
    title: str
    figure: str
    cell: Callable[[Row, str], str]


def spread(row: Row, figure: str) -> str:
    """Format the median with the range of the values."""
    values = row.figures[figure]
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


ENOUGH = 5  # rounds
TOO_FEW = "**These are too few: it was a quick run.**"
PER_SECOND = Column("jobs/s", "per_second", spread)
CPU = Column("client CPU, µs a job", "cpu_us", spread)

TABLES = {
    "drain": (
        "Drain",
        [PER_SECOND, CPU, Column("jobs", "jobs", lambda row, f: number(row.median(f)))],
    ),
    "enqueue": ("Enqueue", [PER_SECOND, CPU]),
    "latency": (
        "Idle latency, from the call of enqueue to the start of the handler",
        [
            Column("median, ms", "sample_ms", lambda row, f: number(row.median(f))),
            Column("p99, ms", "sample_ms", lambda row, f: number(row.p99(f))),
            Column("samples", "sample_ms", lambda row, f: f"{len(row.figures[f])}"),
        ],
    ),
    "idle": (
        "Requests of an idle worker",
        [Column("in 10 s", "requests", lambda row, f: number(row.median(f)))],
    ),
    "server": (
        "The local server alone, with a client that costs next to nothing",
        [Column("jobs/s", "per_second", spread), Column("p99, ms", "p99_ms", spread)],
    ),
    "codec": ("Codec", [Column("µs a job", "us", spread)]),
    "import": ("Import, over httpx and attrs", [Column("ms", "added_ms", spread)]),
}


def markdown(results: Results) -> str:
    parts = [
        f"Medians of {results.rounds} rounds in one run, with the lowest and the highest.",
        *([] if results.rounds >= ENOUGH else [TOO_FEW]),
        "## Goals",
        _table(("goal", "limit", "measured", ""), (goal.line(results) for goal in GOALS)),
    ]
    for name, (title, columns) in TABLES.items():
        if rows := sorted(results.table(name), key=speed, reverse=True):
            head = ("", "", *(column.title for column in columns))
            parts += [f"## {title}", _table(head, (_line(row, columns) for row in rows))]
    parts += ["## Measured on", _table(("", ""), results.about.items())]
    return "\n\n".join(parts) + "\n"


def speed(row: Row) -> float:
    return row.median("per_second") if "per_second" in row.figures else 0


def _line(row: Row, columns: Iterable[Column]) -> Iterator[str]:
    yield f"**{row.who}**" if row.who.startswith("relay") else row.who
    yield row.what
    for column in columns:
        yield column.cell(row, column.figure) if column.figure in row.figures else "-"


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    titles = tuple(head)
    every = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in every)


def write(results: Results, out: Path, docs: Path) -> str:
    """Write all files that show the results, and return the text."""
    text = markdown(results)
    (out / "results.md").write_text(f"# Benchmark results\n\n{text}", encoding="utf-8")
    page = docs / "performance.md"
    if page.exists():
        before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- results -->\n")
        _, end, after = rest.partition("<!-- /results -->")
        shown = f"\n![The figures below, as bars](images/performance.svg)\n\n{text}\n"
        page.write_text(f"{before}{begin}{shown}{end}{after}", encoding="utf-8")
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "performance.svg").write_text(chart.draw(results), encoding="utf-8")
    return text


if __name__ == "__main__":
    write(load(HERE / "results.json"), HERE, DOCS)
    sys.exit()
