"""A release has a section in the changelog, and its version is in one place."""

import re
from importlib.metadata import version as installed

import pytest

from . import release

NOTES = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2030-01-31\n\n### Added\n\n- A thing.\n"


def test_a_version_with_a_section_and_a_clean_tree_is_released() -> None:
    assert release.problems("1.2.0", NOTES, "", "v1.1.0\nv1.1.9\n") == []


@pytest.mark.parametrize(
    ("number", "changelog", "changes", "tags", "message"),
    [
        ("1.3.0", NOTES, "", "", "has no section"),
        ("1.2.0", NOTES.replace("### Added\n\n- A thing.\n", ""), "", "", "has no section"),
        ("1.2.0", NOTES.replace(" - 2030-01-31", ""), "", "", "has no section"),
        ("1.2.0", NOTES, " M README.md", "", "the tree has changes"),
        ("1.2.0", NOTES, "", "v1.1.0\nv1.2.0\n", "v1.2.0 exists"),
    ],
)
def test_others_are_refused_with_advice(
    number: str, changelog: str, changes: str, tags: str, message: str
) -> None:
    (problem,) = release.problems(number, changelog, changes, tags)

    assert message in problem


def test_the_version_is_in_one_place() -> None:
    number = release.version()
    written = [
        path.relative_to(release.ROOT).as_posix()
        for folder in ("relay_sdk", "docs")
        for path in (release.ROOT / folder).rglob("*.py")
        if re.search(rf"""["']{re.escape(number)}["']""", path.read_text(encoding="utf-8"))
    ]

    assert installed("relay-job-sdk") == number
    assert written == []
