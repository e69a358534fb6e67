"""The `schema` and `check` commands: export the types of queues, and compare them."""

import sys
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import attrs
import msgspec
import typer

from relay_sdk.cli.compatibility import Finding, compare
from relay_sdk.cli.errors import FAILURE, UsageError
from relay_sdk.cli.importer import import_target
from relay_sdk.cli.json_schema import Schema, schemas_of
from relay_sdk.cli.openapi import QUEUES, Api, document
from relay_sdk.cli.options import Json
from relay_sdk.cli.output import (
    catch_write_errors,
    json_text,
    print_json,
    print_message,
    print_text,
)
from relay_sdk.job import Queue

Module = Annotated[
    str,
    typer.Argument(
        metavar="MODULE", help="The module that declares the queues.", show_default=False
    ),
]


class _Components(msgspec.Struct):
    schemas: dict[str, Schema] = {}


class _Document(msgspec.Struct, rename={"queues": QUEUES}):
    """The parts of a document of `relay-sdk schema` that `check` needs."""

    queues: dict[str, dict[str, Schema]]
    components: _Components


def schema(
    module: Module,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Write to this file; - is stdout.")
    ] = "-",
    api: Annotated[Api, typer.Option(help="The version of Relay's API.")] = "v2",
) -> None:
    """Write an OpenAPI document of typed queues.

    It is the description of Relay with the types of the queues in a module. Use it to generate a
    typed client in another language. The payloads and states are JSON Schemas in
    components/schemas. Commit the document beside the module: see relay-sdk check.
    """
    queues = _queues(module)
    types, shared = schemas_of(queues)
    text = msgspec.json.encode(document(f"The jobs of {module}", types, shared, api))
    formatted = json_text(text)
    if output == "-":
        with catch_write_errors():
            typer.echo(formatted)
        return
    try:
        Path(output).write_text(f"{formatted}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    print_message(f"wrote {output}: {', '.join(types)}")


def check(
    module: Module,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A document of relay-sdk schema; - is stdin.")
    ],
    json: Json = False,
) -> None:
    """Find breaking changes of the types of queues.

    Compare the queues of a module with those in an earlier document. Report each change that breaks
    jobs enqueued, or states saved, by the earlier version, such as a new required field. Exit
    status 1 if there is one. Uncertain changes are reported with status 0.
    """
    old = _read(file)
    types, shared = schemas_of(_queues(module))
    findings: list[tuple[str, Finding]] = []
    for queue, parts in old.queues.items():
        if queue not in types:
            findings.append((queue, Finding("", "it is no longer declared")))
            continue
        for part, form in parts.items():
            found = compare(form, old.components.schemas, types[queue][part], shared)
            findings += ((f"{queue} {part}", finding) for finding in found)
    if json:
        print_json([{"of": of, **attrs.asdict(finding)} for of, finding in findings])
    else:
        for of, finding in findings:
            verdict = "breaks" if finding.breaks else "cannot tell"
            print_text(f"{verdict}: {of} {finding.at}: {finding.text}".replace(" :", ":"))
        if not findings:
            print_text("no change breaks jobs that are waiting")
    if any(finding.breaks for _, finding in findings):
        raise typer.Exit(FAILURE)


def _queues(module: str) -> list[Queue[Any, Any]]:
    """Import a module and return the queues that are attributes of it, sorted by name."""
    found = import_target(module)
    queues: dict[str, Queue[Any, Any]] = {}
    for queue in filter(_is_queue, vars(found).values()):
        other = queues.setdefault(queue.name, queue)
        if other.__reduce__() != queue.__reduce__():
            raise UsageError(f"{module!r} declares two different queues named {queue.name!r}")
    if not queues:
        raise UsageError(f"{module!r} declares no queue")
    return [queue for _, queue in sorted(queues.items())]


def _is_queue(value: object) -> TypeGuard[Queue[Any, Any]]:
    return isinstance(value, Queue)


def _read(file: str) -> _Document:
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return msgspec.json.decode(text, type=_Document)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not a document of relay-sdk schema: {error}") from error
