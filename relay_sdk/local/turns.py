"""Requests from a loop, answered in a thread that may wait for the disk."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from . import answers
from .answers import Response
from .app import App, Request, Turn, Work, place
from .call import CLAIMS, num_jobs
from .holds import LATE, LONGEST, Holds
from .http import Exchange
from .news import News
from .routes import Found

log: logging.Logger = logging.getLogger("relay_sdk.local")


SLOW = 0.004
"""Seconds for a turn of several requests, after which the next one begins with a pause."""

LOOK = 1.0
"""Seconds between looks, for who is held, for the jobs that other servers tell nobody of."""

PAUSE = 0.001
"""Seconds in which those who were just answered may ask anew, and so share the next turn."""


class _Ask:
    """An exchange that needs the database."""

    def __init__(self, exchange: Exchange, found: Found, seconds: int) -> None:
        self.exchange = exchange
        self.found = found
        self.seconds = seconds
        self.num_jobs = 1
        self.timer: asyncio.TimerHandle | None = None
        self.over = seconds == 0  # the next answer is the last word

    @property
    def work(self) -> Work:
        return self.exchange.request, self.found

    @property
    def queue(self) -> str:
        return self.found.path["queue"]

    def answer(self, response: Response, *, stopping: bool = False) -> None:
        if self.timer is not None:
            self.timer.cancel()
        kept = self.seconds and response.status < 300 and not stopping
        self.exchange.answer(response, f"preference-applied: wait={self.seconds}\r\n" * bool(kept))


class Turns:
    """Answers the requests of one event loop.

    Those that arrive while the thread is at work are its next turn: they share a transaction, and
    so wait for the disk once. Who asks for jobs and is ready to wait is held until there are some.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._turns: SimpleQueue[list[_Ask] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="relay database", daemon=True)
        self._thread.start()
        self._holds: Holds[_Ask] = Holds(self._submit)
        self._waiting: list[_Ask] = []
        self._working = False
        self._next_look: asyncio.TimerHandle | None = None
        self._stopping = False
        self._from_elsewhere: list[News] = []
        self._began = 0.0
        self._took = 0.0
        app.listener = self._hear_from_elsewhere
        self._others = app.store.listen(self._hear_from_others)
        self._look_after = app.reap_interval + LATE
        if self._others is not None:
            self._look_after = min(self._look_after, LOOK)

    def take(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        found = place(exchange.request)
        if isinstance(found, Response):
            exchange.answer(found)
            return
        self._app.counts.request(exchange.request.target, found)
        seconds = wait_preferred(exchange.request) if found.claims and not self._stopping else 0
        exchange.request.waits = seconds > 0
        self._submit(_Ask(exchange, found, seconds))

    def release(self) -> None:
        """Answer all that is held, and hold nothing any more."""
        self._stopping = True
        self._app.listener = None
        if self._next_look is not None:
            self._next_look.cancel()
        for ask in self._holds.clear():
            ask.answer(answers.empty(204), stopping=True)

    def close(self) -> None:
        """Wait for the threads to end."""
        if self._others is not None:
            self._others.close()
        self._turns.put(None)
        self._thread.join()

    def _run(self) -> None:
        """Answer, in the thread, what is put there."""
        while (asks := self._turns.get()) is not None:
            waiters: list[_Ask] = []

            def first(queue: str, jobs: int, noted: list[_Ask] = waiters) -> list[Work]:
                found = self._holds.first(queue, jobs)
                noted += found
                return [ask.work for ask in found]

            try:
                turn = self._app.turn([ask.work for ask in asks], first)
            except BaseException:
                # Nothing is expected here, but each request is answered, whatever comes.
                log.exception("Cannot answer any of %d requests", len(asks))
                turn = Turn([answers.fault()] * len(asks), [], News(0), reaping=False)
            with suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(self._end, asks, waiters, turn)

    def _submit(self, ask: _Ask) -> None:
        self._waiting.append(ask)
        self._work()

    def _work(self) -> None:
        if not self._working:
            self._working = True
            if self._took > SLOW:
                self._loop.call_later(PAUSE, self._begin)
            else:
                self._loop.call_soon(self._begin)  # when all that has arrived is read

    def _begin(self) -> None:
        asks, self._waiting = self._waiting, []
        self._began = monotonic()
        self._turns.put(asks)

    def _end(self, asks: Sequence[_Ask], waiters: Sequence[_Ask], turn: Turn) -> None:
        self._working = False
        self._took = monotonic() - self._began if len(asks) > 1 else 0.0
        given = [
            (ask, response)
            for ask, response in zip(waiters, turn.given, strict=False)
            if response.status != 204
        ]
        for ask, _ in given:
            if not self._holds.remove(ask.queue, ask) and ask in self._waiting:
                self._waiting.remove(ask)  # its time was over meanwhile
        # A turn may have had no time for the last of them.
        self._waiting[:0] = asks[len(turn.responses) :]
        answered = zip(asks, turn.responses, strict=False)
        now = [(ask, response) for ask, response in answered if not self._hold(ask, response)]
        for news in (turn.news, *self._from_elsewhere):
            self._hear(news)
        self._from_elsewhere.clear()
        if self._waiting or turn.reaping:
            self._work()
        for ask, response in given + now:
            ask.answer(response, stopping=self._stopping)

    def _hold(self, ask: _Ask, response: Response) -> bool:
        """Hold a request if there was no job for it and it may still wait; tell whether."""
        if response.status != 204 or ask.over or self._stopping or ask.exchange.request.gone:
            return False
        woken = ask.timer is not None
        if ask.timer is None:
            ask.num_jobs = num_jobs(ask.found.query, CLAIMS)
            ask.timer = self._loop.call_later(ask.seconds, self._time_is_over, ask)
            ask.exchange.when_gone = lambda: self._forget(ask)
        self._holds.add(ask.queue, ask, first=woken)
        if self._next_look is None:
            self._next_look = self._loop.call_later(self._look_after, self._look)
        return True

    def _forget(self, ask: _Ask) -> None:
        self._holds.remove(ask.queue, ask)
        if ask.timer is not None:
            ask.timer.cancel()

    def _time_is_over(self, ask: _Ask) -> None:
        ask.over = True
        if self._holds.remove(ask.queue, ask):
            self._submit(ask)

    def _look(self) -> None:
        """Have a turn, in which timed-out jobs are found, as long as somebody waits for them."""
        self._next_look = None
        if self._holds:
            self._next_look = self._loop.call_later(self._look_after, self._look)
            if self._others is not None:
                self._holds.look()
            self._work()

    def _hear(self, news: News) -> None:
        if not self._holds:
            return
        for queue, jobs in news.ready.items():
            self._holds.gained(queue, jobs)
        for queue, moment in news.due.items():
            self._holds.due(queue, moment, (moment - news.now) / 10**6)

    def _hear_from_elsewhere(self, news: News) -> None:
        self._loop.call_soon_threadsafe(self._note, news)

    def _hear_from_others(self, queue: str | None, run_at: int) -> None:
        """Hear, in any thread, of jobs that other servers stored."""
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._note_others, queue, run_at)

    def _note_others(self, queue: str | None, run_at: int) -> None:
        if queue is None:
            self._holds.look()
        else:
            news = News(self._app.now())
            news.job(queue, run_at)
            self._note(news)

    def _note(self, news: News) -> None:
        if self._working:
            # What the turn found may be older, and who is held for it must hear of this.
            self._from_elsewhere.append(news)
        else:
            self._hear(news)


def wait_preferred(request: Request) -> int:
    """Read how many seconds a client is ready to wait (RFC 7240); 0 if it does not say so."""
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdigit()):
                return 0
            digits = digits.lstrip("0")
            return LONGEST if len(digits) > 2 else min(int(digits or "0"), LONGEST)
    return 0
