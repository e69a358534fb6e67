"""Reading, testing for and deleting one job by its queue and id."""

import pytest

from .api import Api

NAMES = ["a/b", "a+b", "a b", "%2F", "%", "naïve", "☃𝄞", "a?b", "a#b", ".", "..", "a&b=c",
         "'; drop table jobs --", "\n", " ", "\x7f", "jobs", "run-id", "a\\b"]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unknown_job_is_404_and_empty(api: Api, method: str) -> None:
    answer = api.wire.send(method, api.path("x"))
    assert (answer.status, answer.body, answer.content_type) == (404, b"", None)


def test_a_job_exists_queued_and_in_flight(api: Api) -> None:
    api.stored()
    for _ in ["queued", "in flight"]:
        answer = api.wire.send("HEAD", api.path("x"))
        assert (answer.status, answer.body) == (200, b"")
        api.next()


def test_a_job_is_read_queued_and_in_flight_as_one_object(api: Api) -> None:
    queued = api.stored()
    assert queued["id"] == "x"
    (in_flight,) = api.taken()
    assert api.row() == in_flight


def test_reading_changes_nothing(api: Api) -> None:
    before = api.stored()
    api.wire.wait(0.01)
    assert api.row() == before


def test_deleting_nothing_is_200(api: Api) -> None:
    answer = api.remove()
    assert (answer.status, answer.body, answer.content_type) == (200, b"", None)


def test_a_queued_job_is_deleted(api: Api) -> None:
    api.stored()
    assert api.remove().status == 200
    assert not api.exists()
    assert api.next().status == 204


def test_a_job_in_flight_is_deleted(api: Api) -> None:
    job = api.claimed()
    assert api.remove().status == 200
    assert not api.exists()
    assert api.heartbeat(job).status == 404


def test_a_job_is_deleted_with_no_regard_to_others(api: Api) -> None:
    api.stored("x")
    api.stored("y")
    api.stored("x", queue=f"{api.queue}-other")
    api.remove("x")
    assert api.exists("y")
    assert api.get("x", f"{api.queue}-other").status == 200


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_any_name_is_an_id_when_percent_encoded(api: Api, name: str) -> None:
    assert api.stored(name)["id"] == name
    assert api.exists(name)
    (job,) = api.taken()
    assert job["id"] == name
    assert api.heartbeat(job, state=1).status == 202
    assert api.row(name)["state"] == 1
    assert api.remove(name).status == 200
    assert not api.exists(name)


@pytest.mark.parametrize("name", [".", ".."])
def test_dot_segments_are_not_resolved(api: Api, name: str) -> None:
    api.stored(name)
    answer = api.wire.send("GET", f"{api.next_path()}/{name}")
    assert (answer.status, answer.json["id"]) == (200, name)


@pytest.mark.parametrize(
    ("segment", "id"),
    [
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%2bb", "a+b"),
        ("%61", "a"),
        ("%252F", "%2F"),
        ("%zz", "%zz"),
        ("%4", "%4"),
        ("a:b@c;d,e=f!$&'()*~", "a:b@c;d,e=f!$&'()*~"),
    ],
)
def test_a_segment_is_decoded_once(api: Api, segment: str, id: str) -> None:
    api.stored(id)
    answer = api.wire.send("GET", f"{api.next_path()}/{segment}")
    assert (answer.status, answer.json["id"]) == (200, id)


def test_a_plus_is_not_a_space(api: Api) -> None:
    api.stored("a b")
    assert api.wire.send("GET", f"{api.next_path()}/a+b").status == 404


def test_a_query_is_not_part_of_the_id(api: Api) -> None:
    api.stored()
    assert api.wire.send("GET", f"{api.path('x')}?a=b").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_an_id_that_is_not_utf8_is_400(api: Api, method: str) -> None:
    answer = api.wire.send(method, f"{api.next_path()}/a%ffb")
    assert answer.status == 400
    assert answer.text == ("" if method == "HEAD" else "Invalid URL: Invalid UTF-8 in `id`")


def test_a_queue_that_is_not_utf8_is_400(api: Api) -> None:
    for target in [f"{api.root}/%ff/jobs", f"{api.root}/%ff/jobs/x", f"{api.root}/%ff/jobs/%ff"]:
        answer = api.wire.send("GET", target)
        assert (answer.status, answer.text) == (400, "Invalid URL: Invalid UTF-8 in `queue`")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_nul_in_a_path_is_422(api: Api, method: str) -> None:
    for target in [f"{api.next_path()}/a%00b", f"{api.root}/a%00b/jobs/x"]:
        answer = api.wire.send(method, target)
        assert answer.status == 422
        assert answer.text.startswith("" if method == "HEAD" else "Backend error: ")


def test_a_nul_in_the_queue_of_next_is_refused(api: Api) -> None:
    # Deliberately stricter: a real server blames its database.
    status, text = {
        "relay-rs": (500, "Backend error: "),
        "relay": (500, "Backend error: "),
        "local": (400, "Invalid URL: "),
    }[api.wire.flavor]
    answer = api.next(queue="a\0b")
    assert answer.status == status
    assert answer.text.startswith(text)
