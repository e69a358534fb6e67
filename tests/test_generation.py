"""generated/ is the output of openapi/generate.py, independent of the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def generate(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "openapi" / "generate.py"), *arguments],
        cwd=root.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tree(root: Path) -> dict[str, bytes]:
    package = root / "generated" / "relay_api"
    return {
        str(path.relative_to(package)): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the description and the generated code that a test may change."""
    for name in ("openapi", "generated"):
        shutil.copytree(
            ROOT / name,
            tmp_path / "copy" / name,
            ignore=shutil.ignore_patterns("__pycache__", ".*"),
        )
    return tmp_path / "copy"


def test_the_generated_code_is_what_the_description_gives() -> None:
    done = generate(ROOT, "--check")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_bytes_come_whatever_is_around(copy: Path) -> None:
    """Another folder, a ruff configuration above it, another hash seed, no virtualenv on PATH."""
    shutil.rmtree(copy / "generated")
    hostile = '[tool.ruff]\nline-length = 60\nforce-exclude = true\nextend-exclude = ["*"]\n'
    (copy.parent / "pyproject.toml").write_text(hostile, encoding="utf-8")

    done = generate(copy, PYTHONHASHSEED="12345", PATH=os.defpath)

    assert done.returncode == 0, done.stderr
    assert tree(copy) == tree(ROOT)


def test_a_stale_file_is_found_and_goes(copy: Path) -> None:
    (copy / "generated" / "relay_api" / "old.py").touch()

    found = generate(copy, "--check")
    generate(copy)

    assert found.returncode == 1
    assert found.stderr.startswith("stale: generated/relay_api/old.py\n\ngenerated/ is not")
    assert tree(copy) == tree(ROOT)


def test_an_edit_by_hand_is_found_and_shown(copy: Path) -> None:
    with (copy / "generated" / "relay_api" / "errors.py").open("a", encoding="utf-8") as file:
        file.write("# by hand\n")

    found = generate(copy, "--check")

    assert found.returncode == 1
    assert "differs: generated/relay_api/errors.py\n" in found.stderr
    assert "\n-# by hand\n" in found.stderr


def test_a_failed_generation_changes_nothing(copy: Path) -> None:
    description = copy / "openapi" / "relay.yaml"
    text = description.read_text(encoding="utf-8").replace("schema: {}", "# no schema")
    description.write_text(text, encoding="utf-8")

    failed = generate(copy)

    assert failed.returncode == 1
    assert failed.stderr.endswith("Nothing was generated; generated/ is as it was.\n")
    assert tree(copy) == tree(ROOT)
    assert [path.name for path in (copy / "generated").iterdir()] == ["relay_api"]


def test_a_template_that_the_patch_does_not_fit_is_named(copy: Path) -> None:
    """A new generator may have other templates: each hunk must fit them exactly, and once."""
    patch = copy / "openapi" / "templates.patch"
    text = patch.read_text(encoding="utf-8")
    there = "-    status_code: HTTPStatus\n"
    assert there in text
    patch.write_text(text.replace(there, "-    status_code: StatusOfNow\n"), encoding="utf-8")

    failed = generate(copy)

    assert failed.returncode == 1
    assert "does not fit openapi-python-client 0.29.1: its types.py.jinja should" in failed.stderr
    assert "and has it 0 times:" in failed.stderr
    assert "    status_code: StatusOfNow\n" in failed.stderr
    assert failed.stderr.endswith("Nothing was generated; generated/ is as it was.\n")
    assert tree(copy) == tree(ROOT)


def test_a_hunk_of_the_patch_that_fits_twice_is_named(copy: Path) -> None:
    patch = copy / "openapi" / "templates.patch"
    text = patch.read_text(encoding="utf-8")
    hunk = "+++ types.py.jinja\n@@\n-@define\n+@frozen\n"
    patch.write_text(text.replace("+++ types.py.jinja\n", hunk), encoding="utf-8")

    failed = generate(copy)

    assert failed.returncode == 1
    assert "and has it 2 times:\n@define\n" in failed.stderr
