"""The command that finds out why the server cannot be used."""

from typing import Annotated

import attrs
import typer

from relay_sdk.cli.options import Json, Token, Url, check_option
from relay_sdk.cli.outcome import NO, mistakes
from relay_sdk.cli.output import show_json, show_table
from relay_sdk.cli.probe import Report, clocks, examine
from relay_sdk.exceptions import printable


def doctor(
    url: Url = None,
    token: Token = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Wait for an answer.")
    ] = 5.0,
    json: Json = False,
) -> None:
    """Find out whether the server can be used, and if not, why.

    No job is taken or changed. Status 0 when all is well, 1 when something is wrong.
    """
    check_option(token)
    with mistakes("--url: "):
        report = examine(url, token or None, timeout)
    if json:
        show_json({**attrs.asdict(report), "ok": not report.problems})
    else:
        show_table(_rows(report))
    if report.problems:
        raise typer.Exit(NO)


def _rows(report: Report) -> list[tuple[str, str]]:
    rows = [("server", report.url)]
    if report.proxy is not None:
        rows.append(("proxy", report.proxy))
    if report.latency is not None:
        rows.append(("latency", f"{report.latency * 1000:.1f} ms"))
    if report.clock_difference is not None:
        rows.append(("clock", clocks(report)))
    if report.api:
        rows.append(("API", ", ".join(report.api)))
    if report.database is not None:
        rows.append(("database", "answers" if report.database else "does not answer"))
    return rows + [("problem", printable(problem)) for problem in report.problems or ["none"]]
