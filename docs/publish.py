"""Build the site into build/site: HTML, and all pages as Markdown for programs.

The Markdown here is the content, and is read on a Git host too. Each section of index.md is one of
the navigation, with the pages that it links to; decisions.md links to the pages in decisions/.
`<!-- render: name -->` becomes what docs/rendered.py makes of the code.
"""

import re
import shutil
import sys
from pathlib import Path

from rendered import RENDERED
from sphinx.cmd.build import build_main

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SOURCE = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
ABOVE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages outside of docs/, and their names in the site."""
FOLDERS = ["examples", "openapi"]
"""The URL of files that pages link to."""

SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", re.MULTILINE)
FETCHED = re.compile(r"""<(?:script|link|img)\b[^>]*(?:src|href)="((?:https?:)?//[^"]+)""")
TOCTREE = """
```{{toctree}}
:hidden:
:caption: {caption}

{names}
```
"""


def pages() -> dict[str, str]:
    """Return the pages of the site by name, as Markdown: index.md, then the others in its order."""
    there = {str(page.relative_to(DOCS)): page for page in sorted(DOCS.rglob("*.md"))}
    there |= {name: ROOT / above for above, name in ABOVE.items()}
    texts = {name: _text(page) for name, page in there.items()}
    order = ["index.md", *(f"{name}.md" for name in ENTRY.findall(texts["index.md"]))]
    return {name: texts.pop(name) for name in order} | texts


def _text(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    for above, name in ABOVE.items():
        text = text.replace(f"](../{above}", f"]({name}").replace(f"]({above}", f"]({name}")
    if page.parent == DOCS:
        text = text.replace("](../", "](")
    if page.parent == ROOT:
        text = text.replace("](docs/", "](")
    return re.sub(r"<!-- render: (\w+) -->", lambda found: RENDERED[found[1]](), text)


def navigation(index: str) -> str:
    """Convert the sections of the index to toctrees of Sphinx."""
    return "".join(
        TOCTREE.format(caption=caption, names="\n".join(ENTRY.findall(entries)))
        for caption, entries in SECTION.findall(index)
    )


def toctree(page: str) -> str:
    """Return the pages that a page other than index.md lists, as one of Sphinx's own lists."""
    return TOCTREE.format(caption="Decisions", names="\n".join(ENTRY.findall(page)))


def main() -> int:
    """Build everything. The status is not 0 if Sphinx warns."""
    for folder in (SOURCE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    texts = pages()
    shutil.copytree(DOCS / "images", SOURCE / "images")
    for folder in FOLDERS:
        without = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / folder, SOURCE / folder, ignore=without)
    for name, text in texts.items():
        if name == "index.md":
            text += navigation(text)
        elif name == "decisions.md":
            text += toctree(text)
        (SOURCE / name).parent.mkdir(exist_ok=True)
        (SOURCE / name).write_text(text, encoding="utf-8")
    strictly = [
        "--fail-on-warning",
        "--quiet",
        "-c",
        str(DOCS),
        "-d",
        str(SITE.parent / "doctrees"),
    ]
    status = build_main(["-b", "html", "--fresh-env", *strictly, str(SOURCE), str(SITE)])
    plain = SITE.parent / "text"
    status = status or build_main(["-b", "text", *strictly, str(SOURCE), str(plain)])
    if not status:
        _check_that_no_network_is_needed()
        texts["api.md"] = (plain / "api.txt").read_text(encoding="utf-8")
        _write_markdown(texts)
        sys.stdout.write(f"{SITE / 'index.html'}\n")
    return status


def _check_that_no_network_is_needed() -> None:
    for page in SITE.rglob("*.html"):
        if found := FETCHED.search(page.read_text(encoding="utf-8")):
            sys.exit(f"{page.name} fetches {found[1]}")


def _write_markdown(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (SITE / name).write_text(text, encoding="utf-8")
    (SITE / "llms.txt").write_text(texts["index.md"], encoding="utf-8")
    whole = "\n\n".join(f"<!-- {name} -->\n{text.strip()}" for name, text in texts.items())
    (SITE / "llms-full.txt").write_text(f"{whole}\n", encoding="utf-8")
    for folder in ["images", *FOLDERS]:
        shutil.copytree(SOURCE / folder, SITE / folder, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
