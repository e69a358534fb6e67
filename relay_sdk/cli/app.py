"""The typer application: every command with its name and examples."""

import platform
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer

from relay_sdk.cli.demo import demo
from relay_sdk.cli.doctor import doctor
from relay_sdk.cli.enqueue import enqueue
from relay_sdk.cli.errors import with_exit_status
from relay_sdk.cli.jobs import exists, get, next_jobs, remove
from relay_sdk.cli.move import move
from relay_sdk.cli.queues import purge, queues
from relay_sdk.cli.schema import check, schema
from relay_sdk.cli.serve import Serve, serve
from relay_sdk.cli.work import work

NAME = "relay-sdk"

STATUSES = """\b
Exit status:
  0    done, or yes
  1    no: no such job, none ready, refused, or a problem was found
  2    usage error: wrong arguments or input
  3    the server cannot be reached or is busy: try again
  130  interrupted"""

app: typer.Typer = typer.Typer(
    name=NAME,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        version, python = metadata.version("relay-job-sdk"), platform.python_version()
        typer.echo(f"{NAME} {version}, Python {python}")
        raise typer.Exit


@app.callback(help="Work with Relay, the HTTP job server, at --url or $RELAY_URL.", epilog=STATUSES)
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None: ...


def _add(name: str, command: Callable[..., None], *examples: str, **settings: Any) -> None:
    lines = ["\b", "Examples:", *(f"  relay-sdk {name} {example}" for example in examples)]
    app.command(name, epilog="\n".join(lines), **settings)(with_exit_status(command))


_add("demo", demo, "")
_add(
    "serve",
    serve,
    "--db jobs.db --port 8080",
    cls=Serve,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
_add(
    "enqueue",
    enqueue,
    "emails jobs.jsonl",
    "emails mails.json --payload --id-field number",
    "emails - --payload --id-prefix 2030-01-01- < mails.jsonl",
)
_add("next", next_jobs, "emails -n 10 --wait 5", "emails -n 1000 --complete > done.jsonl")
_add("get", get, "emails welcome-1", "emails welcome-1 --json")
_add("exists", exists, "emails welcome-1 && echo still there")
_add("remove", remove, "emails welcome-1")
_add("queues", queues, "", "--watch", "--json")
_add("purge", purge, "emails", "emails --yes")
_add(
    "work",
    work,
    "mails:worker --concurrency 4",
    "mails:worker --processes 3 --verbose",
    "mails:worker --reload",
)
_add("move", move, "sqlite:relay.db postgresql://relay@db.example/relay")
_add("schema", schema, "mails > mails.json", "shop.queues --output shop.json --api v1")
_add("check", check, "mails mails.json && ./deploy", "mails mails.json --json")
_add("doctor", doctor, "--url http://127.0.0.1:8080", "--json")
