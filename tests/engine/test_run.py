"""The run of a job: which state its heartbeats send, and when it counts as lost."""

import msgspec
import pytest

from relay_sdk import (
    JobLostError,
    PayloadError,
    RequestRejectedError,
    ServerBusyError,
    UnexpectedStatusError,
)
from relay_sdk._base.flow import Request, Response, Sleep
from relay_sdk._engine.lease import OVERTAKEN_INTERVAL
from relay_sdk._engine.run import ThreadRun, claim_runs
from relay_sdk.testing import Clock

from ..support.flow_player import (
    LOST_REPLY,
    RUN_ID,
    begin,
    config,
    next_reply,
    play,
    received,
    reply,
)

DONE = reply(202)
GONE = reply(404, f"job with id `x` not found in queue `emails` with {RUN_ID}.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(clock: Clock | None = None, **fields: object) -> ThreadRun:
    return ThreadRun(config(clock=clock), received(**fields), 0.0)


def state(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def body(*replies: Response, of: ThreadRun, new: str | None = None) -> bytes | None:
    played = play(of.heartbeat(None if new is None else state(new)), *replies)
    assert played.error is None
    return played.calls[-1].content


@pytest.mark.parametrize("came", [None, {"a": 1}, "", 0, False])
def test_the_state_that_came_is_sent_again(came: object) -> None:
    known = run(state=came)
    assert msgspec.json.decode(body(DONE, of=known) or b"no body") == came


def test_the_state_sent_last_is_sent_again() -> None:
    known = run(state="old")
    assert body(DONE, of=known, new="1") == b"1"
    assert body(DONE, of=known) == b"1"
    assert body(DONE, of=known, new="null") == b"null"
    assert body(DONE, of=known) == b"null"


def test_an_automatic_heartbeat_sends_the_known_state() -> None:
    known = run(state="old")
    assert play(known.keep_alive(None), DONE).calls[0].content == b'"old"'
    body(DONE, of=known, new="1")
    assert play(known.keep_alive(None), DONE).calls[0].content == b"1"


def test_a_state_whose_heartbeat_was_not_answered_is_the_one_to_send_next() -> None:
    known = run(state="old")
    played = play(known.heartbeat(state("1")), *[LOST_REPLY] * 4)
    assert played.error is LOST_REPLY or played.error is not None
    assert body(DONE, of=known) == b"1"


def test_a_refused_state_is_not_sent_again() -> None:
    known = run(state="old")
    played = play(known.heartbeat(state("1")), reply(422, "no"))
    assert isinstance(played.error, RequestRejectedError)
    assert body(DONE, of=known) == b'"old"'


@pytest.mark.parametrize("end", [DONE, reply(422, "no")], ids=["repeated", "refused"])
def test_a_heartbeat_that_waits_for_its_next_attempt_does_not_undo_a_newer_one(
    end: Response,
) -> None:
    """While it waits, another thread may send one."""
    known = run(state="old")
    older = known.heartbeat(state("1"))
    next(older)
    assert isinstance(older.send(reply(503)), Sleep)
    assert body(DONE, of=known, new="2") == b"2"
    call = next(older)
    assert isinstance(call, Request)
    assert call.content == b"2"
    with pytest.raises((StopIteration, RequestRejectedError)):
        older.send(end)
    assert body(DONE, of=known) == b"2"


def test_a_state_the_server_would_drop_is_refused_before_sending() -> None:
    known = run(state="old")
    huge = state('"' + "x" * 2 * 1024 * 1024 + '"')
    played = play(known.heartbeat(huge))
    assert isinstance(played.error, PayloadError)
    assert (played.error.queue, played.error.id, played.calls) == ("emails", "x", [])
    assert body(DONE, of=known) == b'"old"'


def test_the_longest_state_the_server_takes_is_sent() -> None:
    longest = '"' + "x" * (2 * 1024 * 1024 - 2) + '"'
    assert body(DONE, of=run(), new=longest) == longest.encode()


def test_a_heartbeat_says_that_the_run_is_lost_and_nothing_is_sent_after_it() -> None:
    lost = run()
    assert isinstance(play(lost.heartbeat(None), GONE).error, JobLostError)
    for flow in (lost.heartbeat(None), lost.complete(), lost.reschedule(None)):
        assert isinstance(play(flow).error, JobLostError)
    assert play(lost.keep_alive(None)).result is None


def test_a_404_that_does_not_name_the_job_tells_nothing() -> None:
    mine = run()
    played = play(mine.heartbeat(None), reply(404, "<html>"), DONE)
    assert played.error is None
    assert mine.lifecycle.lost_reason is None
    played = play(mine.heartbeat(None), reply(404))
    assert isinstance(played.error, UnexpectedStatusError)
    assert mine.lifecycle.lost_reason is None


def test_nothing_is_sent_after_the_end() -> None:
    ended = run()
    assert play(ended.complete(), reply(200)).error is None
    assert play(ended.keep_alive(None)).result is None
    assert isinstance(play(ended.heartbeat(None)).error, JobLostError)


def test_a_completion_that_failed_leaves_the_run_ours() -> None:
    ours = run()
    assert isinstance(play(ours.complete(), *[reply(503)] * 4).error, ServerBusyError)
    assert play(ours.complete(), reply(200)).error is None


@pytest.mark.parametrize(
    ("timeout", "chosen", "expected"), [(60, None, 20), (0, None, 0.25), (60, 7, 7)]
)
def test_heartbeats_come_three_in_a_timeout_unless_chosen(
    timeout: int, chosen: float | None, expected: float
) -> None:
    assert play(run(timeout=timeout).keep_alive(chosen), DONE).result == expected


def test_a_heartbeat_that_fails_is_repeated_sooner_and_sooner_than_the_job_is_lost() -> None:
    clock = Clock()
    ours = run(clock, timeout=60)
    waits = [play(ours.keep_alive(None), reply(503)).result for _ in range(4)]
    assert waits == [0.1, 0.2, 0.4, 0.4]
    clock.advance(59.9)
    assert play(ours.keep_alive(None), LOST_REPLY).result == pytest.approx(0.1)
    assert ours.lifecycle.lost_reason is None
    clock.advance(0.1)
    assert play(ours.keep_alive(None), reply(520)).result is None
    assert ours.lifecycle.lost_reason is not None
    assert isinstance(play(ours.complete()).error, JobLostError)


def test_a_heartbeat_that_arrives_gives_another_timeout_and_another_series() -> None:
    clock = Clock()
    ours = run(clock, timeout=60)
    assert play(ours.keep_alive(None), reply(503)).result == 0.1
    clock.advance(50)
    assert play(ours.keep_alive(None), DONE).result == 20
    clock.advance(50)
    assert play(ours.keep_alive(None), reply(503)).result == 0.1
    assert ours.lifecycle.lost_reason is None


def test_a_heartbeat_of_ones_own_gives_another_timeout() -> None:
    clock = Clock()
    ours = run(clock, timeout=60)
    clock.advance(50)
    body(DONE, of=ours)
    clock.advance(50)
    assert play(ours.keep_alive(None), reply(503)).result is not None


def test_removing_ends_the_run() -> None:
    ours = run()
    assert play(ours.remove(), reply(200)).error is None
    assert play(ours.keep_alive(None)).result is None


@pytest.mark.parametrize(("timeout", "within"), [(6, 2), (15, 5), (600, 15), (0, 0.5)])
def test_a_heartbeat_has_a_third_of_what_is_left_and_the_clients_timeout_at_most(
    timeout: int, within: float
) -> None:
    for flow in (run(timeout=timeout).keep_alive(None), run(timeout=timeout).heartbeat(None)):
        assert [call.timeout for call in play(flow, DONE).calls] == [pytest.approx(within)]


def test_a_later_attempt_has_less(clock: Clock) -> None:
    mine = run(clock, timeout=12)
    clock.advance(6)
    played = play(mine.heartbeat(None), LOST_REPLY, reply(503), DONE, clock=clock)
    bounds = [call.timeout for call in played.calls]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == pytest.approx(2)


def test_a_lease_counts_from_when_the_job_was_asked_for(clock: Clock) -> None:
    flow = claim_runs(ThreadRun, config(clock=clock), "emails", 1)
    next(flow)
    clock.advance(50)  # the reply takes that long
    with pytest.raises(StopIteration) as done:
        flow.send(next_reply("x"))
    (mine,) = done.value.value
    clock.advance(9)
    assert play(mine.keep_alive(None), LOST_REPLY).result > 0
    clock.advance(1)
    assert play(mine.keep_alive(None), LOST_REPLY).result is None
    assert mine.lifecycle.lost_reason == "no heartbeat arrived within its timeout of 60 s"


def test_a_lease_counts_from_when_its_heartbeat_was_sent(clock: Clock) -> None:
    mine = run(clock)
    clock.advance(20)
    flow = mine.keep_alive(None)
    begin(flow)
    clock.advance(30)
    with pytest.raises(StopIteration):
        flow.send(DONE)
    clock.advance(29)
    assert play(mine.keep_alive(None), LOST_REPLY).result > 0
    clock.advance(1)
    assert play(mine.keep_alive(None), LOST_REPLY).result is None


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize("when", ["while it ends", "once it has ended"])
def test_a_heartbeat_that_meets_the_end_of_its_run_is_no_loss(automatic: bool, when: str) -> None:
    mine = run()
    beat = mine.keep_alive(None) if automatic else mine.heartbeat(None)
    end = mine.complete()
    begin(beat)
    next(end)
    if when == "once it has ended":
        with pytest.raises(StopIteration):
            end.send(reply(200))
    with pytest.raises(StopIteration):
        beat.send(GONE)
    if when == "while it ends":
        with pytest.raises(StopIteration):
            end.send(reply(200))
    assert mine.lifecycle.lost_reason is None
    mine.check_not_lost()


def test_after_an_end_that_failed_a_heartbeat_tells_the_loss() -> None:
    mine = run()
    assert isinstance(play(mine.complete(), *[reply(503)] * 4).error, ServerBusyError)
    assert isinstance(play(mine.heartbeat(None), GONE).error, JobLostError)
    assert mine.lifecycle.lost_reason is not None


def test_a_short_interval_is_kept_while_an_older_state_may_arrive(clock: Clock) -> None:
    mine = run(clock)
    play(mine.heartbeat(state("1")), *[LOST_REPLY] * 4)
    mine.state = state("2")
    assert play(mine.keep_alive(0.3), DONE).result == 0.3
    assert play(mine.keep_alive(None), DONE).result == OVERTAKEN_INTERVAL


def test_a_heartbeat_whose_run_has_ended_meanwhile_is_not_tried_again() -> None:
    mine = run()
    beat = mine.heartbeat(None)
    begin(beat)
    assert isinstance(beat.send(reply(503)), Sleep)
    play(mine.complete(), reply(200))
    with pytest.raises(StopIteration):
        beat.send(None)


def test_a_server_that_asks_for_a_pause_gets_one_that_the_lease_can_bear(clock: Clock) -> None:
    mine = run(clock)
    assert play(mine.keep_alive(None), reply(503, headers={"retry-after": "5"})).result == 5
    assert play(mine.keep_alive(None), reply(503, headers={"retry-after": "90"})).result == 20
    played = play(mine.heartbeat(None), reply(503, headers={"retry-after": "90"}), DONE)
    assert played.waits == [20]


@pytest.mark.parametrize("end", ["heartbeat", "keep_alive", "complete", "release"])
def test_on_v1_a_lease_that_is_over_is_not_used(clock: Clock, end: str) -> None:
    v1 = ThreadRun(config("v1", clock), received(run_id=None), 0.0)
    clock.advance(60)
    flows = {
        "heartbeat": v1.heartbeat(None),
        "keep_alive": v1.keep_alive(None),
        "complete": v1.complete(),
        "release": v1.release(),
    }
    played = play(flows[end])  # nothing is sent
    assert end == "keep_alive" or isinstance(played.error, JobLostError)
    assert v1.lifecycle.lost_reason is not None


def test_on_v1_a_run_that_has_ended_in_time_is_not_lost_later(clock: Clock) -> None:
    v1 = ThreadRun(config("v1", clock), received(run_id=None), 0.0)
    assert play(v1.complete(), reply(200)).error is None
    clock.advance(60)
    assert play(v1.keep_alive(None)).result is None
    assert v1.lifecycle.lost_reason is None
    with pytest.raises(JobLostError, match="this helper has ended its run"):
        v1.check_held()


def test_on_v2_the_server_decides(clock: Clock) -> None:
    v2 = run(clock)
    clock.advance(60)
    assert play(v2.complete(), reply(200)).error is None
