"""Send mails from one event loop until Ctrl-C, a hundred at a time."""

import asyncio

from emails import EMAILS, Email, Progress

from relay_sdk import AsyncClient, AsyncJobHelper, AsyncWorker, Backoff


async def send(helper: AsyncJobHelper[Email, Progress]) -> None:
    email, state = helper.job.payload, helper.job.state
    sent = state.sent if state else 0  # a second run continues where the first one ended
    for address in email.to[sent:]:
        print(f"To: {address}, subject: {email.subject}", flush=True)
        sent += 1
        await helper.heartbeat(Progress(sent))


async def main() -> None:
    # A mail that fails is retried after 1, 2, 4 ... seconds, up to ten times.
    retry = Backoff(1, maximum=600, factor=2, retries=10)
    async with AsyncClient() as relay:  # the server at $RELAY_URL
        await AsyncWorker(relay, EMAILS, send, concurrency=100, retry=retry).run()


if __name__ == "__main__":
    asyncio.run(main())
