"""What is asked again, after how long, and what is not."""

from collections.abc import Callable
from typing import Any

import pytest

from relay_sdk import (
    JobNotFoundError,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
)
from relay_sdk._base.flow import Flow, Response
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.operations import enqueue, exists, get, remove
from relay_sdk._engine.polling import poll
from relay_sdk._engine.run import ThreadRun

from ..support.flow_player import (
    JOBS,
    LOST_REPLY,
    REFUSED,
    config,
    missing_job,
    play,
    received,
    reply,
    shown,
)

DOWN = "Backend error: error connecting to server: refused. Is retryable: false."

Operation = Callable[[ClientConfig], Flow[Any]]

OPERATIONS: dict[str, Operation] = {
    "enqueue": lambda config: enqueue(config, [JOBS.job("x", 1)], "unique"),
    "next": lambda config: poll(config, "emails", 1),
    "get": lambda config: get(config, "emails", "x"),
    "exists": lambda config: exists(config, "emails", "x"),
    "remove": lambda config: remove(config, "emails", "x"),
    "complete": lambda config: ThreadRun(config, received(), 0.0).complete(),
    "heartbeat": lambda config: ThreadRun(config, received(), 0.0).heartbeat(None),
    "reschedule": lambda config: ThreadRun(config, received(), 0.0).reschedule(None),
    "requeue": lambda config: ThreadRun(config, received(), 0.0).requeue(
        [JOBS.job("y", 1)], "unique"
    ),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
every_version = pytest.mark.parametrize("version", ["v1", "v2"])


@every_operation
@pytest.mark.parametrize("status", [408, 429, 500, 501, 502, 503, 504, 520, 999])
def test_a_busy_server_is_asked_again(operation: Operation, status: int) -> None:
    played = play(operation(config()), *[reply(status, "no")] * 4)
    assert played.waits == [0.1, 0.2, 0.4]
    assert isinstance(played.error, ServerBusyError)
    assert (played.error.status, played.error.message) == (status, "no")
    assert "queue 'emails'" in str(played.error)


@every_operation
@pytest.mark.parametrize("failure", [REFUSED, LOST_REPLY])
def test_a_server_that_does_not_answer_is_asked_again(
    operation: Operation, failure: TransportError
) -> None:
    played = play(operation(config()), *[failure] * 4)
    assert played.waits == [0.1, 0.2, 0.4]
    assert isinstance(played.error, TransportError)
    assert "queue 'emails'" in str(played.error)


@every_operation
@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_request_is_not_sent_again(operation: Operation, status: int) -> None:
    played = play(operation(config()), reply(status, "because"))
    assert isinstance(played.error, RequestRejectedError)
    assert (played.error.status, played.error.message) == (status, "because")


@every_operation
@pytest.mark.parametrize("status", [201, 206])
def test_a_success_that_relay_does_not_know_is_no_reply(operation: Operation, status: int) -> None:
    played = play(operation(config()), *[reply(status, "what?")] * 4)
    assert isinstance(played.error, TransportError)
    assert played.error.sent


@every_operation
@pytest.mark.parametrize("status", [199, 301, 302, 403, 405, 418])
def test_a_status_nobody_knows_is_not_asked_for_again(operation: Operation, status: int) -> None:
    played = play(operation(config()), reply(status, "what?"))
    assert isinstance(played.error, UnexpectedStatusError)
    assert (played.error.status, played.error.message) == (status, "what?")
    assert "base_url" in str(played.error)


@every_operation
def test_a_401_is_not_asked_for_again_and_may_lack_a_token(operation: Operation) -> None:
    played = play(operation(config()), reply(401, "who?"))
    assert isinstance(played.error, UnexpectedStatusError)
    assert "RELAY_TOKEN" in str(played.error)


@every_version
@pytest.mark.parametrize("status", [422, 500])
@pytest.mark.parametrize("name", ["next", "heartbeat", "complete"])
def test_a_database_that_is_away_is_only_busy_when_the_request_cannot_be_at_fault(
    name: str, status: int, version: str
) -> None:
    played = play(OPERATIONS[name](config(version)), *[reply(status, DOWN)] * 4)
    assert played.waits == [0.1, 0.2, 0.4]
    assert isinstance(played.error, ServerBusyError)


@pytest.mark.parametrize("name", ["enqueue", "requeue", "reschedule"])
def test_what_the_database_says_to_a_job_is_raised(name: str) -> None:
    played = play(OPERATIONS[name](config()), reply(422, DOWN))
    assert isinstance(played.error, RequestRejectedError)
    assert played.error.message == DOWN


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("0", 0.1), ("3600", 60), ("9" * 400, 60), ("soon", 0.1)]
)
def test_the_server_says_when_to_come_back_up_to_a_minute(asked: str, waited: float) -> None:
    busy = reply(429, "no", {"retry-after": asked})
    played = play(get(config(), "emails", "x"), busy, shown())
    assert played.waits == [waited]


NOW = "Tue, 01 Jan 2030 00:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("Tue, 01 Jan 2030 00:00:07 GMT", 7),
        ("Tuesday, 01-Jan-30 00:00:07 GMT", 7),
        ("Tue Jan  1 00:00:07 2030", 0.1),  # without a zone
        ("Tue, 01 Jan 2030 01:00:07 +0100", 7),
        ("Wed, 01 Jan 2031 00:00:00 GMT", 60),
        ("Mon, 31 Dec 2029 00:00:00 GMT", 0.1),
        (NOW, 0.1),
        ("Tue, 99 Jan 2030 00:00:00 GMT", 0.1),
        ("Fri, 31 Dec 9999 23:59:59 -9999", 0.1),
        ("-5", 0.1),
        ("", 0.1),
    ],
)
def test_the_server_may_say_until_when_by_its_own_clock(asked: str, waited: float) -> None:
    busy = reply(503, "no", {"retry-after": asked, "date": NOW})
    assert play(get(config(), "emails", "x"), busy, shown()).waits == [waited]


def test_a_server_that_does_not_tell_the_time_is_taken_to_have_ours() -> None:
    for headers in ({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"date": "noon"}):
        busy = reply(503, "no", {"retry-after": NOW} | headers)
        played = play(get(config(), "emails", "x"), busy, shown())
        assert played.waits == [60 if "date" not in headers else 0.1]


def test_a_moment_that_has_passed_asks_for_no_wait() -> None:
    past = {"retry-after": "Mon, 31 Dec 2029 00:00:00 GMT", "date": NOW}
    played = play(get(config(retries=0), "emails", "x"), reply(503, "no", past))
    assert isinstance(played.error, ServerBusyError)
    assert played.error.retry_after == 0


def test_the_wait_a_server_asks_for_never_shortens_ours() -> None:
    busy = reply(503, "no", {"retry-after": "0"})
    lost = [busy, busy, reply(503, "no", {"retry-after": "1"}), shown()]
    assert play(get(config(), "emails", "x"), *lost).waits == [0.1, 0.2, 1]


def test_a_definite_answer_ends_the_retrying() -> None:
    played = play(get(config(), "emails", "x"), reply(503), *missing_job())
    assert isinstance(played.error, JobNotFoundError)
    assert play(exists(config(), "emails", "x"), reply(503), *missing_job()).result is False


@every_operation
@pytest.mark.parametrize("status", [200, 202, 404, 409])
def test_html_is_no_answer_of_relay(operation: Operation, status: int) -> None:
    played = play(operation(config(retries=0)), reply(status, "<html>"))
    assert isinstance(played.error, TransportError | UnexpectedStatusError)


@pytest.mark.parametrize(
    ("failures", "sent"),
    [
        ([REFUSED, REFUSED], False),
        ([LOST_REPLY, REFUSED], True),
        ([REFUSED, LOST_REPLY], True),
        ([reply(503), REFUSED], False),
        ([reply(429), REFUSED], False),
        ([reply(408), REFUSED], True),
        ([reply(502), REFUSED], True),
        ([reply(504), REFUSED], True),
        ([LOST_REPLY, reply(503)], True),
        ([REFUSED, reply(503)], False),
        ([REFUSED, reply(504)], True),
        ([LOST_REPLY, REFUSED, REFUSED], True),
        ([reply(202, "<html>"), REFUSED], True),
    ],
    ids=str,
)
def test_the_error_tells_whether_any_attempt_may_have_arrived(
    failures: list[TransportError | Response], sent: bool
) -> None:
    flow = enqueue(config(retries=len(failures) - 1), [JOBS.job("x", 1)], "unique")
    played = play(flow, *failures)
    assert isinstance(played.error, TransportError | ServerBusyError)
    assert played.error.sent is sent


@every_operation
def test_an_error_is_raised_after_the_last_attempt_and_not_after_another_wait(
    operation: Operation,
) -> None:
    assert play(operation(config(retries=0)), REFUSED).steps in (["GET"], ["HEAD"], ["POST"],
        ["PUT"], ["PATCH"], ["DELETE"])  # fmt: skip


def test_an_unreadable_reply_may_have_been_acted_on() -> None:
    played = play(enqueue(config(retries=0), [JOBS.job("x", 1)], "ignore"), reply(202, "<html>"))
    assert isinstance(played.error, TransportError)
    assert played.error.sent


def test_every_error_is_of_one_root() -> None:
    played = play(remove(config(), "emails", "x"), reply(418))
    assert isinstance(played.error, RelayError)
    assert not played.error.sent
