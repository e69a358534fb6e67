"""Draw the chart of README and docs: bars, readable on a light and on a dark page."""

from collections.abc import Callable, Iterator
from html import escape

import goals
from results import Results, Row

WIDTH, LABEL, LINE, BAR = 820, 390, 22, 14
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.ours { fill: #0969da } .theirs { fill: #afb8c1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .ours { fill: #4493f8 } .theirs { fill: #57606a }
}
"""

Value = Callable[[Row], float]


def draw(results: Results) -> str:
    """Return the chart as SVG: the best row of each system."""
    lines = [*_panels(results)]
    height = LINE * len(lines) + 10
    body = "".join(
        line.format(y=LINE * number, top=LINE * number - BAR + 2)
        for number, line in enumerate(lines, 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="Jobs a second, idle latency">'
        f"<style>{STYLE}</style>{body}</svg>\n"
    )


def _panels(results: Results) -> Iterator[str]:
    yield from _panel(
        f"Drain: {results.jobs:,} jobs taken, run and completed, jobs/s",
        results.table("drain"),
        lambda row: row.median("per_second"),
    )
    singles = [row for row in results.table("enqueue") if "one by one" in row.what]
    yield from _panel("Enqueue one by one, jobs/s", singles, lambda row: row.median("per_second"))
    batches = [row for row in results.table("enqueue") if "batches" in row.what]
    yield from _panel("Enqueue in batches, jobs/s", batches, lambda row: row.median("per_second"))
    yield from _panel(
        "Idle worker: from enqueue to handler, median ms (less is better)",
        results.table("latency"),
        lambda row: row.median("sample_ms"),
        least=True,
    )
    yield _text(0, "small", f"{results.about.get('CPU', '')} · {results.about.get('date', '')}")


def _panel(title: str, rows: list[Row], value: Value, *, least: bool = False) -> Iterator[str]:
    best: dict[str, Row] = {}
    for row in sorted(rows, key=value, reverse=not least):
        best.setdefault(_system(row), row)
    if not best:
        return
    yield _text(0, "title", title)
    longest = max(map(value, best.values()))
    for row in best.values():
        width = max(1, round((WIDTH - LABEL - 70) * value(row) / longest))
        kind = "ours" if row.who.startswith("relay") else "theirs"
        size = f'x="{LABEL}" y="{{top}}" width="{width}" height="{BAR}"'
        yield (
            _text(0, "label", f"{row.who}: {row.what}")
            + f'<rect class="{kind}" {size} rx="2"/>'
            + _text(LABEL + width + 6, "label", goals.number(value(row)))
        )
    yield ""


def _system(row: Row) -> str:
    """One bar each for tasks and threads of the SDK, in each variant; one for each peer."""
    return row.who + (row.what.partition(",")[0] if "Worker" in row.what else "")


def _text(x: int, kind: str, text: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{{y}}">{escape(text)}</text>'
