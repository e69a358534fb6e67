"""The reference pages are complete."""

import re
from collections.abc import Iterator
from importlib import import_module

import pytest
import typer.main
import yaml

import relay_sdk
from relay_sdk.cli.app import app

from .pages import DOCS, ROOT, read


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)


@pytest.mark.parametrize("module", ["relay_sdk", "relay_sdk.local", "relay_sdk.testing"])
def test_every_public_name_is_in_the_api(module: str) -> None:
    page = read(DOCS / "api.md")
    for name in import_module(module).__all__:
        assert re.search(rf"(?::: |`){name}\b", page), f"add {name} to docs/api.md"


def test_every_error_is_in_its_page() -> None:
    page = read(DOCS / "errors.md")
    errors = [name for name in relay_sdk.__all__ if name.endswith("Error")]

    assert [name for name in errors if f"`{name}`" not in page] == []


def variables() -> Iterator[str]:
    for path in (ROOT / "relay_sdk").rglob("*.py"):
        text = read(path)
        yield from re.findall(r'environ(?:\.get\(|\[)"(\w+)"', text)
        yield from re.findall(r'envvar="(\w+)"', text)


def test_every_environment_variable_is_in_its_page() -> None:
    table = read(DOCS / "environment.md").partition("Libraries below")[0]
    named = set(re.findall(r"`([A-Z_]{4,})`", table))

    assert named == set(variables()), "update the first table of docs/environment.md"


def test_the_wire_is_rendered_whole() -> None:
    shown = import_module("rendered").wire()
    description = yaml.safe_load(read(ROOT / "openapi" / "relay.yaml"))

    for path, item in description["paths"].items():
        for method in {"get", "head", "post", "put", "patch", "delete"} & item.keys():
            assert f"### {method.upper()} {path}\n" in shown
            assert item[method]["summary"] in shown
    for name in description["components"]["schemas"]:
        assert f"### {name}\n" in shown


def test_every_option_of_every_command_is_rendered() -> None:
    shown = import_module("rendered").commands()
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)

    for name, command in group.commands.items():
        assert f"### relay-sdk {name}\n" in shown
        for option in command.params:
            if not getattr(option, "hidden", False):
                assert all(text in shown for text in option.opts if text[:2] == "--"), option


def test_pages_for_programs_come_in_the_order_of_the_navigation() -> None:
    pages = import_module("publish").pages()

    assert list(pages)[:3] == ["index.md", "quickstart.md", "concepts.md"]
    assert {"changelog.md", "contributing.md"} < pages.keys()
    assert not any("<!-- render:" in text for text in pages.values())
