"""The changes of an API that would break a client of the released one.

A client of the released API relies on its description. So each schema of a request must still take
all values that the released schema takes. Each schema of a response must give no value that the
released schema lacks. Clients do not notice a new operation, a new optional parameter, or a new
member of a response. A response's choice that is open now, but was closed, breaks no client while
its words are the same; once released as open, it may have more. Both documents come from pydantic,
so the comparison knows no `allOf`, no `not`, and references to components alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

type Json = Mapping[str, Any]

ON_PURPOSE: Mapping[str, str] = {
    'GET /v1/content/folders: response 200.results.folders[].type: may be "manual" now': (
        "Promptitude's own word, which its clients know"
    ),
    "GET /api/v1/ai/async/answer: response 200.chatData.history[].feedback: may be anything else"
    " now": "Unless' own words for feedback, which its clients know",
    **{
        f'{route}: response {place}.error.reason: may be "{reason}" now': "a reason more"
        for reason in ("blank_prompt", "model_quota_exceeded")
        for route, place in (
            ("POST /v1/generations", "200"),
            ("GET /v1/generations", "200.items[]"),
            ("GET /v1/generations/{id}", "200"),
            ("POST /v1/generations/{id}/cancel", "200"),
            ("POST /v1/generations/{id}/retry", "200"),
        )
    },
}
"""The changes that break a client on purpose, each with its reason; a release empties the table."""

_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = ("pattern", "format", "contentMediaType", "uniqueItems")
_ANY_TEXT: Json = {"type": "string"}
_PROBLEM = 400
"""The first status of an error."""


def changes(released: Json, now: Json) -> list[str]:
    """Return a sentence for each change that breaks a client."""
    return list(_Comparison(released, now).paths())


def unplanned(released: Json, now: Json) -> list[str]:
    """Return the changes that break a client, those on purpose left out."""
    return [change for change in changes(released, now) if change not in ON_PURPOSE]


@dataclass(frozen=True)
class _Side:
    """A schema and its document."""

    document: Json
    schema: Json
    names: tuple[str, ...] = ()

    def at(self, schema: Any) -> "_Side":  # noqa: ANN401 - any JSON
        """Return a schema within this one."""
        return _Side(self.document, {} if schema is True else schema)

    def resolved(self) -> "_Side":
        """Follow references."""
        side = self
        while "$ref" in side.schema:
            name = side.schema["$ref"].rpartition("/")[2]
            found = side.document["components"]["schemas"][name]
            side = _Side(side.document, found, (*side.names, name))
        return side

    @property
    def branches(self) -> list["_Side"]:
        """The alternatives of a value."""
        schema = self.schema
        return [self.at(each) for each in schema.get("anyOf") or schema.get("oneOf") or ()]

    @property
    def values(self) -> list[Any] | None:
        """The allowed values, None for a schema without a list of them."""
        return [self.schema["const"]] if "const" in self.schema else self.schema.get("enum")

    @property
    def is_choice(self) -> bool:
        """Whether the values, or those of one alternative, are listed."""
        sides = [self, *(branch.resolved() for branch in self.branches)]
        return any(side.values is not None for side in sides)

    @property
    def types(self) -> set[str]:
        """The types of a value; an empty set for any."""
        types = self.schema.get("type", ())
        return {types} if isinstance(types, str) else set(types)


@dataclass
class _Comparison:
    released: Json
    now: Json
    seen: set[tuple[str, str, bool]] = field(default_factory=set)

    def paths(self) -> Iterator[str]:
        for path, item in self.released["paths"].items():
            for method, operation in item.items():
                if method not in _METHODS:
                    continue
                route = f"{method.upper()} {path}"
                found = self.now["paths"].get(path, {}).get(method)
                if found is None:
                    yield f"{route}: is gone"
                    continue
                self.seen.clear()
                for change in self.operation(operation, found):
                    yield f"{route}: {change}"

    def operation(self, released: Json, now: Json) -> Iterator[str]:
        if released.get("operationId") != now.get("operationId"):
            yield f"the operationId was {released.get('operationId')}"
        yield from _security(released.get("security") or [], now.get("security") or [])
        yield from self.parameters(
            {(each["in"], each["name"]): each for each in released.get("parameters", ())},
            {(each["in"], each["name"]): each for each in now.get("parameters", ())},
        )
        yield from self.body(released.get("requestBody"), now.get("requestBody"))
        yield from self.responses(released["responses"], now["responses"])

    def parameters(
        self, released: Mapping[tuple[str, str], Json], now: Mapping[tuple[str, str], Json]
    ) -> Iterator[str]:
        for (place, name), parameter in now.items():
            if parameter.get("required") and not released.get((place, name), {}).get("required"):
                yield f"the {place} parameter {name} is needed now"
        for (place, name), parameter in released.items():
            if (place, name) not in now:
                yield f"the {place} parameter {name} is gone"
                continue
            schemas = parameter["schema"], now[place, name]["schema"]
            yield from self.sent(f"the {place} parameter {name}", *schemas)

    def body(self, released: Json | None, now: Json | None) -> Iterator[str]:
        if now is None:
            if released is not None:
                yield "the body is gone"
            return
        if now.get("required") and not (released or {}).get("required"):
            yield "the body is needed now"
        for media_type, content in (released or {}).get("content", {}).items():
            if media_type not in now["content"]:
                yield f"the body is not taken as {media_type} any more"
                continue
            schemas = content["schema"], now["content"][media_type]["schema"]
            yield from self.sent("body", *schemas)

    def responses(self, released: Json, now: Json) -> Iterator[str]:
        for status, response in released.items():
            if status not in now:
                yield f"the response {status} is gone"
                continue
            for name in response.get("headers", {}):
                if name not in now[status].get("headers", {}):
                    yield f"the header {name} of the response {status} is gone"
            contents = now[status].get("content", {})
            for media_type, content in response.get("content", {}).items():
                if media_type not in contents:
                    yield f"the response {status} is not {media_type} any more"
                    continue
                schemas = content["schema"], contents[media_type]["schema"]
                yield from self.answered(f"response {status}", *schemas)
            if not response.get("content") and contents:
                yield f"the response {status} has a body now"
        for status in now:
            if status not in released and int(status) < _PROBLEM:
                yield f"may answer {status} now"

    def sent(self, where: str, released: Json, now: Json) -> Iterator[str]:
        """Yield values that the released schema takes and the new one does not."""
        sub, sup = _Side(self.released, released), _Side(self.now, now)
        yield from self.fits(where, sub, sup, answer=False)

    def answered(self, where: str, released: Json, now: Json) -> Iterator[str]:
        """Yield values that the new schema may give and the released one does not."""
        sub, sup = _Side(self.now, now), _Side(self.released, released)
        yield from self.fits(where, sub, sup, answer=True)

    def fits(self, where: str, sub: _Side, sup: _Side, *, answer: bool) -> Iterator[str]:
        """Yield values of `sub` that are none of `sup`."""
        sub, sup = sub.resolved(), sup.resolved()
        if sub.names and sup.names:
            pair = (sub.names[-1], sup.names[-1], answer)
            if pair in self.seen:
                return
            self.seen.add(pair)
        if sub.branches:
            for branch in _words(sub, sup) if answer else sub.branches:
                yield from self.fits(where, branch, sup, answer=answer)
        elif sup.branches:
            yield from self.one_of(where, sub, sup, answer=answer)
        else:
            yield from self.value(where, sub, sup, answer=answer)

    def one_of(self, where: str, sub: _Side, sup: _Side, *, answer: bool) -> Iterator[str]:
        """Yield the misfits of a value with the branch of its type."""
        before = set(self.seen)
        problems: list[list[str]] = []
        for branch in sup.branches:
            self.seen = set(before)
            found = list(self.fits(where, sub, branch, answer=answer))
            if not found:
                return
            same_type = bool(sub.types & branch.resolved().types)
            problems.insert(0 if same_type else len(problems), found)
        yield from problems[0]

    def value(self, where: str, sub: _Side, sup: _Side, *, answer: bool) -> Iterator[str]:
        said = "may be {} now" if answer else "may not be {} any more"
        known = sup.types | ({"integer"} if "number" in sup.types else set())
        if sup.types and not (sub.types and sub.types <= known):
            others = ", ".join(sorted(sub.types - known)) or "anything"
            yield f"{where}: {said.format(others)}"
            return
        if sup.values is not None:
            if sub.values is None:
                yield f"{where}: {said.format('anything else')}"
            for each in sub.values or ():
                if each not in sup.values:
                    yield f"{where}: {said.format(json.dumps(each))}"
        yield from _limits(where, sub.schema, sup.schema)
        if "array" in sub.types and "items" in sup.schema:
            items = sub.at(sub.schema.get("items", {})), sup.at(sup.schema["items"])
            yield from self.fits(f"{where}[]", *items, answer=answer)
        if "object" in sub.types:
            yield from self.members(where, sub, sup, answer=answer)

    def members(self, where: str, sub: _Side, sup: _Side, *, answer: bool) -> Iterator[str]:
        mine, theirs = sub.schema.get("properties", {}), sup.schema.get("properties", {})
        for name in sup.schema.get("required", ()):
            if name not in sub.schema.get("required", ()):
                yield f"{where}.{name}: " + ("may be missing" if answer else "is needed now")
        gone = theirs.keys() - mine.keys() if answer else mine.keys() - theirs.keys()
        for name in sorted(gone):
            yield f"{where}.{name}: is gone"
        for name in mine.keys() & theirs.keys():
            sides = sub.at(mine[name]), sup.at(theirs[name])
            yield from self.fits(f"{where}.{name}", *sides, answer=answer)
        rest, taken = (side.schema.get("additionalProperties", True) for side in (sub, sup))
        if taken is False and rest is not False and not answer:
            yield f"{where}: takes no other members any more"
        elif isinstance(taken, Mapping) and rest is not False:
            yield from self.fits(f"{where}.*", sub.at(rest), sup.at(taken), answer=answer)


def _words(now: _Side, released: _Side) -> list[_Side]:
    """Return the alternatives of a response, without the rest of a choice that was opened.

    An open choice lists its words, and takes any text besides. A client of the closed choice still
    gets the listed words alone, of which each further one is a change.
    """
    branches = now.branches
    opened = now.is_choice and released.is_choice
    closed = not any(branch.schema == _ANY_TEXT for branch in released.branches)
    if not (opened and closed):
        return branches
    return [branch for branch in branches if branch.schema != _ANY_TEXT]


def _security(released: list[Json], now: list[Json]) -> Iterator[str]:
    if not released and now:
        yield "takes a key now"
    for scheme in released:
        if now and scheme not in now:
            yield f"the key is not taken as {', '.join(scheme)} any more"


def _limits(where: str, sub: Json, sup: Json) -> Iterator[str]:
    """Yield the limits of `sup` that `sub` lacks."""
    for name in _LEAST:
        if name in sup and not sub.get(name, float("-inf")) >= sup[name]:
            yield f"{where}: {name} {sub.get(name, 'none')} does not fit {sup[name]}"
    for name in _MOST:
        if name in sup and not sub.get(name, float("inf")) <= sup[name]:
            yield f"{where}: {name} {sub.get(name, 'none')} does not fit {sup[name]}"
    for name in _SAME:
        if name in sup and sub.get(name) != sup[name] and "const" not in sub and "enum" not in sub:
            yield f"{where}: {name} {sub.get(name, 'none')} does not fit {sup[name]}"
