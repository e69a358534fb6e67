"""A forgotten await, and one world taken for the other: both checkers refuse it."""

from shared import EMAILS, Email, Progress

from relay_sdk import AsyncClient, AsyncJobHelper, Client, Job, JobHelper


def take_flag(flag: bool) -> None: ...


def take_job(job: Job[Email, Progress]) -> None: ...


def take_progress(progress: Progress) -> None: ...


def use_client(relay: Client) -> None: ...


def use_helper(helper: JobHelper[Email, Progress]) -> None: ...


async def ause_client(relay: AsyncClient) -> None: ...


async def ause_helper(helper: AsyncJobHelper[Email, Progress]) -> None: ...


async def calls_without_await(relay: AsyncClient, helper: AsyncJobHelper[Email, Progress]) -> None:
    relay.enqueue(EMAILS.job("1", Email("a")))  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    relay.enqueue_batch([EMAILS.job("1", Email("a"))])  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    relay.remove(EMAILS, "1")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    relay.aclose()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    helper.complete()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    helper.heartbeat(Progress(1))  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    helper.reschedule()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    helper.requeue([])  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    helper.remove()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def results_without_await(relay: AsyncClient) -> None:
    take_flag(relay.exists(EMAILS, "1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    take_job(relay.get(EMAILS, "1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for _ in relay.next(EMAILS):  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownVariableType, reportGeneralTypeIssues]
        pass
    for _ in relay.iter(EMAILS):  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownVariableType, reportGeneralTypeIssues]
        pass


async def a_truth_without_await(relay: AsyncClient) -> None:
    if relay.exists(EMAILS, "1"):  # type: ignore[truthy-bool]  # pyright: ignore[reportUnnecessaryComparison]
        await relay.remove(EMAILS, "1")


async def the_wrong_await(relay: AsyncClient, helper: AsyncJobHelper[Email, Progress]) -> None:
    await relay.iter(EMAILS)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await helper.job  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async for _ in relay.next(EMAILS):  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownVariableType, reportGeneralTypeIssues]
        pass
    with relay:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with helper.heartbeat_auto():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def wrong_values(relay: AsyncClient, helper: AsyncJobHelper[Email, Progress]) -> None:
    AsyncClient(api="v3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.enqueue(Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.enqueue(EMAILS.job("1", Email("a")), mode="overwrite")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.get(EMAILS, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.next(Email)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.next(EMAILS, stop=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await helper.heartbeat(Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await helper.reschedule(delay="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await helper.reschedule(EMAILS.job("1", Email("a")), delay=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await helper.release(state=Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await helper.reschedule(state=Email("a"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await helper.requeue([Email("a")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    take_progress(helper.job.payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def one_world_for_the_other(
    relay: Client,
    arelay: AsyncClient,
    helper: JobHelper[Email, Progress],
    ahelper: AsyncJobHelper[Email, Progress],
) -> None:
    use_client(arelay)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    use_helper(ahelper)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ause_client(relay)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ause_helper(helper)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await relay.enqueue(EMAILS.job("1", Email("a")))  # type: ignore[misc, func-returns-value]  # pyright: ignore[reportGeneralTypeIssues]
    await helper.complete()  # type: ignore[misc, func-returns-value]  # pyright: ignore[reportGeneralTypeIssues]
    async with relay:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
