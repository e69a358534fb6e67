"""The `relay-sdk` command."""

import sys


def main() -> None:
    """Run the command named in `sys.argv`."""
    try:
        from relay_sdk.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("relay-sdk: the command line needs typer: pip install 'relay-job-sdk[cli]'")
    from relay_sdk.cli.output import UnwritableError, catch_write_errors, print_message

    try:
        # typer itself writes the help, so its write errors are only seen here.
        with catch_write_errors():
            app(prog_name="relay-sdk")
    except UnwritableError as error:
        print_message(str(error))
        sys.exit(1)
