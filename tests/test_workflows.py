"""The hosted workflow tests what pyproject.toml promises, with commands that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from .matrix import RESOLUTIONS, classified

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())[
    "jobs"
]


def commands(path: Path) -> str:
    """Return all that the steps of a workflow run, and the script .ci/run."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    steps = [step.get("run", "") for job in jobs for step in job["steps"]]
    return "\n".join([*steps, (ROOT / ".ci" / "run").read_text(encoding="utf-8")])


@pytest.mark.parametrize("job", ["linux", "others"])
def test_every_python_of_the_classifiers_is_tested(job: str) -> None:
    assert JOBS[job]["strategy"]["matrix"]["python"] == classified()


def test_the_oldest_and_the_newest_dependencies_are_tested() -> None:
    assert JOBS["linux"]["strategy"]["matrix"]["dependencies"] == list(RESOLUTIONS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    text = commands(path)

    named = {
        name for line in re.findall(r"^make (.+)$", text, re.MULTILINE) for name in line.split()
    }
    assert named
    assert named <= targets
    assert [
        name for name in re.findall(r"\btests/[\w./]+", text) if not (ROOT / name).exists()
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_ends_in_time(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    assert "secrets." not in path.read_text(encoding="utf-8")
