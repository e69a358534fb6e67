"""The command line as a module: `python -m relay_sdk.cli`."""

from relay_sdk.cli import main

main()
