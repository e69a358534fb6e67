"""Finding out which version of the API to speak."""

import pytest

from relay_sdk import RequestRejectedError, ServerBusyError, TransportError, UnexpectedStatusError
from relay_sdk._flow import Reply
from relay_sdk._operations import exists, find_api, take
from relay_sdk._wire import v1, v2

from .flows import LOST_REPLY, REFUSED, play, policy, reply

SMALL = "Failed to deserialize query string: Integer is too small to store in target integer type"
DOWN = "Backend error: error connecting to server. Is retryable: false."


def test_a_server_that_refuses_to_hand_out_no_jobs_speaks_v2() -> None:
    played = play(find_api(policy("auto"), "emails"), reply(400, SMALL))
    assert played.result is v2
    (call,) = played.calls
    assert (call.method, call.target) == ("GET", "/v2/queues/relay_sdk/jobs?num_jobs=0")


def test_a_server_without_the_route_speaks_v1() -> None:
    assert play(find_api(policy("auto"), "emails"), reply(404)).result is v1


@pytest.mark.parametrize(("answer", "version"), [(reply(404), "v1"), (reply(400, SMALL), "v2")])
def test_a_client_asks_once(answer: Reply, version: str) -> None:
    shared = policy("auto")
    assert play(exists(shared, "emails", "x"), answer, reply(200)).result is True
    later = play(take(shared, "emails", 1, 0), reply(204))
    assert [call.target for call in later.calls] == [f"/{version}/queues/emails/jobs?num_jobs=1"]


@pytest.mark.parametrize("choice", ["v1", "v2"])
def test_a_client_that_was_told_does_not_ask(choice: str) -> None:
    assert play(find_api(policy(choice), "emails")).result.__name__.endswith(choice)


@pytest.mark.parametrize("answer", [reply(404, "<html>"), reply(400, "<html>"), reply(400)])
def test_what_is_not_an_answer_of_relay_decides_nothing(answer: object) -> None:
    shared = policy("auto", retries=0)
    assert isinstance(play(find_api(shared, "emails"), answer).error, TransportError)
    assert shared.spoken.api is None
    assert play(find_api(shared, "emails"), reply(400, SMALL)).result is v2


@pytest.mark.parametrize("busy", [reply(503), reply(429), reply(500, DOWN), LOST_REPLY, REFUSED])
def test_a_server_that_cannot_tell_now_is_asked_again(busy: object) -> None:
    played = play(find_api(policy("auto"), "emails"), busy, busy, reply(400, SMALL))
    assert played.result is v2
    assert played.waits == [0.1, 0.2]


def test_a_failure_names_what_the_question_was_for() -> None:
    for answers, kind in (
        ([reply(520)], UnexpectedStatusError),
        ([reply(204)], UnexpectedStatusError),
        ([reply(413, "no")], RequestRejectedError),
        ([reply(503)] * 4, ServerBusyError),
    ):
        played = play(exists(policy("auto"), "emails", "x"), *answers)
        assert isinstance(played.error, kind)
        assert "job 'x' in queue 'emails'" in str(played.error)
