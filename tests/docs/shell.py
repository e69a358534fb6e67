"""Run the shell and SQL blocks of the pages."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from .pages import Block

PROGRAM = Path(__file__).with_name("program.py")
NAMES = ("relay-sdk", "python3", "pip", "docker")
POSTGRES = "postgresql://relay@db.example/relay"


def make_programs(folder: Path) -> None:
    """Create scripts that replace programs in a folder, for PATH."""
    for name in NAMES:
        command = shlex.join([sys.executable, str(PROGRAM), name])
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)


def run_shell(block: Block, programs: Path) -> None:
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HTTP_PORT": "0",  # use a free port where the page does not name one
        "TERM": "xterm",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        env=environment,
        input="y\n",  # `relay-sdk purge` asks
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"line {block.line}: {done.stdout}{done.stderr}"


def run_sql(block: Block, url: str, made: str) -> None:
    """Run each statement separately, with other names for the role and the database `relay`."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in re.sub(r"\brelay\b", made, block.code).split(";\n"):
            connection.execute(statement.encode())
