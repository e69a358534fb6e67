"""The results of one run: the classes of results.json."""

from pathlib import Path
from statistics import median, quantiles

import msgspec


class Row(msgspec.Struct):
    """One measurement: a list of values for each figure, in the order of the rounds."""

    table: str
    what: str
    who: str
    figures: dict[str, list[float]]

    def median(self, figure: str) -> float:
        return median(self.figures[figure])

    def p99(self, figure: str) -> float:
        values = self.figures[figure]
        return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


class Results(msgspec.Struct):
    """The results of a run."""

    about: dict[str, str]
    rounds: int
    jobs: int
    rows: list[Row]

    def table(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.table == name]


def load(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def dump(results: Results, path: Path) -> None:
    for row in results.rows:
        row.figures = {
            name: [float(f"{value:.5g}") for value in values]
            for name, values in row.figures.items()
        }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
