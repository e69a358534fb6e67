"""Write generated/relay_api from openapi/relay.yaml; with --check, show what that would change.

The generator's templates are used as openapi/templates.patch changes them.
"""

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "generated" / "relay_api"


def generate(package: Path) -> None:
    """Generate the package at a path where nothing is yet, or exit with the generator's message."""
    with tempfile.TemporaryDirectory() as templates:
        for name, text in changed_templates():
            Path(templates, name).write_text(text, encoding="utf-8")
        _run_generator(package, templates)
    (package / "py.typed").touch()  # without it, type checkers take every name for Any
    # For programs that have no reader of YAML, such as `relay-sdk schema`.
    relay = yaml.safe_load((ROOT / "openapi" / "relay.yaml").read_text(encoding="utf-8"))
    (package / "relay.json").write_text(f"{json.dumps(relay, indent=1)}\n", encoding="utf-8")


def changed_templates() -> Iterator[tuple[str, str]]:
    """Yield name and text of each template as the patch has it, or exit where that does not fit."""
    spec = find_spec("openapi_python_client")
    originals = Path(str(spec and spec.origin)).parent / "templates"
    patch = (ROOT / "openapi" / "templates.patch").read_text(encoding="utf-8")
    for part in re.split("^--- ", patch, flags=re.MULTILINE)[1:]:
        head, *hunks = re.split("^@@.*\n", part, flags=re.MULTILINE)
        name = head.split()[0]
        text = (originals / name).read_text(encoding="utf-8")
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(x[1:] for x in lines if x[0] in marks) for marks in (" -", " +"))
            if (found := text.count(old)) != 1:
                sys.exit(
                    f"openapi/templates.patch does not fit openapi-python-client "
                    f"{version('openapi-python-client')}: its {name} should have this once, "
                    f"and has it {found} times:\n{old}\n"
                    "Nothing was generated; generated/ is as it was."
                )
            text = text.replace(old, new)
        yield name, text


def _run_generator(package: Path, templates: str) -> None:
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--path", str(ROOT / "openapi" / "relay.yaml")),
        *("--config", str(ROOT / "openapi" / "generator.yml")),
        *("--custom-template-path", templates),
        *("--meta", "none", "--output-path", str(package)),
    ]
    # The generator runs ruff by name. The one beside this Python is the pinned one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = os.environ | {"PATH": path}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{run.stdout}{run.stderr}\nNothing was generated; generated/ is as it was.")


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
