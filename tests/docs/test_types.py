"""The python blocks of the pages pass mypy as strictly as the SDK does."""

import re
import subprocess
import sys
from pathlib import Path

from .pages import PAGES, ROOT, blocks

# Django does not have type annotations.
LENIENT = '# mypy: disable-error-code="import-untyped,untyped-decorator"'
CACHE = ROOT / ".mypy_cache"  # shared with `make check`, which has checked the libraries


def test_python_blocks_are_typed(tmp_path: Path) -> None:
    for page in PAGES:
        lines = [LENIENT]
        for block in blocks(page):
            if block.language != "python" or block.comment.startswith(("examples/", "not run")):
                continue
            if block.comment.endswith(".py"):
                (tmp_path / block.comment).write_text(block.code, encoding="utf-8")
                continue
            lines += [""] * (block.line - 1 - len(lines)) + block.code.splitlines()
        name = re.sub(r"\W", "_", page.stem.lower())
        (tmp_path / f"page_{name}.py").write_text("\n".join(lines), encoding="utf-8")

    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml"]
    command += ["--cache-dir", CACHE, *sorted(tmp_path.glob("*.py"))]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
