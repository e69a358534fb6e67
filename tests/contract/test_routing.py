"""Which paths and methods there are, and what the others answer."""

from uuid import uuid4

import pytest

from .api import Api
from .wire import Wire

QUERY_ERROR = "Failed to deserialize query string: "


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_empty(wire: Wire, method: str) -> None:
    answer = wire.send(method, "/health")
    assert (answer.status, answer.body, answer.content_type) == (200, b"", None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_health_refuses_other_methods(wire: Wire, method: str) -> None:
    answer = wire.send(method, "/health")
    assert (answer.status, answer.body) == (405, b"")
    assert answer.allow == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/health/",
        "/Health",
        "{root}",
        "{root}/",
        "{root}/q",
        "{root}/q/job",
        "{root}/q/Jobs",
        "{root}/q/jobs/",
        "{root}/q/jobs/x/",
        "{root}/q/jobs/x/run-id",
        "{root}/q/jobs/x/run-id/",
        "{root}/jobs/",
        "/{root}/q/jobs",
        "{root}//q/jobs",
        "{root}/q//jobs",
        "{root}/../health",
        "/v1/../health",
        "/V1/queues/jobs",
        "/v3/queues/jobs",
        "/v01/queues/q/jobs",
        "/v1/nope",
        "/v2/nope",
        "/enqueue",
        "/next?queue=q",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404_and_empty(api: Api, method: str, path: str) -> None:
    answer = api.wire.send(method, path.format(root=api.root))
    assert (answer.status, answer.body, answer.content_type) == (404, b"", None)


def test_a_run_id_path_is_unknown_to_v1(v1: Api) -> None:
    answer = v1.wire.send("PATCH", f"{v1.path('x')}/run-id/{uuid4()}")
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE", "OPTIONS"])
def test_the_enqueue_path_allows_post_and_on_v1_put(api: Api, method: str) -> None:
    answer = api.wire.send(method, api.enqueue_path)
    assert (answer.status, answer.body) == (405, b"")
    assert answer.allow == {"v1": {"POST", "PUT"}, "v2": {"POST"}}[api.version]


def test_v2_has_no_reschedule(v2: Api) -> None:
    answer = v2.wire.send("PUT", v2.enqueue_path, json=v2.job())
    assert (answer.status, answer.allow) == (405, {"POST"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_next_path_allows_get(api: Api, method: str) -> None:
    answer = api.wire.send(method, api.next_path())
    assert (answer.status, answer.body) == (405, b"")
    # The local server is stricter: HEAD would claim a job that nobody sees.
    real = {"GET", "HEAD"}
    assert answer.allow == {"relay-rs": real, "relay": real, "local": {"GET"}}[api.flavor]


def test_head_on_the_next_path_claims_a_job_but_on_the_local_server(api: Api) -> None:
    api.stored()
    answer = api.wire.send("HEAD", api.next_path())
    assert answer.body == b""
    if api.flavor == "local":
        assert (answer.status, answer.allow) == (405, {"GET"})
        assert api.next().status == 200
    else:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert int(answer.headers["content-length"]) > 0
        assert api.next().status == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_the_job_path_allows_head_get_delete_and_on_v1_patch(api: Api, method: str) -> None:
    answer = api.wire.send(method, api.path("x"))
    assert (answer.status, answer.body) == (405, b"")
    common = {"HEAD", "GET", "DELETE"}
    assert answer.allow == {"v1": common | {"PATCH"}, "v2": common}[api.version]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_the_run_path_allows_put_patch_delete(v2: Api, method: str) -> None:
    answer = v2.wire.send(method, f"{v2.path('x')}/run-id/{uuid4()}")
    assert (answer.status, answer.body) == (405, b"")
    assert answer.allow == {"PUT", "PATCH", "DELETE"}


def test_a_method_is_refused_before_its_path_is_read(api: Api) -> None:
    assert api.wire.send("POST", f"{api.next_path()}/%ff").status == 405


def test_jobs_is_a_legal_queue_name(api: Api) -> None:
    key = str(uuid4())
    assert api.stored(key, queue="jobs", run_at="2999-01-01T00:00:00Z")["queue"] == "jobs"
    # A bad query shows that the route is there and takes nobody's job.
    assert api.next("x", queue="jobs").text.startswith(QUERY_ERROR)


def test_an_empty_queue_is_a_queue(api: Api) -> None:
    assert api.next("x", queue="").text.startswith(QUERY_ERROR)
    key = str(uuid4())
    assert api.stored(key, queue="")["queue"] == ""
    if api.wire.own:
        (job,) = api.next(queue="").json
        assert job["id"] == key
        assert api.next(queue="").status == 204


def test_an_empty_id_is_reached_by_next_alone_and_by_the_run(api: Api) -> None:
    # Without retries the reaper deletes it where nothing else can.
    assert api.enqueue(api.job("", timeout=0, max_retries=0)).status == 202
    assert api.get("").status == 404
    (job,) = api.taken()
    assert job["id"] == ""
    if api.version == "v2":
        assert api.heartbeat(job).status == 202
        assert api.complete(job).status == 200


def test_an_empty_run_id_is_no_route(v2: Api) -> None:
    answer = v2.wire.send("PATCH", f"{v2.path('x')}/run-id/")
    assert (answer.status, answer.body) == (404, b"")


def test_path_errors_come_before_query_errors_before_body_errors(v2: Api) -> None:
    run = v2.path("x") + "/run-id/"
    twice = "?mode=ignore&mode=ignore"
    answer = v2.wire.send("PUT", f"{run}abc{twice}", body=b"{", content_type="text/plain")
    assert (answer.status, answer.text[:12]) == (400, "Invalid URL:")
    answer = v2.wire.send("PUT", f"{run}{uuid4()}{twice}", body=b"{", content_type="text/plain")
    assert (answer.status, answer.text[: len(QUERY_ERROR)]) == (400, QUERY_ERROR)
    answer = v2.wire.send("PUT", f"{run}{uuid4()}", body=b"{", content_type="text/plain")
    assert answer.status == 415
