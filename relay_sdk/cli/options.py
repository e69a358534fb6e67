"""Options and arguments that several commands have, and the client they ask for."""

from typing import Annotated, TypeAlias

import typer
from msgspec import Raw

from relay_sdk.cli.outcome import mistakes
from relay_sdk.client import Client
from relay_sdk.job import Queue

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", envvar="RELAY_URL", show_envvar=True, help="Where the server is."
    ),
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log to stderr what is done, not only trouble.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
QueueName: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)
]
JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)
]


def connect(url: str | None) -> Client:
    """Make a client."""
    with mistakes("--url: "):
        return Client(url)


def verbatim(name: str) -> Queue[Raw, Raw]:
    """Make a queue whose payloads and states are JSON text, left as it is."""
    with mistakes():
        return Queue(name, payload=Raw, state=Raw)
