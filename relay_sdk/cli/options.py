"""Options and arguments that several commands have, and the client they ask for."""

from typing import Annotated, TypeAlias

import typer
from msgspec import Raw

from relay_sdk._http.address import check_token
from relay_sdk.cli.outcome import mistakes
from relay_sdk.client import Client
from relay_sdk.job import Queue

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", envvar="RELAY_URL", show_envvar=True, help="Where the server is."
    ),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="RELAY_TOKEN",
        show_envvar=True,
        help="For a server that wants one. Other programs see it here: better use $RELAY_TOKEN.",
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


def connect(url: str | None, token: str | None) -> Client:
    """Make a client."""
    check_option(token)
    with mistakes("--url: "):
        return Client(url, token=token or None)


def check_option(token: str | None) -> None:
    """Refuse a token that cannot be sent."""
    if token:
        with mistakes():
            check_token("--token", token)


def verbatim(name: str) -> Queue[Raw, Raw]:
    """Make a queue whose payloads and states are JSON text, left as it is."""
    with mistakes():
        return Queue(name, payload=Raw, state=Raw)
