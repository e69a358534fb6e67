"""The local server as a command."""

import typer

EPILOG = "example: relay-sdk serve --db jobs.db --port 8080"


def serve(context: typer.Context) -> None:
    """Serve Relay's API from a SQLite file, or with other servers from a PostgreSQL database."""
    from relay_sdk.local.__main__ import main

    raise typer.Exit(main(context.args, prog="relay-sdk serve", epilog=EPILOG))
