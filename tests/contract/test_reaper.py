"""The reaper gives jobs back whose time is up, or deletes those out of retries."""

from .api import Api


def test_a_job_without_retries_is_deleted(api: Api) -> None:
    api.claimed(timeout=0, max_retries=0)
    assert api.wire.reaped(lambda: not api.exists())
    assert api.next().status == 204


def test_a_job_with_two_retries_is_handed_out_three_times(api: Api) -> None:
    api.stored(timeout=0, max_retries=2)
    remaining: list[int | None] = []

    def taken() -> bool:
        jobs = api.taken()
        remaining.extend(job.get("retries_remaining") for job in jobs)
        return bool(jobs)

    assert taken()
    assert api.wire.reaped(taken)
    assert api.wire.reaped(taken)
    assert api.wire.reaped(lambda: not api.exists())
    assert not taken()
    assert remaining == {"v1": [None, None, None], "v2": [2, 1, 0]}[api.version]


def test_a_job_with_infinite_retries_comes_back_each_time(api: Api) -> None:
    api.claimed(timeout=0, max_retries=api.infinite)
    for _ in range(4 if api.wire.own else 2):
        assert api.wire.reaped(lambda: bool(api.taken()))
    assert api.row()["max_retries"] == api.infinite


def test_a_negative_timeout_is_over_at_once(v1: Api) -> None:
    v1.claimed(timeout=-5, max_retries=0)
    assert v1.wire.reaped(lambda: not v1.exists())


def test_what_a_job_was_it_is_after_the_reaper(api: Api) -> None:
    job = api.claimed(timeout=1, max_retries=5, run_at="2022-09-05T04:37:23Z")
    api.wire.wait(0.01)
    assert api.heartbeat(job, state={"s": 1}).status == 202
    before = api.row()
    if api.version == "v2":
        assert api.wire.reaped(lambda: api.row()["run_id"] is None)
        assert api.row() == before | {"run_id": None, "retries_remaining": 4}
    else:
        # v1 does not show who holds a job: wait for the reaper's whole time.
        api.wire.reap()
        assert api.row() == before
    (again,) = api.taken()
    assert (again["state"], again["run_at"]) == ({"s": 1}, "2022-09-05T04:37:23Z")


def test_a_reaped_job_comes_back_to_its_place_in_the_queue(api: Api) -> None:
    api.claimed("old", timeout=0, max_retries=1, run_at="2020-01-01T00:00:00Z")
    api.stored("new", run_at="2020-01-02T00:00:00Z")
    api.wire.reap()
    assert api.taken_ids(1) == {"old"}


def test_the_run_of_a_reaped_job_is_over(v2: Api) -> None:
    job = v2.claimed(timeout=0, max_retries=5)
    assert v2.wire.reaped(lambda: v2.row()["run_id"] is None)
    assert v2.heartbeat(job, state=1).status == 404
    assert v2.row()["state"] is None


def test_only_what_is_in_flight_and_late_is_reaped(api: Api) -> None:
    long = api.claimed("long", timeout=3600, max_retries=0)
    queued = api.stored("queued", timeout=0, max_retries=0)
    api.wire.reap()
    assert api.row("long") == long
    assert api.row("queued") == queued
    assert api.is_claimed(long)


def test_a_stale_v1_worker_reaches_the_run_of_another(v1: Api) -> None:
    stale = v1.claimed(timeout=0, max_retries=5)
    assert v1.wire.reaped(lambda: bool(v1.taken()))
    assert v1.heartbeat(stale, state="stale").status == 202
    assert v1.row()["state"] == "stale"
    assert v1.remove().status == 200
    assert not v1.exists()


def test_a_stale_v2_worker_reaches_nothing(v2: Api) -> None:
    stale = v2.claimed(timeout=0, max_retries=5, state="fresh")
    assert v2.wire.reaped(lambda: bool(v2.taken()))
    before = v2.row()
    assert v2.heartbeat(stale, state="stale").status == 404
    assert v2.complete(stale).status == 200
    assert v2.requeue(stale, v2.job(payload="stale"), v2.job("new"), mode="replace").status == 202
    assert v2.row()["payload"] == before["payload"]
    assert v2.row()["state"] == "fresh"
    assert not v2.exists("new")
