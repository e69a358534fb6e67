"""Send requests while connections break, and print memory and open files.

    python benchmarks/soak_transport.py --seconds 60 --kind asyncio

The server is restarted twice a second, tasks are cancelled at any moment, and processes are forked.
A reply to another request ends the run, and so does an error that is not an `HttpError`. The server
runs in a separate process, so that its threads are not forked.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import signal
import socket
import threading
import time
from collections import Counter

import anyio
from anyio.lowlevel import checkpoint

from relay_sdk._base.flow import Request
from relay_sdk._http.address import Address
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk._http.errors import HttpError

counts: Counter[str] = Counter()
AT_ONCE = 20


class Echo(asyncio.Protocol):
    """Answers with the path of the request; some replies are late, some are cut off."""

    def __init__(self, made: list[asyncio.Transport]) -> None:
        self.made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""
        self.made.append(transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            reply = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(path), path)
            chance = random.random()
            if chance < 0.001:
                self.transport.write(reply[:-1])
                self.transport.close()
            elif chance < 0.01:
                loop = asyncio.get_running_loop()
                loop.call_later(random.random() / 20, self.transport.write, reply)
            else:
                self.transport.write(reply)


def serve(port: int, seconds: float) -> None:
    """Serve again and again, for half a second each time."""

    async def once() -> None:
        loop = asyncio.get_running_loop()
        made = list[asyncio.Transport]()
        server = await loop.create_server(lambda: Echo(made), "127.0.0.1", port, reuse_port=True)
        await asyncio.sleep(0.5)
        server.close()
        for transport in made:
            transport.abort()
        await asyncio.sleep(0)

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asyncio.run(once())


def check(number: int, content: bytes) -> None:
    counts["replies"] += 1
    if content != b"/%d" % number:
        os.write(2, b"WRONG REPLY: /%d got %b\n" % (number, content))
        os._exit(9)


def soak_threads(http: Http, end: float) -> None:
    def go(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end:
            number = chance.randrange(10**12)
            try:
                check(number, http.send(Request("GET", f"/{number}", timeout=1)).content)
            except HttpError as error:
                counts["sent" if error.sent else "not sent"] += 1
                time.sleep(0.001)

    threads = [threading.Thread(target=go, args=[n]) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        time.sleep(1)
        fork(lambda: soak_threads(http, min(end, time.monotonic() + 0.3)))
    for thread in threads:
        thread.join()


async def soak_tasks(http: AsyncHttp, end: float, backend: str) -> None:
    async def one() -> None:
        number = random.randrange(10**12)
        try:
            check(number, (await http.send(Request("GET", f"/{number}", timeout=1))).content)
        except HttpError as error:
            counts["sent" if error.sent else "not sent"] += 1
            await anyio.sleep(0.001)

    async def go() -> None:
        while time.monotonic() < end:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one)
                if random.random() < 0.1:
                    for _ in range(random.randrange(12)):
                        await checkpoint()
                    tasks.cancel_scope.cancel()
                    counts["cancelled"] += 1

    async def fork_now_and_then() -> None:
        while time.monotonic() < end:
            await anyio.sleep(1)
            await anyio.to_thread.run_sync(fork, in_a_child)

    def in_a_child() -> None:
        anyio.run(soak_tasks, http, min(end, time.monotonic() + 0.3), "", backend=backend)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(go)
        if backend:  # a child has no children
            tasks.start_soon(fork_now_and_then)


def fork(function: object) -> None:
    assert callable(function)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(20)
            function()
            code = 0
        finally:
            os._exit(code)
    counts["forks"] += 1
    if os.waitpid(pid, 0)[1]:
        os.write(2, b"A CHILD FAILED\n")
        os._exit(9)


def state() -> str:
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * resource.getpagesize() // 1024
    return f"{resident} KiB, {len(os.listdir('/proc/self/fd'))} files, {dict(counts)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kind", choices=["sync", "asyncio", "uvloop", "trio"], default="asyncio")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = multiprocessing.Process(target=serve, args=[port, options.seconds + 5])
    server.start()
    time.sleep(0.3)
    address = Address(f"http://127.0.0.1:{port}", 5, None)

    def part(seconds: float) -> None:
        if options.kind == "sync":
            http = Http(address, None)
            soak_threads(http, time.monotonic() + seconds)
            print(state(), flush=True)
            http.close()
            return

        async def tasks() -> None:
            http = AsyncHttp(address, None)
            await soak_tasks(http, time.monotonic() + seconds, backend)
            print(state(), flush=True)
            await http.aclose()

        backend = "trio" if options.kind == "trio" else "asyncio"
        use = {"use_uvloop": True} if options.kind == "uvloop" else {}
        anyio.run(tasks, backend=backend, backend_options=use)

    for _ in range(4):
        part(options.seconds / 4)
        print("closed:", state(), flush=True)
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
