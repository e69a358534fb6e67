"""Check whether every value of one JSON Schema is valid for another.

If so, a new version of a type can read the jobs that are waiting. Where the answer is not certain,
as with patterns, the finding is "cannot tell".
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from attrs import frozen

from relay_sdk.cli.json_schema import CODEC, REF, Schema, is_list, is_object

Schemas: TypeAlias = Mapping[str, Schema]

ANNOTATIONS = {
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "discriminator",
    "$comment",
    "uniqueItems",
}
"""Keywords that reject no value. With `uniqueItems`, duplicates are dropped when a set is read."""
KINDS = {
    "string": {"minLength", "maxLength", "pattern", "format", "contentEncoding"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "object": {
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
    },
    "boolean": set[str](),
    "null": set[str](),
}
KINDS["integer"] = KINDS["number"]
LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
EXACT = ("pattern", "contentEncoding", "multipleOf", "propertyNames")


@frozen
class Finding:
    """The effect of a change at a path in a payload or state. `breaks` is `None` if unknown."""

    at: str
    text: str
    breaks: bool | None = True


def compare(old: Schema, old_shared: Schemas, new: Schema, new_shared: Schemas) -> list[Finding]:
    """Find values of the old schema that the new one may reject."""
    return list(dict.fromkeys(_Comparison(old_shared, new_shared).all(old, new, "$")))


class _Comparison:
    def __init__(self, old: Schemas, new: Schemas) -> None:
        self._old = old
        self._new = new
        self._findings: dict[tuple[int, int], list[Finding]] = {}
        self._alternatives: dict[int, tuple[object, list[Schema] | None]] = {}

    def all(self, old: Any, new: Any, at: str) -> Iterator[Finding]:
        """Compare two schemas, each a dict or a boolean."""
        before, after = self._branches(old, self._old), self._branches(new, self._new)
        if before is None or after is None:
            yield Finding(at, "this schema cannot be compared", None)
            return
        for branch in before:
            yield from self._branch(branch, after, at)

    def _branch(self, old: Schema, after: list[Schema], at: str) -> Iterator[Finding]:
        """Compare one old alternative with all the new ones."""
        if any(not new.keys() - ANNOTATIONS for new in after):
            return
        if CODEC in old or any(CODEC in new for new in after):
            yield Finding(at, "a custom codec reads it", None)
            return
        if "type" not in old and not _values(old):
            yield Finding(at, f"it could be anything, and now must be {_describe(after)}")
            return
        if (values := _values(old)) is not None:
            lost = [value for value in values if not any(_accepts(new, value) for new in after)]
            if lost:
                named = ", ".join(map(repr, lost))
                sure = all(
                    _values(new) is not None or not _any_has_type(new, lost) for new in after
                )
                text = f"{named} is no longer allowed" if sure else f"{named} may not be allowed"
                yield Finding(at, text, True if sure else None)
            return
        fits = [new for new in after if _includes(new, old["type"])]
        if not fits:
            yield Finding(at, f"it could be {_describe([old])}, and now must be {_describe(after)}")
            return
        findings = [self._same_type(old, new, at) for new in fits]
        if all(findings):
            if len(fits) == 1:
                yield from findings[0]
            else:
                yield Finding(at, "no alternative certainly accepts what was allowed", None)

    def _branches(self, schema: Any, shared: Schemas) -> list[Schema] | None:
        # Cached: `_findings` is keyed by ids, and a recursive type must give the same objects.
        if id(schema) not in self._alternatives:
            self._alternatives[id(schema)] = schema, _branches(schema, shared)
        return self._alternatives[id(schema)][1]

    def _same_type(self, old: Schema, new: Schema, at: str) -> list[Finding]:
        pair = id(old), id(new)
        if pair not in self._findings:
            # A recursive type: assume that this pair is compatible, and the rest of it decides.
            self._findings[pair] = []
            self._findings[pair] = list(self._compared(old, new, at))
        return self._findings[pair]

    def _compared(self, old: Schema, new: Schema, at: str) -> Iterator[Finding]:
        known = KINDS.get(old["type"], set()) | ANNOTATIONS | {"type"}
        for word in sorted((old.keys() | new.keys()) - known - {"enum", "const"}):
            if old.get(word) != new.get(word):
                yield Finding(at, f"{word!r} has changed, and cannot be compared", None)
        if _values(new) is not None:
            sure = old["type"] != "boolean"
            yield Finding(at, f"it must be one of {_values(new)} now", True if sure else None)
        yield from _bounds(old, new, at)
        if old["type"] == "array":
            yield from self._array(old, new, at)
        if old["type"] == "object":
            yield from self._object(old, new, at)

    def _array(self, old: Schema, new: Schema, at: str) -> Iterator[Finding]:
        first, second = old.get("prefixItems", []), new.get("prefixItems", [])
        for index in range(max(len(first), len(second))):
            before = first[index] if index < len(first) else old.get("items", {})
            after = second[index] if index < len(second) else new.get("items", {})
            if before is not False:
                yield from self.all(before, after, f"{at}[{index}]")
        if old.get("items", {}) is not False:
            yield from self.all(old.get("items", {}), new.get("items", {}), f"{at}[]")

    def _object(self, old: Schema, new: Schema, at: str) -> Iterator[Finding]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                was = "was optional" if name in before else "is new"
                yield Finding(f"{at}.{name}", f"it {was} and is required now")
        # Assume that no job has undeclared fields, although most schemas would accept them.
        others, rest = old.get("additionalProperties", False), new.get("additionalProperties", {})
        for name, schema in before.items():
            if name in after:
                yield from self.all(schema, after[name], f"{at}.{name}")
            elif rest is False:
                yield Finding(f"{at}.{name}", "it was removed, and unknown fields are refused")
            elif rest is not True:
                yield from self.all(schema, rest, f"{at}.{name}")
        if is_object(others):
            yield from self.all(others, rest, f"{at}.*")
            for name in after.keys() - before.keys():
                yield from self.all(others, after[name], f"{at}.{name}")


def _branches(schema: Any, shared: Schemas) -> list[Schema] | None:
    """Split a schema into alternatives of one type each; `None` if that is not possible."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    if (name := _ref(schema)) is not None:
        own = {key: value for key, value in schema.items() if key != "$ref"}
        if own.keys() - ANNOTATIONS or name not in shared:
            return None
        return _branches(shared[name], shared)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            if schema.keys() - ANNOTATIONS - {word}:
                return None
            inner = [_branches(each, shared) for each in schema[word]]
            return None if None in inner else [each for some in inner for each in some or ()]
    if schema.keys() & {"allOf", "not", "if", "patternProperties", "dependentRequired"}:
        return None
    kinds = schema.get("type")
    return [schema | {"type": kind} for kind in kinds] if is_list(kinds) else [schema]


def _ref(schema: Any) -> str | None:
    ref = schema.get("$ref") if is_object(schema) else None
    return ref.removeprefix(REF) if isinstance(ref, str) else None


def _values(schema: Schema) -> list[Any] | None:
    """Return the values that a schema lists, or `None` if it does not list them."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _accepts(schema: Schema, value: Any) -> bool:
    """Return whether a schema certainly accepts a value."""
    if (values := _values(schema)) is not None:
        return value in values
    kind = schema.get("type")
    return kind is None or (_any_has_type(schema, [value]) and not schema.keys() & KINDS[kind])


def _any_has_type(schema: Schema, values: list[Any]) -> bool:
    """Return whether any of the values has the type of a schema."""
    return any(_includes(schema, _type_name(value)) for value in values)


def _type_name(value: Any) -> str:
    names = {"bool": "boolean", "str": "string", "int": "integer", "float": "number"}
    names |= {"list": "array", "dict": "object", "NoneType": "null"}
    return names[type(value).__name__]


def _includes(new: Schema, kind: str) -> bool:
    wanted = new.get("type")
    if wanted is None:
        return any(_type_name(value) == kind for value in _values(new) or ())
    return wanted == kind or (wanted, kind) == ("number", "integer")


def _describe(schemas: list[Schema]) -> str:
    names = dict.fromkeys(str(each.get("type") or f"one of {_values(each)}") for each in schemas)
    return " or ".join(names) or "nothing"


def _bounds(old: Schema, new: Schema, at: str) -> Iterator[Finding]:
    for words, narrower in ((LOWEST, float.__gt__), (HIGHEST, float.__lt__)):
        for word in words:
            if word not in new:
                continue
            if word not in old:
                sure = not any(other in old for other in (*words, *EXACT, "format"))
                yield Finding(at, f"{word} is {new[word]} now", True if sure else None)
            elif narrower(float(new[word]), float(old[word])):
                sure = not any(other in old for other in EXACT)
                text = f"{word} was {old[word]} and is {new[word]} now"
                yield Finding(at, text, True if sure else None)
    for word in EXACT:
        if new.get(word, old.get(word)) != old.get(word):
            yield Finding(at, f"{word} has changed, and cannot be compared", None)
    if "format" in new and new["format"] != old.get("format"):
        known = "format" not in old and "pattern" not in old and "maxLength" not in old
        was = f"of the format {old['format']!r}" if "format" in old else "any string"
        text = f"it could be {was}, and now must be of the format {new['format']!r}"
        yield Finding(at, text, True if known else None)
