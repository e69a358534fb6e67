"""Write generated/relay_api from openapi/relay.yaml; with --check, show what that would change."""

import argparse
import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "generated" / "relay_api"


def generate(package: Path) -> None:
    """Generate the package at a path where nothing is yet, or exit with the generator's message."""
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--path", str(ROOT / "openapi" / "relay.yaml")),
        *("--config", str(ROOT / "openapi" / "generator.yml")),
        *("--meta", "none", "--output-path", str(package)),
    ]
    # The generator runs ruff by name. The one beside this Python is the pinned one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = os.environ | {"PATH": path}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{run.stdout}{run.stderr}\nNothing was generated; generated/ is as it was.")
    (package / "py.typed").touch()  # without it, type checkers take every name for Any


def write() -> None:
    PACKAGE.parent.mkdir(exist_ok=True)
    # Beside its place, so that the swap is two renames; a failure before them changes nothing.
    with tempfile.TemporaryDirectory(dir=PACKAGE.parent, prefix=".new-") as temporary:
        new = Path(temporary, "new")
        generate(new)
        if PACKAGE.exists():
            PACKAGE.rename(Path(temporary, "old"))
        new.rename(PACKAGE)


def check() -> str:
    """Return what a fresh generation would change: nothing, or the files and their diffs."""
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary, "new"))
        want, have = files(Path(temporary, "new")), files(PACKAGE)
    report = ""
    for name in sorted(want.keys() | have.keys()):
        if want.get(name) != have.get(name):
            state = "missing" if name not in have else "stale" if name not in want else "differs"
            old, new = (side.get(name, "").splitlines(keepends=True) for side in (have, want))
            diff = difflib.unified_diff(old, new, "generated", "fresh")
            report += f"{state}: generated/relay_api/{name}\n{''.join(diff)}"
    return report


def files(package: Path) -> dict[str, str]:
    return {
        path.relative_to(package).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    if not parser.parse_args().check:
        write()
    elif report := check():
        sys.exit(f"{report}\ngenerated/ is not what openapi/ gives. Run `make generate`.")


if __name__ == "__main__":
    main()
