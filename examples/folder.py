"""Find the files of the demo, and verify the results."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from hashing import Sum

Files = dict[str, os.stat_result]


def find(top: Path) -> Files:
    """List the files below a folder, except links, hidden folders and unreadable files."""
    files: Files = {}
    for where, folders, entries in os.walk(top):
        folders[:] = [entry for entry in folders if entry[0] != "." and entry != "__pycache__"]
        for path in (Path(where, entry) for entry in entries):
            name = path.relative_to(top).as_posix()
            if len(name) <= 1024 and is_text(str(path)) and is_readable_file(path):
                files[name] = path.stat()
    return files


def is_readable_file(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.is_file() and not path.is_symlink()


def is_text(name: str) -> bool:
    """Return whether JSON can represent the name. On Linux, it may be any bytes."""
    return name.encode(errors="ignore").decode() == name


def verify(top: Path, files: Files, sums: Mapping[str, Sum]) -> tuple[list[str], list[str]]:
    """Read the files again: which results are wrong, and which files have changed?"""
    wrong: list[str] = []
    changed: list[str] = []
    for name, before in files.items():
        try:
            with open(top / name, "rb") as file:
                now = os.fstat(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        except OSError:
            changed.append(name)
            continue
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            changed.append(name)
        elif not fits(sums[name], before.st_size, lines, digest):
            wrong.append(name)
    return wrong, changed


def fits(result: Sum, size: int, lines: int, digest: str) -> bool:
    return (result.size, result.lines, result.sha256) == (size, lines, digest)
