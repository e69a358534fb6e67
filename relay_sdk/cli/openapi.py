"""Build the OpenAPI document of Relay with the types of an application's queues."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from itertools import chain, count
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import msgspec

from relay_sdk.cli.errors import UsageError
from relay_sdk.cli.json_schema import REF, Schema, is_list, is_object

Api: TypeAlias = Literal["v1", "v2"]
QUEUES = "x-relay-queues"
"""The key under which the document lists the schemas of each queue, for `relay-sdk check`."""
QUEUE = {"$ref": "#/components/parameters/queue"}
STATE = {"$ref": "#/components/requestBodies/State"}


def document(
    title: str, queues: Mapping[str, Mapping[str, Schema]], shared: Mapping[str, Schema], api: Api
) -> dict[str, Any]:
    """Return the document. Each route of a queue is repeated for each of the queues."""
    relay = msgspec.json.decode(files("relay_api").joinpath("relay.json").read_bytes())
    components: dict[str, dict[str, Any]] = _without_examples(relay["components"])
    schemas: dict[str, Schema] = components["schemas"]
    new_job, job = REF + f"NewJob{api.upper()}", REF + f"Job{api.upper()}"
    names = _names(queues)
    typed: dict[str, Any] = {}
    for queue, name in names.items():
        types = queues[queue]
        typed[f"New{name}Job"] = _typed(schemas[new_job.removeprefix(REF)], queue, types)
        typed[f"{name}Job"] = _typed(schemas[job.removeprefix(REF)], queue, types)
    if clashes := typed.keys() & shared.keys() | schemas.keys() & {*typed, *shared}:
        raise UsageError(
            f"the document has another schema that is named {min(clashes)!r}: rename the type"
        )
    schemas |= shared
    schemas |= typed
    every = {new_job: _one_of({queue: f"New{name}Job" for queue, name in names.items()})}
    components["requestBodies"] = _replaced(components["requestBodies"], every)
    paths: dict[str, Any] = {}
    for path, item in _without_examples(relay["paths"]).items():
        if not path.startswith((f"/{api}/", "/health")):
            continue
        if "{queue}" not in path:
            paths[path] = _replaced(item, every)
            continue
        for queue, name in names.items():
            routes = _replaced(item, {job: {"$ref": f"{REF}{name}Job"}})
            queue_path = path.replace("{queue}", quote(queue, safe="").replace(".", "%2E"))
            paths[queue_path] = _for_queue(routes, name, queues[queue]["state"])
    result: dict[str, Any] = relay | {
        "info": relay["info"] | {"title": title},
        "tags": [tag for tag in relay["tags"] if tag["name"] in (api, "health")],
        "paths": paths,
        QUEUES: queues,
    }
    return result | {"components": _used([paths, queues], components)}


def _names(queues: Mapping[str, object]) -> dict[str, str]:
    """Return an identifier for each queue: `EmailsDe` for `emails-de`."""
    names: dict[str, str] = {}
    for queue in queues:
        words = re.findall("[A-Za-z0-9]+", queue)
        name = "".join(word[0].upper() + word[1:] for word in words)
        name = name if name[:1].isalpha() else f"Queue{name}"
        numbered = (f"{name}{number}" for number in count(2))
        names[queue] = next(each for each in chain([name], numbered) if each not in names.values())
    return names


def _typed(job: Schema, queue: str, types: Mapping[str, Schema]) -> Schema:
    """Replace "any JSON" in the schema of a job by the types of a queue."""
    state = types["state"]
    properties = job["properties"] | {
        "queue": {"type": "string", "const": queue},
        "payload": types["payload"],
        "state": {"anyOf": [state, {"type": "null"}]} if state else state,
    }
    return job | {"properties": properties}


def _one_of(names: Mapping[str, str]) -> Schema:
    refs = {queue: REF + name for queue, name in names.items()}
    if len(refs) == 1:
        return {"$ref": min(refs.values())}
    return {
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "queue", "mapping": refs},
    }


def _for_queue(item: dict[str, Any], name: str, state: Schema) -> dict[str, Any]:
    """Specialize the routes of any queue for one queue."""
    item["parameters"] = [each for each in item["parameters"] if each != QUEUE]
    for operation in item.values():
        if not is_object(operation):
            continue
        operation["operationId"] += "_" + re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        if operation.get("requestBody") == STATE:
            content = {"application/json": {"schema": state}}
            operation["requestBody"] = {"description": "The state to save.", "content": content}
    return item


def _replaced(node: object, schemas: Mapping[str, Schema]) -> Any:
    """Copy a part of the document. Replace each reference that is a key of `schemas`."""
    if is_list(node):
        return [_replaced(each, schemas) for each in node]
    if not is_object(node):
        return node
    ref = node.get("$ref")
    if isinstance(ref, str) and ref in schemas:
        return schemas[ref]
    return {key: _replaced(value, schemas) for key, value in node.items()}


def _without_examples(node: object) -> Any:
    """Copy a part of the document without its examples, which would not match the types."""
    if is_list(node):
        return [_without_examples(each) for each in node]
    if not is_object(node):
        return node
    return {
        key: _without_examples(value)
        for key, value in node.items()
        if key not in ("example", "examples")
    }


def _used(result: object, components: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the components that `result` refers to, directly or indirectly."""
    wanted: dict[str, dict[str, Any]] = {kind: {} for kind in components}
    todo = list(_refs(result))
    while todo:
        _, _, kind, name = todo.pop().split("/")
        if name not in wanted[kind]:
            wanted[kind][name] = components[kind][name]
            todo += _refs(components[kind][name])
    return {kind: dict(sorted(found.items())) for kind, found in wanted.items() if found}


def _refs(node: object) -> Iterator[str]:
    if is_list(node):
        for each in node:
            yield from _refs(each)
    elif is_object(node):
        ref = node.get("$ref")
        if isinstance(ref, str) and ref.startswith("#/components/"):
            yield ref
        for value in node.values():
            yield from _refs(value)
