"""The command `relay-sdk`."""

import sys


def main() -> None:
    """Run the command of the arguments this program was started with."""
    try:
        from relay_sdk.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("relay-sdk: the command line needs typer: pip install 'relay-job-sdk[cli]'")
    from relay_sdk.cli.output import UnwritableError, say, writing

    try:
        with writing():  # the help too
            app(prog_name="relay-sdk")
    except UnwritableError as error:
        say(str(error))
        sys.exit(1)
