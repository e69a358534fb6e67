"""Send mails until Ctrl-C, which lets the running jobs finish."""

from emails import EMAILS, Email, Progress

from relay_sdk import Client, JobHelper, Worker


def send(helper: JobHelper[Email, Progress]) -> None:
    email, state = helper.job.payload, helper.job.state
    sent = state.sent if state else 0  # a second run continues where the first one ended
    for address in email.to[sent:]:
        print(f"To: {address}, subject: {email.subject}", flush=True)
        sent += 1
        helper.heartbeat(Progress(sent))


if __name__ == "__main__":
    with Client() as relay:  # the server at $RELAY_URL
        Worker(relay, EMAILS, send, concurrency=4).run()
