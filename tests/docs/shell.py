"""Runs the pages' shell and SQL blocks."""

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
    """Put what stands in for programs into a folder, for PATH."""
    for name in NAMES:
        command = shlex.join([sys.executable, str(PROGRAM), name])
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)


def run_shell(block: Block, programs: Path) -> None:
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HTTP_PORT": "0",  # a server takes a free port where the page names none
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
    """Run each statement by itself. The role and the database `relay` are named otherwise."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in re.sub(r"\brelay\b", made, block.code).split(";\n"):
            connection.execute(statement.encode())
