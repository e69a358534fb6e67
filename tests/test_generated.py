"""Behaviour of the low-level client that needs the changed templates of the generator."""

import copy
import importlib
import json
import pickle
import pkgutil
from typing import Any
from uuid import UUID

import httpx
import pytest
import relay_api.api
from relay_api import AuthenticatedClient, Client
from relay_api.api.v2 import exists_v2, get_v2, heartbeat_v2, next_v2
from relay_api.errors import UnexpectedStatus
from relay_api.models import JobV2, NewJobV2
from relay_api.types import UNSET, Request

RUN = UUID("0b7ce8cb-1a71-4b0e-9d57-4a2a3bd4a4b9")
ENDPOINTS = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(relay_api.api.__path__, "relay_api.api.")
    if not module.ispkg
]


def client(answer: Any, **options: Any) -> Client:
    http = httpx.Client(base_url="http://relay", transport=httpx.MockTransport(answer))
    return Client("http://relay", **options).set_httpx_client(http)


@pytest.mark.parametrize(
    ("name", "sent"), [(".", "%2E"), ("..", "%2E%2E"), ("...", "..."), ("a/b", "a%2Fb")]
)
def test_a_name_stays_one_segment_of_the_path(name: str, sent: str) -> None:
    paths: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(404)

    get_v2.sync(name, name, client=client(answer))
    exists_v2.sync_detailed(name, name, client=client(answer))

    assert paths == [f"/v2/queues/{sent}/jobs/{sent}".encode()] * 2


@pytest.mark.parametrize(
    ("given", "content", "content_type"),
    [
        ({}, b"", None),
        ({"body": None}, b"null", "application/json"),
        (
            {"body": {"é": [1, 2**70]}},
            '{"é":[1,1180591620717411303424]}'.encode(),
            "application/json",
        ),
    ],
)
def test_null_is_a_body_and_no_body_has_no_type(
    given: dict[str, Any], content: bytes, content_type: str | None
) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    heartbeat_v2.sync("q", "x", RUN, client=client(answer), **given)

    assert (seen[0].content, seen[0].headers.get("content-type")) == (content, content_type)


def test_a_number_that_is_not_json_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        heartbeat_v2.sync("q", "x", RUN, client=client(pytest.fail), body=float("nan"))


@pytest.mark.parametrize("status", [299, 420, 520, 999])
def test_a_status_that_no_registry_knows_is_a_status(status: int) -> None:
    asked = client(lambda _: httpx.Response(status))
    response = next_v2.sync_detailed("q", client=asked)
    assert (response.status_code, response.parsed) == (status, None)

    asked.raise_on_unexpected_status = True
    with pytest.raises(UnexpectedStatus, match=str(status)):
        next_v2.sync("q", client=asked)


@pytest.mark.parametrize(
    "made", [Client("http://relay"), AuthenticatedClient("http://relay", token="secret")]
)
def test_every_client_has_a_timeout(made: Client | AuthenticatedClient) -> None:
    assert made.get_httpx_client().timeout == httpx.Timeout(10.0)
    assert made.get_async_httpx_client().timeout == httpx.Timeout(10.0)


def test_a_copy_of_a_model_leaves_out_what_it_left_out() -> None:
    job = NewJobV2(queue="q", id="x", timeout=30, payload=None)
    for twin in (copy.deepcopy(job), pickle.loads(pickle.dumps(job))):
        assert json.dumps(twin.to_dict()) == json.dumps(job.to_dict())
        assert twin.state is UNSET


def test_a_request_can_be_sent_with_other_code() -> None:
    request = next_v2.build_request("a/b", num_jobs=2)
    assert (request.method, request.target) == ("GET", "/v2/queues/a%2Fb/jobs?num_jobs=2")
    assert (request.headers, request.content) == ({}, None)


def test_a_query_is_written_as_the_server_reads_it() -> None:
    request = Request("GET", "/", {"flag": True, "text": "b&c", "count": 1})
    assert request.target == "/?flag=true&text=b%26c&count=1"


def test_the_documented_replies_are_described() -> None:
    assert {200: list[JobV2], 204: None, 400: str, 500: str, 503: str} == next_v2.REPLIES


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.__name__)
def test_every_endpoint_is_public_both_ways(endpoint: Any) -> None:
    assert callable(endpoint.build_request)
    assert callable(endpoint.sync_detailed)
    assert callable(endpoint.asyncio_detailed)
    assert 200 in endpoint.REPLIES or 202 in endpoint.REPLIES
