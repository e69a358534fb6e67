"""The commands that write the types of a module's queues for others, and compare them."""

import sys
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import attrs
import msgspec
import typer

from relay_sdk.cli.compare import Finding, compare
from relay_sdk.cli.imports import find
from relay_sdk.cli.openapi import QUEUES, Api, document
from relay_sdk.cli.options import Json
from relay_sdk.cli.outcome import NO, Mistake
from relay_sdk.cli.output import json_text, say, show, show_json, writing
from relay_sdk.cli.schemas import Schema, schemas_of
from relay_sdk.job import Queue

Module = Annotated[
    str, typer.Argument(metavar="MODULE", help="Where the queues are declared.", show_default=False)
]


class _Components(msgspec.Struct):
    schemas: dict[str, Schema] = {}


class _Document(msgspec.Struct, rename={"queues": QUEUES}):
    """What is read of a document that `schema` has written."""

    queues: dict[str, dict[str, Schema]]
    components: _Components


def schema(
    module: Module,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is stdout.")
    ] = "-",
    api: Annotated[Api, typer.Option(help="The version of Relay's API.")] = "v2",
) -> None:
    """Write an OpenAPI document of Relay with the types of a module's queues in it.

    From it, programs in other languages generate a typed client. The payloads and states are JSON
    Schemas in components/schemas. Keep the document beside the module: see relay-sdk check.
    """
    queues = _queues(module)
    types, shared = schemas_of(queues)
    text = msgspec.json.encode(document(f"The jobs of {module}", types, shared, api))
    laid_out = json_text(text)
    if output == "-":
        with writing():
            typer.echo(laid_out)
        return
    try:
        Path(output).write_text(f"{laid_out}\n", encoding="utf-8")
    except OSError as error:
        raise Mistake(f"cannot write {output}: {error.strerror}") from error
    say(f"wrote {output}: {', '.join(types)}")


def check(
    module: Module,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What relay-sdk schema wrote; - is stdin.")
    ],
    json: Json = False,
) -> None:
    """Compare the types of a module's queues with those of an earlier document.

    Says which change breaks jobs that were enqueued before, or whose state was saved before, such
    as a new required field. Status 1 if one does. What cannot be told is said, and is status 0.
    """
    old = _read(file)
    types, shared = schemas_of(_queues(module))
    findings: list[tuple[str, Finding]] = []
    for queue, parts in old.queues.items():
        if queue not in types:
            findings.append((queue, Finding("", "it is not declared any more")))
            continue
        for part, form in parts.items():
            found = compare(form, old.components.schemas, types[queue][part], shared)
            findings += ((f"{queue} {part}", finding) for finding in found)
    if json:
        show_json([{"of": of, **attrs.asdict(finding)} for of, finding in findings])
    else:
        for of, finding in findings:
            verdict = "breaks" if finding.breaks else "cannot tell"
            show(f"{verdict}: {of} {finding.at}: {finding.text}".replace(" :", ":"))
        if not findings:
            show("no change breaks jobs that are waiting")
    if any(finding.breaks for _, finding in findings):
        raise typer.Exit(NO)


def _queues(module: str) -> list[Queue[Any, Any]]:
    """Import the queues that are names in a module, by their own names."""
    found = find(module)
    queues: dict[str, Queue[Any, Any]] = {}
    for queue in filter(_is_queue, vars(found).values()):
        other = queues.setdefault(queue.name, queue)
        if other.__reduce__() != queue.__reduce__():
            raise Mistake(f"{module!r} declares two queues that are called {queue.name!r}")
    if not queues:
        raise Mistake(f"{module!r} declares no queue")
    return [queue for _, queue in sorted(queues.items())]


def _is_queue(value: object) -> TypeGuard[Queue[Any, Any]]:
    return isinstance(value, Queue)


def _read(file: str) -> _Document:
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return msgspec.json.decode(text, type=_Document)
    except OSError as error:
        raise Mistake(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Mistake(f"{file} is not what relay-sdk schema writes: {error}") from error
