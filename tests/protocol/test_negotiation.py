"""The API version is detected on evidence, and forgotten when a route of it is missing."""

import logging
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import httpx
import pytest

from relay_sdk import (
    Job,
    JobNotFoundError,
    Queue,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
    UnsupportedError,
)
from relay_sdk._base.flow import Flow, Request, Response
from relay_sdk._engine.config import ClientConfig
from relay_sdk._engine.operations import enqueue, exists, get, remove
from relay_sdk._engine.polling import poll
from relay_sdk._engine.retries import with_api_version, with_retries
from relay_sdk._engine.run import ThreadRun
from relay_sdk._protocol import v1, v2
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from ..support.fixtures import Connect
from ..support.flow_player import (
    JOBS,
    LOST_REPLY,
    REFUSED,
    VERSION_EXISTS,
    Play,
    config,
    next_reply,
    play,
    received,
    reply,
    shown,
)
from ..support.sync_async import AnyClient, maybe_await

DOWN = "Backend error: error connecting to server. Is retryable: false."
NO_ROUTE = reply(404)
NONE_WANTED = reply(204)
LOST = "job with id `x` not found in queue `emails`."


def targets(played: Play) -> list[str]:
    """Return the requests of a flow in short form."""
    return [_short(call) for call in played.calls]


def _short(call: Request) -> str:
    probe = call.target.endswith("/queues/relay_sdk/jobs?num_jobs=0")
    return f"{'probe' if probe else call.method} {call.target[1:3]}"


def version(config: ClientConfig) -> Any:
    return config.versions.negotiated


def negotiate(config: ClientConfig) -> Flow[Any]:
    return with_retries(config, lambda: config.versions.negotiate("queue 'emails'"))


def negotiated(*versions: str) -> ClientConfig:
    """Return the config of a client that detected these versions, one after another."""
    shared = config("auto")
    shared.versions.negotiated = v2 if versions[-1] == "v2" else v1
    shared.versions.v2_missing = versions == ("v2", "v1")
    return shared


def test_v2_is_detected_by_its_refusal_of_zero_jobs() -> None:
    played = play(negotiate(config("auto")), VERSION_EXISTS)
    assert played.result is v2
    (call,) = played.calls
    assert (call.method, call.target) == ("GET", "/v2/queues/relay_sdk/jobs?num_jobs=0")


@pytest.mark.parametrize("answer", [NONE_WANTED, VERSION_EXISTS], ids=["relay-rs", "relay"])
def test_v1_is_detected_after_a_missing_v2_route(answer: Response) -> None:
    played = play(negotiate(config("auto")), NO_ROUTE, answer)
    assert played.result is v1
    assert played.calls[1].method == "GET"  # HEAD would claim a job
    assert played.calls[1].target == "/v1/queues/relay_sdk/jobs?num_jobs=0"


@pytest.mark.parametrize(
    ("answers", "version"), [([NO_ROUTE, NONE_WANTED], "v1"), ([VERSION_EXISTS], "v2")]
)
def test_a_client_negotiates_once(answers: list[Response], version: str) -> None:
    shared = config("auto")
    assert play(exists(shared, "emails", "x"), *answers, reply(200)).result is True
    later = play(poll(shared, "emails", 1, 0), reply(204))
    assert [call.target for call in later.calls] == [f"/{version}/queues/emails/jobs?num_jobs=1"]


@pytest.mark.parametrize("choice", ["v1", "v2"])
def test_a_chosen_version_is_not_probed(choice: Any) -> None:
    assert play(negotiate(config(choice))).result.__name__.endswith(choice)


@pytest.mark.parametrize(
    "answers",
    [[reply(404, "<html>")], [reply(400, "<html>")], [reply(400)], [reply(200, "<html>")],
     [NO_ROUTE, NO_ROUTE], [NO_ROUTE, reply(404, "<html>")], [NO_ROUTE, reply(204, "x")],
     [NO_ROUTE, reply(200, [])], [NO_ROUTE, reply(400, "<html>")], [reply(204)], [reply(405)]],
    ids=str,
)  # fmt: skip
def test_an_invalid_reply_to_a_probe_is_not_evidence(answers: list[Response]) -> None:
    shared = config("auto", retries=0)
    assert isinstance(
        play(negotiate(shared), *answers).error, TransportError | UnexpectedStatusError
    )
    assert version(shared) is None
    assert play(negotiate(shared), VERSION_EXISTS).result is v2


@pytest.mark.parametrize("busy", [reply(503), reply(429), reply(500, DOWN), LOST_REPLY, REFUSED])
def test_a_probe_is_retried_while_the_server_is_busy(busy: Any) -> None:
    played = play(negotiate(config("auto")), busy, busy, VERSION_EXISTS)
    assert played.result is v2
    assert played.waits == [0.1, 0.2]


@pytest.mark.parametrize("failure", [LOST_REPLY, reply(504)])
def test_a_lost_probe_does_not_make_the_request_ambiguous(failure: Any) -> None:
    played = play(remove(config("auto", retries=0), "emails", "x"), failure)
    assert isinstance(played.error, TransportError | ServerBusyError)
    assert not played.error.sent
    conflict = reply(409, "job with id `x` already exists in queue `emails`.")
    flow = enqueue(config("auto"), [JOBS.job("x", 1)], "unique")
    played = play(flow, failure, VERSION_EXISTS, conflict)
    assert isinstance(played.error, RelayError)


def test_an_error_of_a_probe_names_the_job_of_the_request() -> None:
    for answers, kind in (
        ([reply(520)] * 4, ServerBusyError),
        ([reply(204)] * 4, TransportError),
        ([reply(302)], UnexpectedStatusError),
        ([reply(413, "no")], RequestRejectedError),
        ([reply(503)] * 4, ServerBusyError),
    ):
        played = play(exists(config("auto"), "emails", "x"), *answers)
        assert isinstance(played.error, kind)
        assert "job 'x' in queue 'emails'" in str(played.error)


# Replies to look-ups


def test_an_existing_job_takes_one_request() -> None:
    assert targets(play(get(negotiated("v2"), "emails", "x"), shown())) == ["GET v2"]
    assert targets(play(exists(negotiated("v1"), "emails", "x"), reply(200))) == ["HEAD v1"]


@pytest.mark.parametrize("choice", ["auto", "v2"])
def test_a_404_in_v2_is_confirmed_by_v1_and_then_by_a_probe(choice: Any) -> None:
    shared = config(choice)
    shared.versions.negotiated = v2
    played = play(get(shared, "emails", "x"), NO_ROUTE, NO_ROUTE, VERSION_EXISTS)
    assert isinstance(played.error, JobNotFoundError)
    assert targets(played) == ["GET v2", "GET v1", "probe v2"]
    played = play(exists(shared, "emails", "x"), NO_ROUTE, NO_ROUTE, VERSION_EXISTS)
    assert played.result is False
    assert targets(played) == ["HEAD v2", "HEAD v1", "probe v2"]
    assert version(shared) is v2


@pytest.mark.parametrize("choice", ["auto", "v1"])
def test_a_404_in_v1_is_confirmed_by_a_probe(choice: Any) -> None:
    for answer in (VERSION_EXISTS, NONE_WANTED):
        shared = config(choice)
        shared.versions.negotiated = v1
        played = play(exists(shared, "emails", "x"), NO_ROUTE, answer)
        assert played.result is False
        assert targets(played) == ["HEAD v1", "probe v1"]


@pytest.mark.parametrize("choice", ["auto", "v2"])
def test_a_job_that_only_v1_finds_exists(choice: Any) -> None:
    shared = config(choice)
    shared.versions.negotiated = v2
    assert play(exists(shared, "emails", "x"), NO_ROUTE, reply(200)).result is True
    assert play(get(shared, "emails", "x"), NO_ROUTE, shown()).result.id == "x"


def test_a_look_up_falls_back_to_v1_when_v2_is_missing() -> None:
    shared = negotiated("v2")
    replies = [NO_ROUTE, NO_ROUTE, NO_ROUTE, NONE_WANTED, NO_ROUTE, NONE_WANTED]
    assert play(exists(shared, "emails", "x"), *replies).result is False
    assert version(shared) is v1


@pytest.mark.parametrize("look", [get, exists])
@pytest.mark.parametrize(
    ("choice", "answers"),
    [
        ("auto", [NO_ROUTE, NO_ROUTE]),  # nothing known yet
        ("v1", [NO_ROUTE, NO_ROUTE]),
        ("v2", [NO_ROUTE, NO_ROUTE, NO_ROUTE]),
    ],
)
def test_a_look_up_without_a_relay_server_raises(
    look: Callable[..., Flow[Any]], choice: Any, answers: list[Response]
) -> None:
    played = play(look(config(choice), "emails", "x"), *answers)
    assert isinstance(played.error, UnexpectedStatusError)
    assert "is base_url right" in str(played.error)
    assert "job 'x' in queue 'emails'" in str(played.error)


# Replies to other operations

OPERATIONS: dict[str, tuple[Callable[[ClientConfig], Flow[Any]], Response]] = {
    "enqueue": (lambda config: enqueue(config, [JOBS.job("x", 1)], "unique"), reply(202)),
    "next": (lambda config: poll(config, "emails", 1, 0), next_reply("x")),
    "remove": (lambda config: remove(config, "emails", "x"), reply(200)),
    "complete": (lambda config: ThreadRun(config, received(), 0.0).complete(), reply(200)),
    "heartbeat": (lambda config: ThreadRun(config, received(), 0.0).heartbeat(None), reply(202)),
    "keep_alive": (lambda config: ThreadRun(config, received(), 0.0).keep_alive(None), reply(202)),
    "reschedule": (lambda config: ThreadRun(config, received(), 0.0).reschedule(None), reply(202)),
}
every_operation = pytest.mark.parametrize(
    ("operation", "done"), OPERATIONS.values(), ids=OPERATIONS.keys()
)


@every_operation
@pytest.mark.parametrize("answer", [NONE_WANTED, VERSION_EXISTS], ids=["relay-rs", "relay"])
def test_operations_fall_back_to_v1_when_v2_is_missing(
    operation: Callable[[ClientConfig], Flow[Any]],
    done: Response,
    answer: Response,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared = negotiated("v2")
    played = play(operation(shared), NO_ROUTE, answer, done)
    assert played.error is None
    assert [target[-2:] for target in targets(played)] == ["v2", "v1", "v1"]
    assert targets(played)[1] == "probe v1"
    assert version(shared) is v1
    # v2 is not used again, although another server may have it.
    assert targets(play(operation(shared), done))[0][-2:] == "v1"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "404" in caplog.text


@every_operation
def test_v2_is_detected_when_v1_is_missing(
    operation: Callable[[ClientConfig], Flow[Any]], done: Response
) -> None:
    played = play(operation(negotiated("v1")), NO_ROUTE, VERSION_EXISTS, done)
    assert played.error is None
    assert [target[-2:] for target in targets(played)] == ["v1", "v2", "v2"]


@every_operation
def test_only_v1_is_used_after_v2_was_missing_once(
    operation: Callable[[ClientConfig], Flow[Any]], done: Response
) -> None:
    played = play(operation(negotiated("v2", "v1")), NO_ROUTE, NONE_WANTED, done)
    assert targets(played)[1] == "probe v1"
    assert played.error is None


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "keep_alive"])
@pytest.mark.parametrize("choice", ["v1", "v2"])
def test_a_chosen_version_is_never_changed(name: str, choice: Any) -> None:
    played = play(OPERATIONS[name][0](config(choice)), NO_ROUTE)
    assert isinstance(played.error, UnexpectedStatusError)
    assert "is base_url right" in str(played.error)
    assert "queue 'emails'" in str(played.error)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "keep_alive"])
def test_a_request_negotiates_again_only_once(name: str) -> None:
    played = play(OPERATIONS[name][0](negotiated("v2")), NO_ROUTE, NONE_WANTED, NO_ROUTE)
    assert isinstance(played.error, UnexpectedStatusError)
    played = play(OPERATIONS[name][0](negotiated("v2")), NO_ROUTE, NO_ROUTE)
    assert isinstance(played.error, UnexpectedStatusError)


@pytest.mark.parametrize("name", ["enqueue", "next", "remove", "complete", "reschedule"])
def test_a_404_with_a_body_comes_from_a_proxy_and_is_not_evidence(name: str) -> None:
    shared = negotiated("v2")
    played = play(OPERATIONS[name][0](shared), reply(404, "no backend"))
    assert isinstance(played.error, UnexpectedStatusError)
    assert version(shared) is v2


def test_a_404_to_a_heartbeat_that_names_the_job_means_it_is_lost() -> None:
    run = ThreadRun(negotiated("v2"), received(), 0.0)
    assert play(run.heartbeat(None), reply(404, LOST)).error is not None
    assert run.lifecycle.lost_reason is not None


def test_a_requeue_of_other_jobs_needs_v2() -> None:
    run = ThreadRun(negotiated("v2"), received(), 0.0)
    played = play(run.requeue([JOBS.job("y", 1)], "unique"), NO_ROUTE, NONE_WANTED)
    assert isinstance(played.error, UnsupportedError)
    assert not run.lifecycle.is_ended


def test_a_lost_reply_is_remembered_across_versions() -> None:
    conflict = reply(409, "job with id `x` already exists in queue `emails`.")
    flow = enqueue(negotiated("v2"), [JOBS.job("x", 1)], "unique")
    played = play(flow, LOST_REPLY, NO_ROUTE, NONE_WANTED, conflict, shown())
    assert played.error is None
    assert targets(played) == ["POST v2", "POST v2", "probe v1", "POST v1", "GET v1"]


def test_a_version_that_another_thread_negotiated_is_used() -> None:
    shared = negotiated("v2")

    def ask(api: Any) -> Flow[Any]:
        if api is v2:
            shared.versions.negotiated = v1
        return (yield from api.remove("emails", "x").send())

    played = play(with_api_version(shared, "emails", "x", ask), NO_ROUTE, reply(200))
    assert targets(played) == ["DELETE v2", "DELETE v1"]
    assert version(shared) is v1


# Complete clients, with servers of both kinds over the same jobs

Answer = Callable[[httpx.Request], httpx.Response]


def only_v1(answer: Answer) -> Answer:
    """Limit the bundled server to the routes of `relay-rs`."""

    def answer_v1(request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/v1/"):
            return httpx.Response(404)
        if request.method == "GET" and request.url.params.get("num_jobs") == "0":
            return httpx.Response(204)
        return answer(request)

    return answer_v1


def in_turn(*answers: Answer) -> Answer:
    """Return a load balancer with strict round robin."""
    turns: Iterator[Answer] = cycle(answers)
    return lambda request: next(turns)(request)


EMAILS: Queue[Any, Any] = Queue("emails")


def job(id: str) -> Job[Any, Any]:
    return EMAILS.job(id, 1)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("choice", ["auto", "v1"])
async def test_results_are_correct_behind_a_mixed_load_balancer(
    connect: Connect, app: App, clock: Clock, first: int, choice: str
) -> None:
    both = transport(app).handler
    answers = [both, only_v1(both)]
    relay = connect(answer=in_turn(*answers[first:], *answers[:first]), clock=clock, api=choice)
    await whole_life(relay)


@pytest.mark.parametrize("first", [0, 1])
async def test_look_ups_in_v2_are_correct_behind_a_mixed_load_balancer(
    connect: Connect, app: App, clock: Clock, first: int
) -> None:
    both = transport(app).handler
    await maybe_await(connect(answer=both, clock=clock).enqueue(job("x")))
    answers = [both, only_v1(both)]
    relay = connect(answer=in_turn(*answers[first:], *answers[:first]), clock=clock, api="v2")
    for _ in range(5):
        assert await maybe_await(relay.exists("emails", "x"))
        assert (await maybe_await(relay.get("emails", "x"))).id == "x"


async def test_a_client_survives_a_rollback_of_the_server(
    connect: Connect, app: App, clock: Clock
) -> None:
    both = transport(app).handler
    servers = [both]
    relay = connect(answer=lambda request: servers[0](request), clock=clock)
    await whole_life(relay)
    await maybe_await(relay.enqueue(job("running")))
    (helper,) = await maybe_await(relay.next("emails"))
    servers[0] = only_v1(both)
    await maybe_await(helper.heartbeat())
    await maybe_await(helper.complete())
    assert not await maybe_await(relay.exists("emails", "running"))
    await whole_life(relay)


async def whole_life(relay: AnyClient) -> None:
    """Call each operation at least twice, and check its effect with another one."""
    for id in ("a", "b", "c"):
        assert not await maybe_await(relay.exists("emails", id))
        with pytest.raises(JobNotFoundError):
            await maybe_await(relay.get("emails", id))
        await maybe_await(relay.enqueue(job(id)))
        assert await maybe_await(relay.exists("emails", id))
        assert (await maybe_await(relay.get("emails", id))).id == id
        (helper,) = await maybe_await(relay.next("emails"))
        assert helper.job.id == id
        await maybe_await(helper.heartbeat({"page": 1}))
        assert (await maybe_await(relay.get("emails", id))).state == {"page": 1}
        await maybe_await(helper.reschedule())
        (helper,) = await maybe_await(relay.next("emails"))
        await maybe_await(helper.complete())
        assert not await maybe_await(relay.exists("emails", id))
        await maybe_await(relay.enqueue_batch([job(id), job("other")]))
        await maybe_await(relay.remove("emails", id))
        await maybe_await(relay.remove("emails", "other"))
        assert not await maybe_await(relay.exists("emails", id))
        assert await maybe_await(relay.next("emails", timeout=0)) == []


@pytest.mark.parametrize("choice", ["auto", "v1", "v2"])
@pytest.mark.parametrize("body", [b"", b"<html>not found</html>"])
async def test_every_operation_raises_for_a_wrong_path(
    connect: Connect, clock: Clock, choice: str, body: bytes
) -> None:
    def elsewhere(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, content=b"" if request.method == "HEAD" else body)

    relay = connect("http://server/foo", answer=elsewhere, clock=clock, api=choice)
    with pytest.raises((UnexpectedStatusError, TransportError)):
        await maybe_await(relay.exists("emails", "x"))
    with pytest.raises((UnexpectedStatusError, TransportError)):
        await maybe_await(relay.get("emails", "x"))
    with pytest.raises(UnexpectedStatusError):
        await maybe_await(relay.enqueue(job("x")))
    with pytest.raises(UnexpectedStatusError):
        await maybe_await(relay.next("emails"))
    with pytest.raises(UnexpectedStatusError):
        await maybe_await(relay.remove("emails", "x"))
