"""JSON schemas of answers (draft 2020-12), checked in bounded time and memory.

Flows and answers are texts of tenants and models, and a worker runs ten generations in one process.
So a check has a budget of steps, patterns are matched by a linear engine, and other schemas are
refused: docs/decisions/0046-bounded-text.md.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from afterword.flows.patterns import MAX_WORK, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NODES = 5_000
"""Values in a schema's document, names included."""
MAX_DEPTH = 32
"""Nesting of a schema's document."""
MAX_ELEMENTS = 1_000
"""Elements of one array in a schema, such as an `enum`."""
MAX_PATTERNS_WEIGHT = 5_000
"""The weight of a schema's patterns together; afterword.flows.patterns has the measure."""
MAX_VALUE_DEPTH = 64
"""Nesting of an answer."""
MAX_STEPS = 2_000_000
"""Steps of one check, about half a microsecond each."""
MAX_NESTED_CHECKS = 150
"""Checks within each other, as by `$ref`; Python itself allows about a thousand calls."""
MAX_FAULT = 500
"""Characters of a fault's description."""

_WORK_OF_A_STEP = 100

_SINGLE = (
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_REFUSED = (
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedItems",
    "unevaluatedProperties",
)

type _Schema = Mapping[str, object] | bool


class TooComplexError(Exception):
    """A check beyond its budget."""


class Schema:
    """The schema of an object; raises ValueError for a schema beyond the bounds.

    `document` is well-formed after draft 2020-12, which `check_document` tells.
    """

    def __init__(self, document: Mapping[str, object]) -> None:
        self._root = document
        _check_size(document)
        self._patterns: dict[str, Pattern] = {}
        self._check_parts()

    def accepts(self, value: object) -> bool:
        """Whether a JSON value fits; raise TooComplexError beyond the budget."""
        return self.find_fault(value) is None

    def find_fault(self, value: object) -> str | None:
        """Return the first fault of a JSON value, None without one; raise like `accepts`.

        The fault names the place and the broken rule in at most MAX_FAULT characters, and no values
        of the answer.
        """
        check = _Check(self._root, self._patterns)
        return None if check.fits(value, self._root) else check.describe_fault()

    def follow(self, reference: str) -> object:
        """Return the schema that a `$ref` of this one refers to."""
        return _resolve(self._root, reference)

    def _check_parts(self) -> None:
        parts = list(_list_parts(self._root))
        known = {id(part) for part in parts}
        for part in parts:
            if isinstance(part, bool):
                continue
            self._check_names(part)
            reference = part.get("$ref")
            if reference is not None:
                found = _resolve(self._root, str(reference))
                if not isinstance(found, bool) and id(found) not in known:
                    raise ValueError(f"must have a schema at {str(reference)[:100]}")
            for text in _list_patterns(part):
                self._patterns.setdefault(text, Pattern(text))
        if sum(each.weight for each in self._patterns.values()) > MAX_PATTERNS_WEIGHT:
            raise ValueError("must have fewer or shorter patterns: bound texts by maxLength")
        for pattern in self._patterns.values():
            pattern.compile()

    def _check_names(self, part: Mapping[str, object]) -> None:
        for name in _REFUSED:
            if name in part:
                raise ValueError(f"must have no {name}, which is not supported")
        if "$id" in part and part is not self._root:
            raise ValueError("must have no $id below its top")


def check_document(document: Mapping[str, object]) -> None:
    """Raise ValueError for anything but a JSON schema of an object within the bounds."""
    if document.get("type") != "object":
        raise ValueError('must be of "type": "object"')
    _check_size(document)  # first: jsonschema's own time has no bound
    from jsonschema import Draft202012Validator, FormatChecker, SchemaError

    try:
        # Without formats: patterns are those of another engine than Python's.
        Draft202012Validator.check_schema(document, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise ValueError(f"must be a JSON schema: {error.message[:500]}") from error
    Schema(document)


def read_schema(document: Mapping[str, object]) -> Schema:
    """Return a stored flow's schema, from a cache; raise ValueError as `Schema` does."""
    return _parse(json.dumps(document))


@lru_cache(maxsize=100)
def _parse(document: str) -> Schema:
    return Schema(json.loads(document))


def _check_size(document: Mapping[str, object]) -> None:
    """Raise ValueError for too large a document, without recursion."""
    left: list[tuple[object, int]] = [(document, 1)]
    nodes = 0
    while left:
        value, depth = left.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise ValueError(f"must have at most {MAX_NODES:,} values")
        if isinstance(value, dict):
            children: Sequence[object] = [*value.values()]
            nodes += len(value)
        elif isinstance(value, list):
            children = value
            if len(value) > MAX_ELEMENTS:
                raise ValueError(f"must have at most {MAX_ELEMENTS:,} elements in an array")
        else:
            continue
        if depth > MAX_DEPTH:
            raise ValueError(f"must be nested at most {MAX_DEPTH} levels deep")
        left.extend((child, depth + 1) for child in children)


def _list_parts(root: _Schema) -> Iterator[_Schema]:
    """Yield a schema and all schemas in it."""
    left: list[object] = [root]
    while left:
        part = left.pop()
        if isinstance(part, bool):
            yield part
        elif isinstance(part, dict):
            yield part
            left.extend(part[name] for name in _SINGLE if name in part)
            for name in _LISTS:
                left.extend(cast("list[object]", part.get(name, [])))
            for name in _MAPS:
                left.extend(cast("dict[str, object]", part.get(name, {})).values())


def _list_patterns(part: Mapping[str, object]) -> Iterator[str]:
    """Yield the patterns of a schema, without those of the schemas in it."""
    yield from cast("Mapping[str, object]", part.get("patternProperties", {}))
    if "pattern" in part:
        yield str(part["pattern"])


def _resolve(root: _Schema, reference: str) -> _Schema:
    """Return the schema at a JSON pointer (RFC 6901) in a fragment; raise ValueError."""
    if not reference.startswith("#"):
        raise ValueError("must not refer to another document, which is not fetched")
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError("must refer to its parts by path, such as #/$defs/name")
    found: object = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdecimal():
            index = int(name[:4])
            found = found[index] if index < len(found) else None
        else:
            found = None
    if isinstance(found, dict | bool):
        return found
    raise ValueError(f"must have a schema at {reference[:100]}")


class _Check:
    """One check of a value, with its budget."""

    def __init__(self, root: _Schema, patterns: Mapping[str, Pattern]) -> None:
        self._root = root
        self._patterns = patterns
        self._steps = MAX_STEPS
        self._nested = 0
        self._path: list[str | int] = []
        self._fault: tuple[tuple[str | int, ...], str, object] = ((), "", None)

    def describe_fault(self) -> str:
        """Describe the fault of a value that does not fit."""
        path, name, argument = self._fault
        pointer = "".join(f"/{str(each)[:_SHOWN]}" for each in path)[:_SHOWN_PATH]
        place = f"At {pointer}" if path else "At the top"
        if not name:
            return f"{place}: the schema allows no such value."
        rule = f"{json.dumps(name)}: {json.dumps(argument, ensure_ascii=False)[:_SHOWN_RULE]}"
        return f"{place}: the value breaks the schema's {rule}."

    def fits(self, value: object, schema: _Schema) -> bool:
        """Whether a value fits a schema within the root."""
        if isinstance(schema, bool):
            if not schema:
                self._fault = (tuple(self._path), "", None)
            return schema
        self._spend(2 + len(schema))
        self._nested += 1
        if self._nested > MAX_NESTED_CHECKS:
            raise TooComplexError
        fits = True
        for name, argument in schema.items():
            keyword = _KEYWORDS.get(name)
            if keyword is not None and not keyword(self, value, argument, schema):
                if name not in _PASSED_ON:
                    self._fault = (tuple(self._path), name, argument)
                fits = False
                break
        self._nested -= 1
        return fits

    def _fits_at(self, place: str | int, value: object, schema: object) -> bool:
        """Whether a member or an element fits a schema."""
        self._path.append(place)
        fits = self.fits(value, cast("_Schema", schema))
        self._path.pop()
        return fits

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooComplexError

    def _matches(self, pattern: str, text: str) -> bool:
        compiled = self._patterns[pattern]
        work = compiled.weight * len(text)
        if work > MAX_WORK:
            raise TooComplexError
        self._spend(1 + work // _WORK_OF_A_STEP)
        return compiled.matches(text)

    def _canonical(self, value: object) -> str:
        """Return a text that equal values have in common: 1 and 1.0 are equal, 1 and true not."""
        self._spend(4)
        if isinstance(value, dict):
            members = (
                f"{json.dumps(name)}:{self._canonical(value[name])}" for name in sorted(value)
            )
            return f"{{{','.join(members)}}}"
        if isinstance(value, list):
            return f"[{','.join(map(self._canonical, value))}]"
        if isinstance(value, str):
            self._spend(len(value) // 1_000)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return json.dumps(value)

    # --- keywords of any value -------------------------------------------------------------------

    def check_type(self, value: object, wanted: object, _: object) -> bool:
        names = wanted if isinstance(wanted, list) else [wanted]
        return any(_has_type(value, str(name)) for name in names)

    def check_const(self, value: object, wanted: object, _: object) -> bool:
        return self._canonical(value) == self._canonical(wanted)

    def check_enum(self, value: object, options: object, _: object) -> bool:
        canonical = self._canonical(value)
        return any(canonical == self._canonical(each) for each in cast("list[object]", options))

    def check_ref(self, value: object, reference: object, _: object) -> bool:
        return self.fits(value, _resolve(self._root, str(reference)))

    def check_all_of(self, value: object, schemas: object, _: object) -> bool:
        return all(self.fits(value, each) for each in cast("list[_Schema]", schemas))

    def check_any_of(self, value: object, schemas: object, _: object) -> bool:
        return any(self.fits(value, each) for each in cast("list[_Schema]", schemas))

    def check_one_of(self, value: object, schemas: object, _: object) -> bool:
        return sum(self.fits(value, each) for each in cast("list[_Schema]", schemas)) == 1

    def check_not(self, value: object, schema: object, _: object) -> bool:
        return not self.fits(value, cast("_Schema", schema))

    def check_if(self, value: object, schema: object, within: Mapping[str, object]) -> bool:
        branch = "then" if self.fits(value, cast("_Schema", schema)) else "else"
        return self.fits(value, cast("_Schema", within.get(branch, True)))

    # --- numbers and texts -----------------------------------------------------------------------

    def check_maximum(self, value: object, bound: object, _: object) -> bool:
        return not _is_number(value) or cast("float", value) <= cast("float", bound)

    def check_minimum(self, value: object, bound: object, _: object) -> bool:
        return not _is_number(value) or cast("float", value) >= cast("float", bound)

    def check_exclusive_maximum(self, value: object, bound: object, _: object) -> bool:
        return not _is_number(value) or cast("float", value) < cast("float", bound)

    def check_exclusive_minimum(self, value: object, bound: object, _: object) -> bool:
        return not _is_number(value) or cast("float", value) > cast("float", bound)

    def check_multiple_of(self, value: object, divisor: object, _: object) -> bool:
        if not _is_number(value):
            return True
        self._spend(100)
        return _is_multiple(value, divisor)

    def check_max_length(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, str) or len(value) <= cast("int", bound)

    def check_min_length(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, str) or len(value) >= cast("int", bound)

    def check_pattern(self, value: object, pattern: object, _: object) -> bool:
        return not isinstance(value, str) or self._matches(str(pattern), value)

    # --- arrays ----------------------------------------------------------------------------------

    def check_max_items(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, list) or len(value) <= cast("int", bound)

    def check_min_items(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, list) or len(value) >= cast("int", bound)

    def check_unique_items(self, value: object, wanted: object, _: object) -> bool:
        if not isinstance(value, list) or not wanted:
            return True
        return len(set(map(self._canonical, value))) == len(value)

    def check_prefix_items(self, value: object, schemas: object, _: object) -> bool:
        if not isinstance(value, list):
            return True
        pairs = zip(value, cast("list[_Schema]", schemas), strict=False)
        return all(self._fits_at(at, each, schema) for at, (each, schema) in enumerate(pairs))

    def check_items(self, value: object, schema: object, within: Mapping[str, object]) -> bool:
        if not isinstance(value, list):
            return True
        before = len(cast("list[object]", within.get("prefixItems", [])))
        elements = enumerate(value[before:], before)
        return all(self._fits_at(at, each, schema) for at, each in elements)

    def check_contains(self, value: object, schema: object, within: Mapping[str, object]) -> bool:
        if not isinstance(value, list):
            return True
        count = sum(self.fits(each, cast("_Schema", schema)) for each in value)
        least, most = within.get("minContains", 1), within.get("maxContains", math.inf)
        return cast("int", least) <= count <= cast("float", most)

    # --- objects ---------------------------------------------------------------------------------

    def check_max_properties(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, dict) or len(value) <= cast("int", bound)

    def check_min_properties(self, value: object, bound: object, _: object) -> bool:
        return not isinstance(value, dict) or len(value) >= cast("int", bound)

    def check_required(self, value: object, names: object, _: object) -> bool:
        return not isinstance(value, dict) or self._has_all(value, names)

    def check_dependent_required(self, value: object, by_name: object, _: object) -> bool:
        if not isinstance(value, dict):
            return True
        needed = cast("dict[str, object]", by_name)
        return all(self._has_all(value, names) for name, names in needed.items() if name in value)

    def _has_all(self, value: Mapping[str, object], names: object) -> bool:
        needed = cast("list[str]", names)
        self._spend(len(needed) // 10)
        return all(name in value for name in needed)

    def check_dependent_schemas(self, value: object, by_name: object, _: object) -> bool:
        if not isinstance(value, dict):
            return True
        schemas = cast("dict[str, _Schema]", by_name)
        self._spend(len(schemas) // 10)
        return all(self.fits(value, schema) for name, schema in schemas.items() if name in value)

    def check_properties(self, value: object, by_name: object, _: object) -> bool:
        if not isinstance(value, dict):
            return True
        schemas = cast("dict[str, _Schema]", by_name)
        self._spend(len(schemas) // 10)
        return all(
            self._fits_at(name, value[name], schema)
            for name, schema in schemas.items()
            if name in value
        )

    def check_pattern_properties(self, value: object, by_pattern: object, _: object) -> bool:
        if not isinstance(value, dict):
            return True
        return all(
            self._fits_at(name, each, schema)
            for pattern, schema in cast("dict[str, _Schema]", by_pattern).items()
            for name, each in value.items()
            if self._matches(pattern, name)
        )

    def check_additional_properties(
        self, value: object, schema: object, within: Mapping[str, object]
    ) -> bool:
        if not isinstance(value, dict):
            return True
        named = cast("dict[str, object]", within.get("properties", {}))
        patterns = cast("dict[str, object]", within.get("patternProperties", {}))
        self._spend(len(value) // 10)
        return all(
            self._fits_at(name, each, schema)
            for name, each in value.items()
            if name not in named and not any(self._matches(pattern, name) for pattern in patterns)
        )

    def check_property_names(self, value: object, schema: object, _: object) -> bool:
        if not isinstance(value, dict):
            return True
        return all(self._fits_at(name, name, schema) for name in value)


_KEYWORDS: "Mapping[str, Callable[[_Check, object, object, Mapping[str, object]], bool]]" = {
    "type": _Check.check_type,
    "const": _Check.check_const,
    "enum": _Check.check_enum,
    "maximum": _Check.check_maximum,
    "minimum": _Check.check_minimum,
    "exclusiveMaximum": _Check.check_exclusive_maximum,
    "exclusiveMinimum": _Check.check_exclusive_minimum,
    "multipleOf": _Check.check_multiple_of,
    "maxLength": _Check.check_max_length,
    "minLength": _Check.check_min_length,
    "maxItems": _Check.check_max_items,
    "minItems": _Check.check_min_items,
    "maxProperties": _Check.check_max_properties,
    "minProperties": _Check.check_min_properties,
    "required": _Check.check_required,
    "dependentRequired": _Check.check_dependent_required,
    "pattern": _Check.check_pattern,
    "uniqueItems": _Check.check_unique_items,
    "properties": _Check.check_properties,
    "patternProperties": _Check.check_pattern_properties,
    "additionalProperties": _Check.check_additional_properties,
    "propertyNames": _Check.check_property_names,
    "dependentSchemas": _Check.check_dependent_schemas,
    "prefixItems": _Check.check_prefix_items,
    "items": _Check.check_items,
    "contains": _Check.check_contains,
    "$ref": _Check.check_ref,
    "allOf": _Check.check_all_of,
    "anyOf": _Check.check_any_of,
    "oneOf": _Check.check_one_of,
    "not": _Check.check_not,
    "if": _Check.check_if,
}
"""The keywords that decide; all others are annotations."""
_PASSED_ON = frozenset(
    {
        "$ref",
        "additionalProperties",
        "allOf",
        "dependentSchemas",
        "if",
        "items",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
    }
)
"""The keywords whose fault is that of one schema in them."""
_SHOWN, _SHOWN_PATH, _SHOWN_RULE = 60, 150, 250
"""Characters of a name, a path and a rule in the description of a fault."""


def is_shallow(value: object, most: int = MAX_VALUE_DEPTH) -> bool:
    """Whether a JSON value is nested at most so deep; without recursion."""
    level: list[object] = [value]
    for _ in range(most + 1):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return True
    return False


def _has_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return name in _TYPES and isinstance(value, _TYPES[name])


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "null": type(None),
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_multiple(value: object, divisor: object) -> bool:
    """Whether a number is a multiple of another, both as they were written: 0.1 is a tenth."""
    from fractions import Fraction  # here: few schemas need it

    exact, by = (
        Fraction(repr(each)) if isinstance(each, float) else Fraction(cast("int", each))
        for each in (value, divisor)
    )
    return exact % by == 0
