"""The pages, headings, pictures, commands and `make` targets that pages name exist."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer.main

from relay_sdk.cli.app import app

from .pages import DOCS, ROOT, every_page, prose, read

LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)")
IMAGE = re.compile(r'!\[([^\]]*)\]\(([^)]+)\)|<img [^>]*alt="([^"]*)" src="([^"]+)"')
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"(?:^|`)make((?: [a-z]+)+)", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[`| ])relay-sdk ([a-z]+)", re.MULTILINE)
LONGEST = 300  # lines; a longer page is two subjects
SHORT = 80  # lines of a decision


def anchors(page: Path) -> set[str]:
    """Return the anchors that a Git host and the site give to the headings."""
    names = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page))]
    return {name.replace(" ", "-") for name in names}


@every_page
def test_relative_links_lead_to_pages_and_headings(page: Path) -> None:
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page.name}: no heading for {link}"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_page_is_in_the_navigation(page: Path) -> None:
    entry = f"- [Title]({page.name}): what it answers"
    listed = page.name == "index.md" or f"]({page.name}):" in prose(DOCS / "index.md")

    assert listed, f"add a line to docs/index.md, in the section where it belongs: {entry}"


@pytest.mark.parametrize("page", sorted(DOCS.glob("decisions/*.md")), ids=lambda page: page.name)
def test_every_decision_is_short_and_in_the_list(page: Path) -> None:
    assert (
        f"\n- [{read(page).splitlines()[0].removeprefix('# ')}](decisions/{page.name}):"
        in prose(DOCS / "decisions.md")
    )
    assert read(page).count("\n") < SHORT


@every_page
def test_pages_are_short(page: Path) -> None:
    assert read(page).count("\n") <= LONGEST


@every_page
def test_pictures_are_well_formed_and_described(page: Path) -> None:
    for found in IMAGE.findall(read(page)):
        alternative, source = (
            one or other for one, other in zip(found[:2], found[2:], strict=True)
        )
        assert alternative, f"{source} has no alternative text"
        if source.endswith(".svg"):
            ElementTree.parse(page.parent / source)


@every_page
def test_make_targets_exist(page: Path) -> None:
    there = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {target for targets in MAKE.findall(read(page)) for target in targets.split()}

    assert named <= there


@every_page
def test_commands_exist(page: Path) -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)

    assert set(COMMAND.findall(read(page))) <= command.commands.keys()
