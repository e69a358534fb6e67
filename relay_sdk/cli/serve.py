"""The `serve` command. Its options are those of `python -m relay_sdk.local`."""

import re
from typing import Any

import typer
from typer.core import TyperCommand

from relay_sdk.cli.output import catch_write_errors

PROG = "relay-sdk serve"
EPILOG = "example: relay-sdk serve --db jobs.db --port 8080"


class Serve(TyperCommand):
    """Takes help and completion from the argparse parser of the server."""

    def get_help(self, ctx: Any) -> str:  # noqa: ARG002 overrides a method of click
        return _help()

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        (help_item,) = super().shell_complete(ctx, "--help")
        options = dict.fromkeys(re.findall(r"--[a-z][a-z-]+", _help()))
        return [type(help_item)(option) for option in options if option.startswith(incomplete)]


def _help() -> str:
    from relay_sdk.local.__main__ import command_line

    return command_line(PROG, EPILOG).format_help()


def serve(context: typer.Context) -> None:
    """Serve Relay's API from SQLite or PostgreSQL."""
    from relay_sdk.local.__main__ import main

    with catch_write_errors():
        raise typer.Exit(main(context.args, prog=PROG, epilog=EPILOG))
