"""What pages show of the code: the command line's help, and the wire, from openapi/relay.yaml."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DESCRIPTION = Path(__file__).resolve().parent.parent / "openapi" / "relay.yaml"
METHODS = ["get", "head", "post", "put", "patch", "delete"]


def commands() -> str:
    """Write the help of each command."""
    listed = _help()
    names = re.findall(r"^  ([a-z]+)  ", listed.partition("Commands:")[2], re.MULTILINE)
    shown = [f"```text\n{listed}```"]
    shown += [f"### relay-sdk {name}\n\n```text\n{_help(name)}```" for name in names]
    return "\n\n".join(shown)


def _help(*command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "HTTP_PORT"))}
    done = subprocess.run(
        [sys.executable, "-m", "relay_sdk.cli", *command, "--help"],
        env=environment | {"COLUMNS": "88", "TERM": "dumb", "NO_COLOR": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return re.sub(r"[^\S\n]+$", "", done.stdout.strip(), flags=re.MULTILINE) + "\n"


def wire() -> str:
    """Write every operation and every schema of the description."""
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
    """Name a schema in a word or two."""
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
