"""Build the distributions of a release, check them, and tag it: `make dist`, `make release`.

The version is in pyproject.toml and nowhere else. A release is refused, and nothing is built,
while CHANGELOG.md has no section for it, the tree has changes, or the tag exists.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
BIN = Path(sys.executable).parent
SECTION = r"^## \[{version}\] - \d{{4}}-\d\d-\d\d\n+(?!## )\S"
NOT_ASKED = "AuthorEmail"  # there is no public address


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    number: str = project["version"]
    return number


def run(*command: str | Path) -> None:
    """Run a tool. If it fails, print its output and exit."""
    if status := subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(status)


def git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def problems(number: str, changelog: str, changes: str, tags: str) -> list[str]:
    """Return the reasons against a release."""
    found: list[str] = []
    if not re.search(SECTION.format(version=re.escape(number)), changelog, re.MULTILINE):
        found.append(
            f"CHANGELOG.md has no section '## [{number}] - YYYY-MM-DD': put the text under "
            "Unreleased there, or set another version in pyproject.toml"
        )
    if changes:
        found.append("the tree has changes: commit them")
    if f"v{number}" in tags.split():
        found.append(f"v{number} exists: set the next version in pyproject.toml")
    return found


def dist() -> None:
    """Build the wheel and the source distribution, and run the checks of a package index."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST)
    (wheel,), (source,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    run(BIN / "twine", "check", "--strict", wheel, source)
    run(BIN / "check-wheel-contents", wheel)
    run(BIN / "pyroma", "--min=10", f"--skip-tests={NOT_ASKED}", source)


def release() -> int:
    """Build, check and tag."""
    number = version()
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    against = problems(number, changelog, git("status", "--porcelain"), git("tag"))
    if against:
        sys.stderr.writelines(f"{number} is not released: {problem}\n" for problem in against)
        return 1
    dist()
    git("tag", "--annotate", f"v{number}", "--message", number)
    sys.stdout.write(f"Tagged v{number}. Now: git push origin v{number} && twine upload dist/*\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["release"]:
        sys.exit(release())
    dist()
