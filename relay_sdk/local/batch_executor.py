"""Execute the requests of an event loop in batches, in a thread that may wait for the disk."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from . import responses
from .app import App, BatchResult, RoutedRequest, route
from .arrivals import JobArrivals
from .context import MAX_CLAIMED_JOBS, parse_num_jobs
from .http import Exchange
from .long_polls import DUE_MARGIN, LongPolls, preferred_wait
from .responses import Response
from .routes import RouteMatch

log: logging.Logger = logging.getLogger("relay_sdk.local")


SLOW_BATCH = 0.004
"""Seconds for a batch of several requests, after which the next one begins with a pause."""

SLOW_BATCH_PAUSE = 0.001
"""Seconds in which clients that were just answered may send more, to share the next batch."""

POLL_INTERVAL = 1.0
"""Seconds between polls, while requests wait, for jobs of other servers without a notification."""


class _PendingRequest:
    """An exchange that needs the database."""

    def __init__(self, exchange: Exchange, match: RouteMatch, seconds: int) -> None:
        self.exchange = exchange
        self.match = match
        self.seconds = seconds
        self.num_jobs = 1
        self.timer: asyncio.TimerHandle | None = None
        self.timed_out = seconds == 0  # the next response is final

    @property
    def work(self) -> RoutedRequest:
        return self.exchange.request, self.match

    @property
    def queue(self) -> str:
        return self.match.path["queue"]

    def answer(self, response: Response, *, stopping: bool = False) -> None:
        if self.timer is not None:
            self.timer.cancel()
        applied = self.seconds and response.status < 300 and not stopping
        header = f"preference-applied: wait={self.seconds}\r\n" if applied else ""
        self.exchange.answer(response, header)


class BatchExecutor:
    """Executes the requests of one event loop.

    Requests that arrive while the thread is busy form the next batch: they share a transaction,
    and so wait for the disk once. A long poll waits until its queue has jobs.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._batches: SimpleQueue[list[_PendingRequest] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="relay database", daemon=True)
        self._thread.start()
        self._long_polls: LongPolls[_PendingRequest] = LongPolls(self._submit)
        self._pending: list[_PendingRequest] = []
        self._busy = False
        self._next_poll: asyncio.TimerHandle | None = None
        self._stopping = False
        self._arrivals_while_busy: list[JobArrivals] = []
        self._began = 0.0
        self._took = 0.0
        app.on_arrivals = self._arrivals_from_thread
        self._listener = app.store.listen(self._arrival_at_other_server)
        self._poll_interval = app.reap_interval + DUE_MARGIN
        if self._listener is not None:
            self._poll_interval = min(self._poll_interval, POLL_INTERVAL)

    def submit(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        match = route(exchange.request)
        if isinstance(match, Response):
            exchange.answer(match)
            return
        self._app.stats.record_request(exchange.request.target, match)
        seconds = preferred_wait(exchange.request) if match.claims and not self._stopping else 0
        exchange.request.is_long_poll = seconds > 0
        self._submit(_PendingRequest(exchange, match, seconds))

    def stop_long_polls(self) -> None:
        """Answer all long polls, and hold no request from now on."""
        self._stopping = True
        self._app.on_arrivals = None
        if self._next_poll is not None:
            self._next_poll.cancel()
        for pending in self._long_polls.clear():
            pending.answer(responses.empty(204), stopping=True)

    def close(self) -> None:
        """Wait for the threads to end."""
        if self._listener is not None:
            self._listener.close()
        self._batches.put(None)
        self._thread.join()

    def _run(self) -> None:
        """Execute the batches; this runs in the thread."""
        while (batch := self._batches.get()) is not None:
            claimed_for: list[_PendingRequest] = []

            def find_long_polls(
                queue: str, jobs: int, claimed_for: list[_PendingRequest] = claimed_for
            ) -> list[RoutedRequest]:
                found = self._long_polls.first(queue, jobs)
                claimed_for += found
                return [pending.work for pending in found]

            try:
                work = [pending.work for pending in batch]
                result = self._app.execute_batch(work, find_long_polls)
            except BaseException:
                # No exception is expected here, but each request must get a response.
                log.exception("Cannot answer any of %d requests", len(batch))
                errors = [responses.server_error()] * len(batch)
                result = BatchResult(errors, [], JobArrivals(0), more_to_reap=False)
            with suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(self._end_batch, batch, claimed_for, result)

    def _submit(self, pending: _PendingRequest) -> None:
        self._pending.append(pending)
        self._start_batch()

    def _start_batch(self) -> None:
        if not self._busy:
            self._busy = True
            if self._took > SLOW_BATCH:
                self._loop.call_later(SLOW_BATCH_PAUSE, self._hand_over_batch)
            else:
                # The loop first reads all requests that have arrived, so that they share a batch.
                self._loop.call_soon(self._hand_over_batch)

    def _hand_over_batch(self) -> None:
        batch, self._pending = self._pending, []
        self._began = monotonic()
        self._batches.put(batch)

    def _end_batch(
        self,
        batch: Sequence[_PendingRequest],
        claimed_for: Sequence[_PendingRequest],
        result: BatchResult,
    ) -> None:
        self._busy = False
        self._took = monotonic() - self._began if len(batch) > 1 else 0.0
        served = [
            (pending, response)
            for pending, response in zip(claimed_for, result.long_poll_responses, strict=False)
            if response.status != 204
        ]
        for pending, _ in served:
            if not self._long_polls.remove(pending.queue, pending) and pending in self._pending:
                self._pending.remove(pending)  # it timed out during the batch
        # The batch may have had no time for its last requests.
        self._pending[:0] = batch[len(result.responses) :]
        answered = zip(batch, result.responses, strict=False)
        final = [
            (pending, response)
            for pending, response in answered
            if not self._keep_waiting(pending, response)
        ]
        for arrivals in (result.arrivals, *self._arrivals_while_busy):
            self._notify_long_polls(arrivals)
        self._arrivals_while_busy.clear()
        if self._pending or result.more_to_reap:
            self._start_batch()
        for pending, response in served + final:
            pending.answer(response, stopping=self._stopping)

    def _keep_waiting(self, pending: _PendingRequest, response: Response) -> bool:
        """Keep a request waiting if it found no job and may still wait; return whether it waits."""
        if (
            response.status != 204
            or pending.timed_out
            or self._stopping
            or pending.exchange.request.client_gone
        ):
            return False
        woken = pending.timer is not None
        if pending.timer is None:
            pending.num_jobs = parse_num_jobs(pending.match.query, MAX_CLAIMED_JOBS)
            pending.timer = self._loop.call_later(pending.seconds, self._time_out, pending)
            pending.exchange.when_gone = lambda: self._forget(pending)
        self._long_polls.add(pending.queue, pending, first=woken)
        if self._next_poll is None:
            self._next_poll = self._loop.call_later(self._poll_interval, self._poll)
        return True

    def _forget(self, pending: _PendingRequest) -> None:
        self._long_polls.remove(pending.queue, pending)
        if pending.timer is not None:
            pending.timer.cancel()

    def _time_out(self, pending: _PendingRequest) -> None:
        pending.timed_out = True
        if self._long_polls.remove(pending.queue, pending):
            self._submit(pending)

    def _poll(self) -> None:
        """Execute a batch, which reaps timed-out jobs, as long as a long poll waits for jobs."""
        self._next_poll = None
        if self._long_polls:
            self._next_poll = self._loop.call_later(self._poll_interval, self._poll)
            if self._listener is not None:
                self._long_polls.notify_all_queues()
            self._start_batch()

    def _notify_long_polls(self, arrivals: JobArrivals) -> None:
        if not self._long_polls:
            return
        for queue, jobs in arrivals.ready.items():
            self._long_polls.notify(queue, jobs)
        for queue, due in arrivals.due.items():
            self._long_polls.notify_later(queue, due, (due - arrivals.now) / 10**6)

    def _arrivals_from_thread(self, arrivals: JobArrivals) -> None:
        """Handle the arrivals of a batch that another thread executed."""
        self._loop.call_soon_threadsafe(self._handle_arrivals, arrivals)

    def _arrival_at_other_server(self, queue: str | None, run_at: int) -> None:
        """Handle, in any thread, a job that another server stored."""
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._handle_other_server, queue, run_at)

    def _handle_other_server(self, queue: str | None, run_at: int) -> None:
        if queue is None:
            self._long_polls.notify_all_queues()
        else:
            arrivals = JobArrivals(self._app.now())
            arrivals.add(queue, run_at)
            self._handle_arrivals(arrivals)

    def _handle_arrivals(self, arrivals: JobArrivals) -> None:
        if self._busy:
            # The running batch may have read the queue before this job arrived. The requests that
            # the batch lets wait must be notified of the job afterwards.
            self._arrivals_while_busy.append(arrivals)
        else:
            self._notify_long_polls(arrivals)
