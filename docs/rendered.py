"""Render the help of the command line, and the operations and schemas of openapi/relay.yaml."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main
import yaml

from relay_sdk.cli.app import NAME, app

DESCRIPTION = Path(__file__).resolve().parent.parent / "openapi" / "relay.yaml"
WIDTH = 80
METHODS = ["get", "head", "post", "put", "patch", "delete"]


def commands() -> str:
    """Return the help of each command."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)  # noqa: S101
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "HTTP_", "REAP"))}
    with patch.dict(os.environ, clean | {"COLUMNS": str(WIDTH)}, clear=True):
        parent = group.make_context(NAME, [], resilient_parsing=True, terminal_width=WIDTH)
        shown = [_text(group.get_help(parent))]
        for name, command in group.commands.items():
            context = command.make_context(name, [], parent=parent, resilient_parsing=True)
            shown.append(f"### {NAME} {name}\n\n{_text(command.get_help(context))}")
    return "\n\n".join(shown)


def _text(shown: str) -> str:
    lines = re.sub(r"[^\S\n]+$", "", shown.strip(), flags=re.MULTILINE)
    return f"```text\n{lines}\n```"


def wire() -> str:
    """Return every operation and every schema of the description."""
    document = _description()
    shown = [document["info"]["description"].strip()]
    shown += ["## Operations"]
    for path, item in document["paths"].items():
        shown += [_operation(path, item, method) for method in METHODS if method in item]
    shown += ["## Schemas"]
    for name, schema in document["components"]["schemas"].items():
        shown += [f"### {name}", *_schema(schema)]
    return "\n\n".join(shown)


@cache
def _description() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return document


def _operation(path: str, item: Mapping[str, Any], method: str) -> str:
    operation = item[method]
    shown = [f"### {method.upper()} {path}", operation["summary"], operation["description"].strip()]
    parameters = [
        _found(one) for one in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    if parameters:
        rows = [
            f"| `{one['name']}` | {one['in']} | {_about(one['schema'])} |" for one in parameters
        ]
        shown.append("\n".join(["| parameter | in | |", "|---|---|---|", *rows]))
    if "requestBody" in operation:
        body = _found(operation["requestBody"])
        schema = body["content"]["application/json"]["schema"]
        shown.append(f"Body: {_type(schema)}. {body.get('description', '')}".strip())
    rows = [f"| {status} | {_reply(reply)} |" for status, reply in operation["responses"].items()]
    shown.append("\n".join(["| status | |", "|---|---|", *rows]))
    return "\n\n".join(shown)


def _reply(given: Mapping[str, Any]) -> str:
    reply = _found(given)
    content = reply.get("content", {}).get("application/json")
    return _line(reply["description"]) + (
        f" Content: {_type(content['schema'])}." if content else ""
    )


def _schema(schema: Mapping[str, Any]) -> Iterator[str]:
    if "description" in schema:
        yield schema["description"].strip()
    if "properties" not in schema:
        yield f"{_type(schema)}."
        return
    rows: list[str] = []
    for name, field in schema["properties"].items():
        always = "yes" if name in schema.get("required", []) else ""
        about = _line(field.get("description", ""))
        rows.append(f"| `{name}` | {_type(field)} | {always} | {about} |")
    yield "\n".join(["| field | type | always | |", "|---|---|---|---|", *rows])


def _about(schema: Mapping[str, Any]) -> str:
    found = _found(schema)
    default = f" Default: `{found['default']}`." if "default" in found else ""
    return f"{_type(schema)}. {_line(found.get('description', ''))}{default}"


def _type(schema: Mapping[str, Any]) -> str:
    """Return a short name of a schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("allOf", "oneOf", "anyOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return f"array of {_type(schema['items'])}"
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{words} ({schema['format']})" if "format" in schema else words


def _found(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference."""
    if "$ref" not in given:
        return given
    place: Any = _description()
    for part in given["$ref"].removeprefix("#/").split("/"):
        place = place[part]
    found: Mapping[str, Any] = place
    return found


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


RENDERED: dict[str, Callable[[], str]] = {"commands": commands, "wire": wire}
