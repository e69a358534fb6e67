"""docs/architecture.md names the existing modules, functions and layers."""

import re
import tomllib
from collections import Counter
from importlib import import_module

from .pages import DOCS, ROOT, read

PAGE = read(DOCS / "architecture.md")
PACKAGE = ROOT / "relay_sdk"


def modules() -> set[str]:
    """Return the names of all modules of relay_sdk, without packages."""
    paths = [path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")]
    return {".".join(path.parts) for path in paths if not path.name.startswith("__")}


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    text: str = found
    return text


def test_every_module_is_in_one_room() -> None:
    rows = "".join(line.split("|")[2] for line in section("The rooms").splitlines() if "`" in line)
    named = Counter(re.findall(r"`([\w.]+)`", rows))

    missing = sorted(modules() - named.keys())
    assert not missing, f"put into a row of 'The rooms' in docs/architecture.md: {missing}"
    gone = sorted(named.keys() - modules())
    assert not gone, f"remove from 'The rooms' in docs/architecture.md: {gone}"
    twice = [name for name, count in named.items() if count > 1]
    assert not twice, f"in two rows of 'The rooms' in docs/architecture.md: {twice}"


def test_what_the_ways_pass_is_there() -> None:
    tops = {name.partition(".")[0] for name in modules()}
    ways = PAGE.partition("## The rooms")[0]
    for name in re.findall(r"`(\w+(?:\.\w+)+)`", ways):
        if name.partition(".")[0] not in tops or name in modules():
            continue
        if name.startswith("helper.") and not name.startswith("helper.JobHelper"):
            continue  # `helper.job` is an attribute of the object, not the module
        module = next(
            one for one in sorted(modules(), key=len, reverse=True) if name.startswith(f"{one}.")
        )
        found: object = import_module(f"relay_sdk.{module}")
        for part in name.removeprefix(f"{module}.").split("."):
            assert hasattr(found, part), f"docs/architecture.md names {name}, which is gone"
            found = getattr(found, part)


def test_the_layers_are_those_that_are_checked() -> None:
    settings = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in settings if contract["name"] == "Layers")
    right = "\n".join(layer.replace("relay_sdk.", "") for layer in layers)

    assert f"```text\n{right}\n```" in PAGE, (
        f"'The layers' in docs/architecture.md are to be\n{right}"
    )


def test_the_rooms_of_the_picture_are_there() -> None:
    picture = read(DOCS / "images" / "architecture.svg")
    names = re.findall(r'class="name middle"[^>]*>([^<]+)<', picture)
    there = {name.partition(".")[0] for name in modules()} | {"relay_api"}

    assert {name for several in names for name in several.split(", ")} <= there
