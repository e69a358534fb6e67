"""Options and arguments that several commands share, and the client made from them."""

from typing import Annotated, TypeAlias

import typer
from msgspec import Raw

from relay_sdk._http.address import check_token
from relay_sdk.cli.errors import usage_errors
from relay_sdk.client import Client
from relay_sdk.job import Queue

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", envvar="RELAY_URL", show_envvar=True, help="The URL of the server."
    ),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="RELAY_TOKEN",
        show_envvar=True,
        help="The token of the server. Other users can see it here: prefer $RELAY_TOKEN.",
    ),
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log more than warnings to stderr.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
QueueName: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)
]
JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)
]


def connect(url: str | None, token: str | None) -> Client:
    """Return a client of the server."""
    check_token_option(token)
    with usage_errors("--url: "):
        return Client(url, token=token or None)


def check_token_option(token: str | None) -> None:
    """Raise `UsageError` if the token cannot be sent in a header."""
    if token:
        with usage_errors():
            check_token("--token", token)


def raw_queue(name: str) -> Queue[Raw, Raw]:
    """Return a queue whose payloads and states are JSON text that is passed on unchanged."""
    with usage_errors():
        return Queue(name, payload=Raw, state=Raw)
