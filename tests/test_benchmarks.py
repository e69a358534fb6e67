"""The benchmarks run to their end and measure all that they are to; no figure is tested."""

import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU is read from /proc")


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module(name)


def start(folder: Path) -> subprocess.Popen[str]:
    (folder / "data").mkdir()
    options = ("--quick", "--out", folder / "out", "--data", folder / "data")
    return subprocess.Popen(
        [sys.executable, BENCHMARKS / "run.py", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left(folder: Path) -> list[str]:
    """Return running programs whose arguments or environment name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder / "data" / "relay-bench").encode() in text:
            found.append(text.replace(b"\0", b" ").decode())
    return found


def test_a_quick_run_measures_everything_and_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        _, err = process.communicate(timeout=100)

    assert (process.returncode, err) == (0, "")
    assert left(tmp_path) == []
    assert list((tmp_path / "data").iterdir()) == []
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    rows = {(row["table"], row["what"]): row["figures"] for row in results["rows"]}
    assert rows.keys() >= {
        *(("drain", f"AsyncWorker, {at_once} at once") for at_once in (10, 50, 200)),
        *(("drain", f"Worker, {at_once} at once") for at_once in (8, 32)),
        ("enqueue", "one by one, 1 task"),
        ("enqueue", "one by one, 32 tasks"),
        ("enqueue", "one by one, 1 thread"),
        ("enqueue", "one by one, 8 threads"),
        ("enqueue", "batches of 1,000"),
        *((table, worker) for table in ("latency", "idle") for worker in ("AsyncWorker", "Worker")),
        ("server", "complete, 50 at once"),
        ("server", "complete, at half of that speed"),
        ("server", "enqueue in batches of 1,000, 4 at once"),
        ("import", "import relay_sdk"),
    }
    assert all(figures and all(figures.values()) for figures in rows.values())
    assert "## Drain" in (tmp_path / "out" / "results.md").read_text()
    ElementTree.parse(tmp_path / "out" / "images" / "performance.svg")


def test_ctrl_c_ends_all_that_was_started(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        until = time.monotonic() + 60
        while len(left(tmp_path)) < 2:  # the server, and one that is measured
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert left(tmp_path) == []
    assert list((tmp_path / "data").iterdir()) == []


def test_the_pages_say_what_the_results_say(monkeypatch: pytest.MonkeyPatch) -> None:
    path = BENCHMARKS / "results.json"
    if not path.exists():
        pytest.skip("there was no full run yet")
    results = load("results", monkeypatch).load(path)
    text = load("report", monkeypatch).markdown(results)
    image = ROOT / "docs" / "images" / "performance.svg"

    assert (BENCHMARKS / "results.md").read_text(encoding="utf-8").endswith(text)
    assert text in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert image.read_text(encoding="utf-8") == load("chart", monkeypatch).draw(results)


@pytest.mark.parametrize(
    ("per_second", "verdict"), [(9_999, "not reached"), (10_000, "reached"), (None, "not measured")]
)
def test_a_goal_is_reached_by_the_figures_alone(
    monkeypatch: pytest.MonkeyPatch, per_second: float | None, verdict: str
) -> None:
    goals, results = load("goals", monkeypatch), load("results", monkeypatch)
    rows = (
        [
            results.Row(
                "drain",
                "AsyncWorker, 50 at once",
                "relay-job-sdk",
                {"per_second": [1, per_second, 10**6]},
            )
        ]
        if per_second
        else []
    )

    line = goals.GOALS[1].line(results.Results({}, 3, 10_000, rows))

    assert (line[0], line[-1]) == ("drain, AsyncWorker", verdict)


def test_a_worker_that_takes_ten_jobs_at_once_each_second_does_ten_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = load("marks", monkeypatch)
    times = [10**9 * second + job for second in range(5) for job in range(10)]

    assert marks.rate(times, in_hand=10) == pytest.approx(10)
