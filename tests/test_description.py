"""openapi/relay.yaml is valid, complete and exemplified, and the generated functions follow it."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
import yaml
from relay_api import Client
from relay_api.models import JobV1, JobV2, NewJobV1, NewJobV2

# Development tools: the tests of the wheel do without them.
openapi_spec_validator = pytest.importorskip("openapi_spec_validator")
openapi_schema_validator = pytest.importorskip("openapi_schema_validator")

ROOT = Path(__file__).resolve().parent.parent
SOURCE = yaml.safe_load((ROOT / "openapi" / "relay.yaml").read_text(encoding="utf-8"))

JOB: dict[str, Any] = {"queue": "é/q", "id": "a b+%2F"}
ITS_RUN = JOB | {"run_id": UUID("0b7ce8cb-1a71-4b0e-9d57-4a2a3bd4a4b9")}
V1 = NewJobV1.from_dict({"queue": "q", "id": "1", "timeout": 30, "payload": None})
V2 = NewJobV2.from_dict({"queue": "q", "id": "1", "timeout": 30, "payload": None})

REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "check_health": ("GET", "/health", {}),
    "head_health": ("HEAD", "/health", {}),
    "enqueue_v1": ("POST", "/v1/queues/jobs", {"body": [V1]}),
    "reschedule_v1": ("PUT", "/v1/queues/jobs", {"body": V1}),
    "next_v1": ("GET", "/v1/queues/{queue}/jobs", {"queue": JOB["queue"]}),
    "exists_v1": ("HEAD", "/v1/queues/{queue}/jobs/{id}", JOB),
    "get_v1": ("GET", "/v1/queues/{queue}/jobs/{id}", JOB),
    "heartbeat_v1": ("PATCH", "/v1/queues/{queue}/jobs/{id}", JOB),
    "remove_v1": ("DELETE", "/v1/queues/{queue}/jobs/{id}", JOB),
    "enqueue_v2": ("POST", "/v2/queues/jobs", {"body": [V2]}),
    "next_v2": ("GET", "/v2/queues/{queue}/jobs", {"queue": JOB["queue"]}),
    "exists_v2": ("HEAD", "/v2/queues/{queue}/jobs/{id}", JOB),
    "get_v2": ("GET", "/v2/queues/{queue}/jobs/{id}", JOB),
    "remove_v2": ("DELETE", "/v2/queues/{queue}/jobs/{id}", JOB),
    "heartbeat_v2": ("PATCH", "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}", ITS_RUN),
    "complete_v2": ("DELETE", "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}", ITS_RUN),
    "requeue_v2": (
        "PUT",
        "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}",
        ITS_RUN | {"body": [V2]},
    ),
}


def inlined(node: Any) -> Any:
    """Return the node with what its references name in their place."""
    if isinstance(node, list):
        return [inlined(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: inlined(value) for key, value in node.items()}
    target = SOURCE
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return inlined(target)


OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, item in inlined(SOURCE["paths"]).items()
    for method, operation in item.items()
    if method != "parameters"
}


def contents() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield operation, "body" or status, media type and its content, for each that there is."""
    for name, (_, _, operation) in OPERATIONS.items():
        for place, holder in {
            "body": operation.get("requestBody", {}),
            **operation["responses"],
        }.items():
            for media_type, content in holder.get("content", {}).items():
                yield name, place, media_type, content


def examples(content: dict[str, Any]) -> list[Any]:
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


def test_the_description_is_valid_openapi() -> None:
    openapi_spec_validator.validate(SOURCE)


def test_no_text_is_cut_off_at_a_comma() -> None:
    """In `{description: a, b}` YAML takes b for a key, and a schema may have any key."""

    def keys(node: Any) -> Iterator[str]:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield str(key)
            if isinstance(value, dict | list):
                yield from keys(value)

    assert [key for key in keys(SOURCE) if " " in key] == []


def test_every_operation_is_described() -> None:
    assert {name: found[:2] for name, found in OPERATIONS.items()} == {
        name: (method, path) for name, (method, path, _) in REQUESTS.items()
    }
    for _, path, operation in OPERATIONS.values():
        assert operation["tags"] == [path.split("/")[1]]
        assert operation["summary"].endswith(".")
        assert operation["description"]
        assert all(response["description"] for response in operation["responses"].values())


def test_head_on_a_next_path_is_left_out_because_it_claims_jobs() -> None:
    for version in ("v1", "v2"):
        assert "head" not in SOURCE["paths"][f"/{version}/queues/{{queue}}/jobs"]


@pytest.mark.parametrize(
    ("media_type", "content"), [pytest.param(*c[2:], id=f"{c[0]}-{c[1]}") for c in contents()]
)
def test_every_content_has_examples_that_fit_it(media_type: str, content: dict[str, Any]) -> None:
    validator = openapi_schema_validator.OAS31Validator(
        content["schema"], format_checker=openapi_schema_validator.oas31_format_checker
    )

    assert media_type in ("application/json", "text/plain")
    assert examples(content)
    for example in examples(content):
        validator.validate(example)


def call(name: str, reply: httpx.Response) -> tuple[httpx.Request, Any]:
    """Call a generated function; return what it sends and what it reads from the reply."""
    sent: list[httpx.Request] = []

    def transport(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return reply

    _, path, arguments = REQUESTS[name]
    module = importlib.import_module(f"relay_api.api.{path.split('/')[1]}.{name}")
    with httpx.Client(base_url="http://relay", transport=httpx.MockTransport(transport)) as http:
        client = Client("http://relay").set_httpx_client(http)
        parsed = module.sync_detailed(client=client, **arguments).parsed
    return sent[0], parsed


@pytest.mark.parametrize("name", REQUESTS)
def test_generated_functions_send_what_is_described(name: str) -> None:
    method, path, arguments = REQUESTS[name]
    segments = {key: quote(str(value), safe="") for key, value in arguments.items()}
    described = OPERATIONS[name][2]
    defaults = {
        parameter["name"]: str(parameter["schema"]["default"])
        for parameter in described.get("parameters", [])
        if "default" in parameter["schema"]
    }

    request, _ = call(name, httpx.Response(400))

    assert request.method == method
    assert request.url.raw_path.decode().split("?")[0] == path.format(**segments)
    assert dict(request.url.params) == defaults
    assert ("content-type" in request.headers) == ("body" in arguments)


@pytest.mark.parametrize(
    ("name", "status", "media_type", "example"),
    [
        pytest.param(name, int(place), media_type, example, id=f"{name}-{place}-{number}")
        for name, place, media_type, content in contents()
        if place != "body"
        for number, example in enumerate(examples(content))
    ],
)
def test_generated_functions_read_what_is_described(
    name: str, status: int, media_type: str, example: Any
) -> None:
    if media_type == "text/plain":
        _, parsed = call(name, httpx.Response(status, text=example))
        assert parsed == example
    else:
        _, parsed = call(name, httpx.Response(status, json=example))
        got, given = (parsed, example) if isinstance(parsed, list) else ([parsed], [example])
        for job, fields in zip(got, given, strict=True):
            assert list(job.to_dict()) == list(fields)
            assert (job.id, job.payload, job.state) == (
                fields["id"],
                fields["payload"],
                fields["state"],
            )


@pytest.mark.parametrize(("model", "example"), [(JobV1, "JobV1"), (JobV2, "QueuedJobV2")])
def test_a_new_field_does_not_break_reading(model: type[JobV1] | type[JobV2], example: str) -> None:
    job = SOURCE["components"]["examples"][example]["value"]

    assert model.from_dict(job | {"priority": 1}) == model.from_dict(job)
