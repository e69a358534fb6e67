"""The program on PATH that replaces those which the shell blocks of the pages call.

`relay-sdk` is that of this Python. Commands that run until Ctrl-C are interrupted after their first
output: the address of a server, or what the handler of a worker prints about a job. The other
programs install something, or need Docker: only their arguments are checked.
"""

import os
import pty
import select
import signal
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Never

ROOT = Path(__file__).resolve().parent.parent.parent
RELAY_SDK = [sys.executable, "-P", "-m", "relay_sdk.cli"]
BOUND = 30.0


def main(name: str, *words: str) -> int:
    match name, *words:
        case "relay-sdk", "serve" | "work", *_:
            return run_until_it_prints(*words)
        case "relay-sdk", "queues", *options if "--watch" in options:
            return run_until_it_prints(*words)
        case "relay-sdk", *_:
            become(*RELAY_SDK, *words)
        case "python3", "-m", "venv", _:
            # Without pip, which takes seconds to install. Then the replacement below is found.
            become(sys.executable, "-m", "venv", "--without-pip", words[-1])
        case "pip", "install", what if what.startswith(".[") and what.endswith("]"):
            # tests/test_wheel.py installs the package.
            missing = set(what[2:-1].split(",")) - set(extras())
            return report(f"no such extras: {missing}") if missing else 0
        case "docker", "compose", "--file", file, "up":
            # tests/test_observability.py and tests/test_deployment.py check these files.
            return 0 if (ROOT / file).is_file() else report(f"no such file: {file}")
    return report(f"there is no replacement for this command: {name} {' '.join(words)}")


def run_until_it_prints(*words: str) -> int:
    screen, stdout = pty.openpty()  # `queues --watch` needs a terminal
    process = subprocess.Popen([*RELAY_SDK, *words], stdin=subprocess.DEVNULL, stdout=stdout)
    os.close(stdout)
    try:
        prints = bool(select.select([screen], [], [], BOUND)[0])
        if not (prints and is_read(screen)):
            return report(f"it ended, or printed nothing: relay-sdk {' '.join(words)}")
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(1)
        except subprocess.TimeoutExpired:  # a job is running; a second one ends it
            process.send_signal(signal.SIGINT)
            status = process.wait(BOUND)
        return 0 if status in {0, 128 + signal.SIGINT, -signal.SIGINT} else status
    finally:
        process.kill()
        process.wait()


def is_read(screen: int) -> bool:
    try:
        return bool(os.read(screen, 1024))
    except OSError:  # Linux reports EIO when the other end is closed
        return False


def extras() -> list[str]:
    return metadata("relay-job-sdk").get_all("Provides-Extra") or []


def become(*command: str) -> Never:
    os.execv(command[0], command)


def report(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
