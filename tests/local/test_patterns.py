"""No regular expression that is used on a client's text can backtrack.

A repeat without a bound may give nothing back (it is possessive), and no repeat stands inside one
that does: so there is nothing that is tried twice, whatever the text. That is read from the
patterns themselves; no time is measured.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from relay_sdk import local

MODULES = [
    importlib.import_module(f"relay_sdk.local.{module.name}")
    for module in pkgutil.iter_modules(local.__path__)
    if module.name != "__main__"
]

FEW = 32


def patterns() -> Iterator[re.Pattern[Any]]:
    for module in MODULES:
        for value in vars(module).values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, re.Pattern):
                    yield item


def repeats(tree: Iterable[Any], inside: bool = False) -> Iterator[str]:
    """Return the repeats that can match in more than one way."""
    for code, argument in tree:
        match code:
            case codes.MAX_REPEAT | codes.MIN_REPEAT:
                _, most, body = argument
                if most == codes.MAXREPEAT:
                    yield "without a bound"
                yield from repeats(body, inside=inside or most > 1)
                if inside and most > FEW:
                    yield "one inside another"
            case codes.POSSESSIVE_REPEAT:
                yield from repeats(argument[2])
            case codes.SUBPATTERN:
                yield from repeats(argument[3], inside)
            case codes.BRANCH:
                for branch in argument[1]:
                    yield from repeats(branch, inside)
            case _:
                pass


PATTERNS = sorted({pattern.pattern for pattern in patterns()}, key=str)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern)[:40])
def test_no_pattern_backtracks(pattern: str | bytes) -> None:
    assert list(repeats(parser.parse(pattern))) == []


@pytest.mark.parametrize("bad", [r"a*b", r"(?:a{1,100}){1,100}", r"(?:a+?|b)c", r"(?:a*)++"])
def test_a_pattern_that_backtracks_is_found(bad: str) -> None:
    assert list(repeats(parser.parse(bad))) != []


def test_every_pattern_is_a_constant_that_is_seen_here() -> None:
    for module in MODULES:
        assert module.__file__
        source = Path(module.__file__).read_text("utf-8")
        assert not re.findall(r"\bre\.(?:match|fullmatch|search|sub|split|findall)\(", source)
