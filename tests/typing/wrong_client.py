"""Uses of `Client` and `JobHelper` that both checkers refuse, each on the line it is on."""

from shared import EMAILS, Email, Progress

from relay_sdk import Client, JobHelper
from relay_sdk import Clients as Clients  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


def take_progress(progress: Progress) -> None: ...


def take_bare(helpers: list[JobHelper[Progress]]) -> None: ...


def options(own: object) -> None:
    Client(8080)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(api="v3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(http_client=own)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(next_backoff=0.1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client("http://127.0.0.1:8080", "v2")  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]


def produce(relay: Client) -> None:
    relay.enqueue(Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.enqueue(EMAILS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.enqueue([EMAILS.job("1", Email("a"))])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.enqueue(EMAILS.job("1", Email("a")), mode="overwrite")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.enqueue(EMAILS.job("1", Email("a")), "replace")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    relay.enqueue_batch(EMAILS.job("1", Email("a")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.enqueue_batch([Email("a")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    relay.enqueue_batch([], mode="overwrite")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def look(relay: Client) -> None:
    relay.get(EMAILS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    relay.get(EMAILS, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.exists(EMAILS, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.remove(Email, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    take_progress(relay.get(EMAILS, "1").payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def work(relay: Client) -> None:
    relay.next(Email)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.next(EMAILS, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.next(EMAILS, stop=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    relay.next(EMAILS, 1, 0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    relay.iter(EMAILS, timeout=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    take_bare(relay.next(EMAILS))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for helper in relay.iter(EMAILS):
        take_progress(helper.job.payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def handle(helper: JobHelper[Email, Progress]) -> None:
    helper.job = EMAILS.job("1", Email("a"))  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    helper.lost = False  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    helper.raw.id = "2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    take_progress(helper.job.payload)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    take_progress(helper.job.state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.heartbeat(Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.heartbeat({"sent": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.heartbeat_auto("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.complete(Progress(1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def end(helper: JobHelper[Email, Progress]) -> None:
    helper.reschedule(Email("a"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    helper.reschedule(delay="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    helper.reschedule(EMAILS.job("1", Email("a")), delay=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    helper.release(state=Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.reschedule(state=Email("a"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    helper.reschedule(run_at=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    helper.requeue(EMAILS.job("1", Email("a")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    helper.requeue([Email("a")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    helper.requeue([], mode="overwrite")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
