"""Install the peers: libraries into a separate virtual environment, missing servers by apt."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from children import HERE

VENV = HERE.parent / ".venv-peers"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = (
    "pgqueuer==1.6.0",
    "asyncpg",
    "uvloop",
    "dramatiq[redis]==2.2.1",
    "celery[redis]==5.7.0",
)
INSTALL = 600  # seconds
NAMES = ("pgqueuer", "asyncpg", "uvloop", "dramatiq", "celery", "redis")


def install() -> None:
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    # The constraints of the SDK do not apply to the peers.
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, *REQUIREMENTS], env=env, check=True, timeout=INSTALL)
    missing = [
        package
        for package, binary in (("redis-server", redis_binary()), ("postgresql", postgres_folder()))
        if binary is None
    ]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"install {' and '.join(missing)} first: only root can, and only on Debian")
    env = os.environ | {
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }  # starts no service
    subprocess.run(["apt-get", "update", "-qq"], env=env, check=True, timeout=INSTALL)
    apt = ("apt-get", "install", "-qq", "--yes", "--no-install-recommends")
    subprocess.run([*apt, *missing], env=env, check=True, timeout=INSTALL)


def redis_binary() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None


def postgres_folder() -> Path | None:
    """Find the newest PostgreSQL of Debian, which is not on the PATH, or another one."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    newest = max(folders, key=lambda folder: int(folder.parent.name), default=None)
    found = shutil.which("initdb")
    return newest or (Path(found).parent if found else None)


def versions() -> dict[str, str]:
    ask = f"import json, machine; print(json.dumps(machine.packages({NAMES})))"
    done = subprocess.run(
        [PYTHON, "-c", ask],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=True,
    )
    folder = postgres_folder()
    programs = {"Redis": redis_binary(), "PostgreSQL": folder / "postgres" if folder else None}
    return {
        **{f"{name} (peers)": version for name, version in json.loads(done.stdout).items()},
        **{
            name: subprocess.check_output([program, "--version"], text=True).strip()
            for name, program in programs.items()
            if program
        },
    }


if __name__ == "__main__":
    install()
