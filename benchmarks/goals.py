"""The goals for the figures, and whether they are reached."""

from collections.abc import Callable
from operator import ge, le, lt
from statistics import mean

from attrs import frozen
from results import Results, Row

SIGNS: dict[str, Callable[[float, float], bool]] = {"≥": ge, "≤": le, "<": lt}
Pick = Callable[[Row], bool]
Value = Callable[[Results], float | None]


@frozen
class Goal:
    """A limit for one figure, or for the ratio of two."""

    what: str
    value: Value
    limit: float
    unit: str = ""
    sign: str = "≥"

    def line(self, results: Results) -> tuple[str, str, str, str]:
        """Return the goal, its limit, the measured value and the verdict."""
        value = self.value(results)
        limit = f"{self.sign} {number(self.limit)}{self.unit}"
        if value is None:
            return self.what, limit, "-", "not measured"
        reached = SIGNS[self.sign](value, self.limit)
        return (
            self.what,
            limit,
            f"{number(value)}{self.unit}",
            "reached" if reached else "not reached",
        )


def number(value: float) -> str:
    """Format with three digits, or with all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def best(table: str, pick: Pick) -> Value:
    """Return the highest median of some rows."""
    return lambda results: max(
        (row.median("per_second") for row in results.table(table) if pick(row)), default=None
    )


def worst(table: str, pick: Pick, value: Callable[[Row], float]) -> Value:
    return lambda results: max(map(value, filter(pick, results.table(table))), default=None)


def ratio(over: Value, under: Value) -> Value:
    def value(results: Results) -> float | None:
        upper, lower = over(results), under(results)
        return upper / lower if upper is not None and lower else None

    return value


def of(what: str, who: str = "relay-job-sdk") -> Pick:
    return lambda row: row.what.startswith(what) and row.who.startswith(who)


ASYNC = best("drain", of("AsyncWorker"))

GOALS = [
    Goal(
        "drain, AsyncWorker, over pgqueuer at its best batch",
        ratio(ASYNC, best("drain", of("", "pgqueuer"))),
        1.1,
        " times",
    ),
    Goal("drain, AsyncWorker", ASYNC, 10_000, " jobs/s"),
    Goal("drain, Worker", best("drain", of("Worker")), 6_000, " jobs/s"),
    Goal(
        "drain, AsyncWorker, 50 at once over 10 at once",
        ratio(best("drain", of("AsyncWorker, 50")), best("drain", of("AsyncWorker, 10"))),
        0.95,
        " times",
    ),
    Goal(
        "enqueue one by one, 32 tasks",
        best("enqueue", of("one by one, 32")),
        8_000,
        " jobs/s",
    ),
    Goal("enqueue in batches of 1,000", best("enqueue", of("batches")), 60_000, " jobs/s"),
    Goal(
        "idle latency, median",
        worst("latency", of(""), lambda row: row.median("sample_ms")),
        3,
        " ms",
        sign="≤",
    ),
    Goal(
        "idle latency, p99",
        worst("latency", of(""), lambda row: row.p99("sample_ms")),
        15,
        " ms",
        sign="≤",
    ),
    Goal(
        "requests of an idle worker in 10 s",
        worst("idle", of(""), lambda row: mean(row.figures["requests"])),
        1,
        sign="<",
    ),
    Goal(
        "local server, complete, 50 at once",
        best("server", of("complete, 50", "")),
        12_000,
        " jobs/s",
    ),
    Goal(
        "local server, p99 at half of that speed",
        worst("server", of("complete, at half", ""), lambda row: row.median("p99_ms")),
        20,
        " ms",
        sign="≤",
    ),
    Goal("local server, batches of 1,000", best("server", of("enqueue", "")), 80_000, " jobs/s"),
    Goal(
        "import over httpx and attrs",
        worst("import", of(""), lambda row: row.median("added_ms")),
        60,
        " ms",
        sign="≤",
    ),
    Goal(
        "codec, enqueue_batch and next of 1,000",
        worst("codec", of(""), lambda row: row.median("us")),
        3,
        " µs a job",
        sign="≤",
    ),
]
