"""`relay-sdk check` finds changes of types that break waiting jobs."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_sdk.cli.compatibility import Finding, compare
from relay_sdk.cli.json_schema import Schema

from .conftest import Run

HEAD = """
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Union
from uuid import UUID
import msgspec
import pydantic
from relay_sdk import Codec, Queue
Meta = msgspec.Meta
"""

Check = Callable[[str, str], list[str]]


@pytest.fixture
def check(offline: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def check(old: str, new: str) -> list[str]:
        (tmp_path / "mails.py").write_text(HEAD + old)
        assert offline("schema", "mails", "-o", "mails.json").exit_code == 0
        del sys.modules["mails"]
        (tmp_path / "mails.py").write_text(HEAD + new)
        result = offline("check", "mails", "mails.json")
        machine = json.loads(offline("check", "mails", "mails.json", "--json").stdout)
        breaks = any(finding["breaks"] for finding in machine)
        assert result.exit_code == (1 if breaks else 0)
        del sys.modules["mails"]
        return result.stdout.splitlines()

    yield check
    sys.modules.pop("mails", None)


FINE = ["no change breaks jobs that are waiting"]


def test_a_required_field_that_is_added_breaks(check: Check) -> None:
    old = "@dataclass\nclass Email:\n    to: str\nQ = Queue('emails', payload=Email, state=Email)"
    new = old.replace("    to: str", "    to: str\n    subject: str")

    assert check(old, new) == [
        "breaks: emails payload $.subject: it is new and is required now",
        "breaks: emails state $.subject: it is new and is required now",
    ]
    assert check(new, old) == FINE


def test_a_renamed_field_breaks(check: Check) -> None:
    old = "@dataclass\nclass A:\n    b: int\n@dataclass\nclass E:\n    a: list[A]\n"
    old += "Q = Queue('q', payload=E)"

    assert check(old, old.replace("b: int", "c: int")) == [
        "breaks: q payload $.a[].c: it is new and is required now"
    ]


def test_an_optional_field_that_is_added_is_fine(check: Check) -> None:
    old = "@dataclass\nclass Email:\n    to: str\nQ = Queue('q', payload=Email)"

    assert check(old, old.replace("to: str", "to: str\n    subject: str = ''")) == FINE


def test_a_removed_queue_breaks_and_a_new_one_is_fine(check: Check) -> None:
    one, two = "A = Queue('a')\n", "B = Queue('b')\n"

    assert check(one, one + two) == FINE
    assert check(one + two, one) == ["breaks: b: it is no longer declared"]


def test_a_codec_cannot_be_compared(check: Check) -> None:
    old = "Q = Queue('q', payload=Codec(str, str))"

    assert check(old, old) == ["cannot tell: q payload $: a custom codec reads it"]
    assert check(old, "Q = Queue('q')") == FINE


def test_a_recursive_type_is_compared(check: Check) -> None:
    old = "@dataclass\nclass T:\n    x: int\n    below: 'list[T]' = field(default_factory=list)\n"
    old += "Q = Queue('q', payload=T)"

    assert check(old, old) == FINE
    (line,) = check(old, old.replace("x: int", "x: str"))
    assert line == "breaks: q payload $.x: it could be integer, and now must be string"


def test_a_pydantic_model_is_compared(check: Check) -> None:
    old = "class M(pydantic.BaseModel):\n    a: int\n    b: int | None = None\n"
    old += "Q = Queue('q', payload=M)"

    assert check(old, old.replace("a: int", "a: float")) == FINE
    (line,) = check(old, old.replace("b: int | None = None", "b: int = 0"))
    assert line == "breaks: q payload $.b: it could be null, and now must be integer"
    (line,) = check(
        old,
        old.replace("    a: int", "    model_config = {'extra': 'forbid'}\n    a: int", 1).replace(
            "    b: int | None = None\n", ""
        ),
    )
    assert line == "breaks: q payload $.b: it was removed, and unknown fields are refused"


UNIONS = (
    "class Get(msgspec.Struct, tag=True):\n    k: str\n"
    "class Put(msgspec.Struct, tag=True):\n    k: str\n"
)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("int", "int", ""),
        ("int", "float", ""),
        ("float", "int", "breaks"),
        ("int", "int | None", ""),
        ("int | None", "int", "breaks"),
        ("int", "int | str", ""),
        ("int | str", "str", "breaks"),
        ("int", "Any", ""),
        ("Any", "int", "breaks"),
        ("str", "datetime", "breaks"),
        ("datetime", "str", ""),
        ("datetime", "date", "cannot tell"),
        ("str", "UUID", "breaks"),
        ("Literal['a']", "Literal['a', 'b']", ""),
        ("Literal['a', 'b']", "Literal['a']", "breaks"),
        ("Literal['a', 'b']", "str", ""),
        ("str", "Literal['a']", "breaks"),
        ("Literal['a']", "Annotated[str, Meta(min_length=1)]", "cannot tell"),
        ("Literal['a']", "int", "breaks"),
        ("list[int]", "list[float]", ""),
        ("list[int]", "list[str]", "breaks"),
        ("list[int]", "tuple[int, int]", "breaks"),
        ("tuple[int, int]", "list[int]", ""),
        ("tuple[int, int]", "tuple[int, str]", "breaks"),
        ("tuple[int, int]", "tuple[int, int, int]", "breaks"),
        ("dict[str, int]", "dict[str, float]", ""),
        ("dict[str, int]", "dict[str, str]", "breaks"),
        ("int", "Annotated[int, Meta(ge=0)]", "breaks"),
        ("Annotated[int, Meta(ge=0)]", "int", ""),
        ("Annotated[int, Meta(ge=0)]", "Annotated[int, Meta(ge=-1)]", ""),
        ("Annotated[int, Meta(ge=0)]", "Annotated[int, Meta(ge=1)]", "breaks"),
        ("Annotated[int, Meta(gt=0)]", "Annotated[int, Meta(ge=1)]", "cannot tell"),
        ("Annotated[str, Meta(max_length=5)]", "Annotated[str, Meta(max_length=9)]", ""),
        ("Annotated[str, Meta(max_length=9)]", "Annotated[str, Meta(max_length=5)]", "breaks"),
        ("str", "Annotated[str, Meta(pattern='^a')]", "cannot tell"),
        ("Get | Put", "Get | Put", ""),
        ("Get", "Get | Put", ""),
        ("Get | Put", "Get", "breaks"),
        ("bytes", "str", ""),
        ("str", "bytes", "cannot tell"),
        ("list[int]", "set[int]", ""),
    ],
)
def test_a_changed_type_is_judged(check: Check, old: str, new: str, verdict: str) -> None:
    one, two = (UNIONS + f"Q = Queue('q', payload={form})" for form in (old, new))

    found = {line.split(":")[0] for line in check(one, two)}

    assert found == ({verdict} if verdict else {*FINE})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


def schemas() -> st.SearchStrategy[Schema]:
    plain = st.sampled_from(
        [
            {},
            {"type": "null"},
            {"type": "string"},
            {"type": "integer"},
            {"type": "number"},
            {"type": ["string", "null"]},
            {"type": "boolean"},
            {"type": "integer", "minimum": 0},
            {"type": "integer", "exclusiveMaximum": 2},
            {"type": "string", "minLength": 1},
            {"enum": ["a", 1, None]},
            {"const": "b"},
        ]
    )

    def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
        properties = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        required = st.lists(st.sampled_from("ab"), unique=True)
        objects = st.builds(
            lambda fields, needed, rest: {
                "type": "object",
                "properties": fields,
                "required": [name for name in needed if name in fields],
                **({} if rest is None else {"additionalProperties": rest}),
            },
            properties,
            required,
            st.none() | st.just(False) | inner,
        )
        arrays = st.builds(lambda items: {"type": "array", "items": items}, inner)
        unions = st.builds(lambda *two: {"anyOf": [*two]}, inner, inner)
        return objects | arrays | unions

    return st.recursive(plain, nested, max_leaves=5)


@given(schemas(), schemas(), JSON)
def test_compatible_schemas_accept_all_old_values(old: Schema, new: Schema, value: object) -> None:
    """According to a validator, the new schema accepts all values of the old one."""
    jsonschema = pytest.importorskip("jsonschema")
    if compare(old, {}, new, {}):
        return
    # `compare` assumes that no job has undeclared fields.
    closed = json.loads(json.dumps(old), object_hook=_closed)

    if jsonschema.Draft202012Validator(closed).is_valid(value):
        assert jsonschema.Draft202012Validator(new).is_valid(value), (old, new, value)


def _closed(node: dict[str, object]) -> dict[str, object]:
    return {"additionalProperties": False} | node if node.get("type") == "object" else node


@given(schemas())
def test_a_schema_is_compatible_with_itself(schema: Schema) -> None:
    assert compare(schema, {}, schema, {}) == []


def test_unknown_keywords_cannot_be_compared() -> None:
    old, new = {"type": "string"}, {"type": "string", "x-new": 1}

    assert compare(old, {}, new, {}) == [
        Finding("$", "'x-new' has changed, and cannot be compared", None)
    ]
    assert compare({"not": {}}, {}, old, {})[0].breaks is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read mails.json: No such file"),
        ("{", "mails.json is not a document of relay-sdk schema: "),
        ("{}", "mails.json is not a document of relay-sdk schema: "),
    ],
)
def test_an_invalid_file_is_a_usage_error(
    offline: Run, tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "mails.json").write_text(text)

    result = offline("check", "mails", "mails.json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
