"""The `doctor` command: find out why a server cannot be used."""

from typing import Annotated

import attrs
import typer

from relay_sdk.cli.errors import FAILURE, usage_errors
from relay_sdk.cli.options import Json, Token, Url, check_token_option
from relay_sdk.cli.output import print_json, print_table
from relay_sdk.cli.probe import Report, describe_clock, probe_server
from relay_sdk.exceptions import printable


def doctor(
    url: Url = None,
    token: Token = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for each reply.")
    ] = 5.0,
    json: Json = False,
) -> None:
    """Check whether the server can be used, and if not, why.

    No job is claimed or changed. Exit status 0 without problems, 1 with problems.
    """
    check_token_option(token)
    with usage_errors("--url: "):
        report = probe_server(url, token or None, timeout)
    if json:
        print_json({**attrs.asdict(report), "ok": not report.problems})
    else:
        print_table(_rows(report))
    if report.problems:
        raise typer.Exit(FAILURE)


def _rows(report: Report) -> list[tuple[str, str]]:
    rows = [("server", report.url)]
    if report.proxy is not None:
        rows.append(("proxy", report.proxy))
    if report.latency is not None:
        rows.append(("latency", f"{report.latency * 1000:.1f} ms"))
    if report.clock_difference is not None:
        rows.append(("clock", describe_clock(report)))
    if report.api:
        rows.append(("API", ", ".join(report.api)))
    if report.database is not None:
        rows.append(("database", "answers" if report.database else "does not answer"))
    return rows + [("problem", printable(problem)) for problem in report.problems or ["none"]]
